package deadletter_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

// delivered publishes a job and returns its delivery. The largest headers that the
// broker takes are filled up: it refuses one byte more.
func delivered(t *testing.T, s deadletter.Store, header nats.Header, body string) jetstream.Msg {
	t.Helper()
	jobs, err := s.JS.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "JOBS", Subjects: []string{"jobs.>"}, Storage: jetstream.MemoryStorage})
	if err != nil {
		t.Fatal(err)
	}
	m := nats.NewMsg("jobs.shipped")
	m.Header, m.Data = header, []byte(body)
	ack, err := s.JS.PublishMsg(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := jobs.CreateConsumer(t.Context(), jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: ack.Sequence})
	if err != nil {
		t.Fatal(err)
	}
	job, err := consumer.Next(jetstream.FetchMaxWait(processtest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// headersOf returns headers of so many bytes on the wire.
func headersOf(size int) nats.Header {
	header := nats.Header{"ce-type": {"order.shipped"}, "X-Two": {"a", "b"}}
	const fixed = len("NATS/1.0\r\n" + "ce-type: order.shipped\r\n" + "X-Two: a\r\n" + "X-Two: b\r\n" + "X-Long: \r\n" + "\r\n")
	header["X-Long"] = []string{strings.Repeat("x", size-fixed)}
	return header
}

const (
	mostHeaders = 64<<10 - 1 // of a message in a stream
	mostBytes   = 1 << 20    // of a message, headers included
)

// Whatever a job of the largest size that the broker takes is made of, its dead
// letter has all of it.
func TestDeadLettersAtTheLimits(t *testing.T) {
	for name, tt := range map[string]struct {
		headers, body, parts int
		moved                bool
	}{
		"small":                      {200, 1000, 1, false},
		"headers leave room":         {64000, 1000, 1, false},
		"headers leave little room":  {65400, 1000, 1, true},
		"headers leave no room":      {mostHeaders, 1000, 1, true},
		"headers, no body":           {mostHeaders, 0, 1, true},
		"the body leaves no room":    {200, mostBytes - 200, 2, false},
		"neither leaves room":        {mostHeaders, mostBytes - mostHeaders, 2, true},
		"headers fill half the room": {30000, mostBytes - 30000, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			header, body := headersOf(tt.headers), strings.Repeat("0123456789abcde\n", tt.body/16+1)[:tt.body]
			job := delivered(t, s, maps.Clone(header), body)
			seq, err := s.Put(t.Context(), job, "conflict", "asks for another sum")
			if err != nil || seq != 1 {
				t.Fatalf("stored as %d, %v", seq, err)
			}
			if again, err := s.Put(t.Context(), job, "conflict", "asks for another sum"); err != nil || again != seq {
				t.Errorf("put twice it is stored as %d, %v", again, err)
			}
			var got []deadletter.Message
			for m, err := range s.Messages(t.Context(), 0) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, m)
			}
			if len(got) != tt.parts {
				t.Fatalf("%d dead letters, want %d", len(got), tt.parts)
			}
			first, whole := got[0], ""
			for _, part := range got {
				whole += string(part.Body)
			}
			if !reflect.DeepEqual(first.Header, header) || whole != body {
				t.Errorf("headers of %d and a body of %d bytes, want %d and %d", len(first.Header.Get("X-Long")), len(whole), tt.headers, tt.body)
			}
			if first.Reason != "conflict" || first.Detail != "asks for another sum" || first.Subject != "jobs.shipped" || first.Stream != "JOBS" || first.Sequence != 1 {
				t.Errorf("read %+v", first)
			}
			if tt.parts == 2 && (first.Part != "1/2" || got[1].Part != "2/2" || len(got[1].Header) != 0) {
				t.Errorf("the parts are %q and %q", first.Part, got[1].Part)
			}
			raw, err := s.JS.Stream(t.Context(), s.Stream)
			if err != nil {
				t.Fatal(err)
			}
			m, err := raw.GetMsg(t.Context(), 1)
			if err != nil || (m.Header.Get(deadletter.HeaderHeaders) != "") != tt.moved {
				t.Errorf("headers in the body: %q, want %v; %v", m.Header.Get(deadletter.HeaderHeaders), tt.moved, err)
			}
			if n, err := s.Pending(t.Context()); err != nil || n != tt.parts {
				t.Errorf("pending %d, %v", n, err)
			}
		})
	}
}

// If the broker takes no message of half the job's size, nothing is stored, and the
// error says what to do.
func TestJobThatIsTooLargeInEachForm(t *testing.T) {
	s := newStore(t)
	if _, err := s.JS.UpdateStream(t.Context(), jetstream.StreamConfig{Name: s.Stream, Subjects: []string{deadletter.SubjectPrefix + ">"}, MaxMsgSize: 2000}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), delivered(t, s, headersOf(200), strings.Repeat("x", 2500)), "not_json", "x"); err != nil {
		t.Errorf("two halves fit: %v", err)
	}
	if _, err := s.Put(t.Context(), delivered(t, s, headersOf(200), strings.Repeat("x", 9000)), "not_json", "x"); !errors.Is(err, deadletter.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

// unheard stores messages and loses one ack: that of the message for which lose comes
// to zero.
type unheard struct {
	jetstream.JetStream
	lose *atomic.Int32
}

var errLost = errors.New("the ack was lost")

func (u unheard) PublishMsg(ctx context.Context, m *nats.Msg, o ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ack, err := u.JetStream.PublishMsg(ctx, m, o...)
	if err == nil && u.lose.Add(-1) == 0 {
		return nil, errLost
	}
	return ack, err
}

// What was stored and reported as failed is not stored twice when it is repeated, in
// whatever form, and nothing of it is missing.
func TestDeadLetterThatWasStoredAndReportedAsFailed(t *testing.T) {
	for name, tt := range map[string]struct{ headers, body, parts int }{
		"one message":         {200, 1000, 1},
		"headers in the body": {mostHeaders, 1000, 1},
		"two parts":           {200, mostBytes - 200, 2},
		"two parts, headers":  {mostHeaders, mostBytes - mostHeaders, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			job := delivered(t, s, headersOf(tt.headers), strings.Repeat("x", tt.body))
			lose := &atomic.Int32{}
			deaf := deadletter.Store{JS: unheard{s.JS, lose}, Stream: s.Stream}
			for part := range tt.parts { // one more is stored each time
				lose.Store(int32(part + 1))
				if _, err := deaf.Put(t.Context(), job, "conflict", "x"); !errors.Is(err, errLost) {
					t.Fatalf("got %v", err)
				}
			}
			lose.Store(0)
			if seq, err := deaf.Put(t.Context(), job, "conflict", "x"); err != nil || seq != 1 {
				t.Fatalf("repeated: stored as %d, %v", seq, err)
			}
			size, count := 0, 0
			for m, err := range s.Messages(t.Context(), 0) {
				if err != nil {
					t.Fatal(err)
				}
				size, count = size+len(m.Body), count+1
			}
			if count != tt.parts || size != tt.body {
				t.Errorf("%d dead letters with %d bytes, want %d with %d", count, size, tt.parts, tt.body)
			}
		})
	}
}

// A second form that does not hold what it says is shown as it is.
func TestHeadersThatAreNotThere(t *testing.T) {
	s := newStore(t)
	for i, says := range []string{"7", "-1", "9000", "x", "12"} {
		m := nats.NewMsg(deadletter.SubjectPrefix + "not_json")
		m.Data = []byte("NATS/1.0\r\nbroken")
		m.Header.Set(deadletter.HeaderHeaders, says)
		if _, err := s.JS.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		l, err := s.Get(t.Context(), uint64(i+1))
		if err != nil || string(l.Body) != "NATS/1.0\r\nbroken" || len(l.Header) != 0 {
			t.Errorf("%s: %q with %v, %v", says, l.Body, l.Header, err)
		}
	}
}

// However large dead letters are, a walk asks for a bounded number of bytes at a time.
func TestWalkIsBoundedInBytes(t *testing.T) {
	s := newStore(t)
	const n, size = 40, 1_000_000
	body := strings.Repeat("x", size)
	for range n {
		putLetter(t, s, body)
	}
	nc, err := nats.Connect(s.JS.Conn().ConnectedUrl(), nats.Timeout(processtest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	var pulls, unbounded atomic.Int32
	_, err = nc.Subscribe("$JS.API.CONSUMER.MSG.NEXT."+s.Stream+".>", func(m *nats.Msg) {
		var pull struct {
			MaxBytes int `json:"max_bytes"`
		}
		pulls.Add(1)
		if json.Unmarshal(m.Data, &pull) != nil || pull.MaxBytes <= 0 || pull.MaxBytes > 16<<20 {
			unbounded.Add(1)
		}
	})
	if err == nil {
		err = nc.FlushTimeout(processtest.Patience)
	}
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for m, err := range s.Messages(t.Context(), 10) {
		if err != nil {
			t.Fatal(err)
		}
		if read++; len(m.Body) != size || m.Seq != uint64(read+10) {
			t.Fatalf("dead letter %d has %d bytes", m.Seq, len(m.Body))
		}
	}
	if read != n-10 {
		t.Errorf("%d were read, want %d", read, n-10)
	}
	if !processtest.Comes(processtest.Patience, func() bool { return pulls.Load() >= 3 }) || unbounded.Load() > 0 {
		t.Errorf("%d pulls, %d of them without a bound in bytes", pulls.Load(), unbounded.Load())
	}
}
