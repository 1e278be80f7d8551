package history

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/natsconn"
)

// withdrawals returns the withdrawals about it that are not finished, such as that of an
// order of which no trade is known yet; found reports whether there is any.
func (l jobLookup) withdrawals(ctx context.Context) (lines []string, found bool) {
	stream := l.c.Withdrawals.Stream
	decoder, err := capture.NewWithdrawalDecoder(l.c.WithdrawalMapping())
	read := 0
	if err == nil {
		for w, failed := range jobstream.Backlog(ctx, l.js, stream, l.c.WithdrawalConsumer()) {
			if err = failed; err != nil || read == maxWaitingRead {
				break
			}
			read++
			withdrawn, undecoded := decoder.Decode(w.Header, w.Body)
			if undecoded != nil || !l.isAbout(withdrawn.TradeID, withdrawn.OrderID) {
				continue
			}
			found = true
			lines = append(lines, fmt.Sprintf("it is withdrawn: message %d of stream %s, published %s on %s: %s",
				w.Sequence, stream, moment(w.Stored), w.Subject, withdrawn.Reason))
		}
	}
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrConsumerNotFound):
	case err != nil:
		lines = append(lines, fmt.Sprintf("could not check the withdrawals of stream %s: %v", stream, natsconn.Explain(l.js.Conn(), err)))
	case read == maxWaitingRead:
		lines = append(lines, fmt.Sprintf("only the first %d withdrawals that wait were checked", read))
	}
	return lines, found
}
