package ledger

import "context"

// publish is one try to store an event by itself. When it returns, nobody holds
// the envelope any more. The error is that of the connection, of ctx, of the
// server (see readAck) or that of a receiver.
func (in *inbox) publish(ctx context.Context, v *envelope) (seq uint64, err error) {
	v.unbatch()
	number, err := in.send(&v.msg, v)
	if err != nil {
		return 0, err
	}
	select {
	case got := <-v.answer:
		return got.seq, got.err
	case <-ctx.Done():
	}
	if in.forget(number) {
		return 0, ctx.Err()
	}
	got := <-v.answer // it came at the same moment
	return got.seq, got.err
}
