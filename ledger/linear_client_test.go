package ledger_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
)

// history records the calls of concurrent clients of a ledger, and their results.
type history struct {
	began time.Time

	mu   sync.Mutex
	ops  []porcupine.Operation
	seen map[string]uint64 // sequence of every event that a client has read, by id
	fate map[string]int    // number of appends by result
}

func newHistory() *history {
	return &history{began: time.Now(), seen: map[string]uint64{}, fate: map[string]int{}}
}

func (h *history) add(client int, q question, begin, end time.Duration, r reply) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if q.method == callAppend {
		h.fate[fateOf(r.err)]++
	} else if r.err != nil {
		return // a failed read says nothing
	}
	if q.method == callAppend && r.err == nil {
		h.seen[q.id] = r.seq
	}
	for i, id := range r.ids {
		if i == len(r.ids)-1 {
			h.seen[id] = r.seq
		}
	}
	h.ops = append(h.ops, porcupine.Operation{
		ClientId: client, Input: q, Call: int64(begin), Output: r, Return: int64(end),
	})
}

func fateOf(err error) string {
	switch {
	case err == nil:
		return "stored"
	case errors.Is(err, ledger.ErrConflict):
		return "conflict"
	case errors.Is(err, ledger.ErrUncertain):
		return "uncertain"
	}
	return "not stored"
}

// trades returns the operations by trade, since trades are independent. An
// uncertain append whose event was read may take effect at any time after its
// call. If the event was not even read at the end, it had no effect.
func (h *history) trades() map[string][]porcupine.Operation {
	split := map[string][]porcupine.Operation{}
	for _, op := range h.ops {
		q := op.Input.(question)
		if r := op.Output.(reply); q.method == callAppend && errors.Is(r.err, ledger.ErrUncertain) {
			seq, seen := h.seen[q.id]
			if !seen {
				continue
			}
			op.Output, op.Return = uncertainAbout{seq}, math.MaxInt64
		}
		split[q.trade] = append(split[q.trade], op)
	}
	return split
}

// check returns whether there is an order of the calls that explains all results.
func (h *history) check(t *testing.T) porcupine.CheckResult {
	t.Helper()
	result := porcupine.Ok
	for trade, ops := range h.trades() {
		got, info := porcupine.CheckOperationsVerbose(model, ops, processtest.Patience)
		switch got {
		case porcupine.Ok:
		case porcupine.Unknown:
			t.Errorf("trade %s: too many calls to check: %d", trade, len(ops))
		default:
			result = got
			t.Logf("trade %s:\n%s", trade, unexplained(ops, info))
		}
	}
	return result
}

// unexplained describes the longest order that was found, and the calls that do
// not fit after it.
func unexplained(ops []porcupine.Operation, info porcupine.LinearizationInfo) string {
	var best []porcupine.Operation
	for _, orders := range info.PartialLinearizationsOperations() {
		for _, order := range orders {
			if len(order) > len(best) {
				best = order
			}
		}
	}
	var out strings.Builder
	for _, op := range best[max(0, len(best)-12):] {
		out.WriteString("  " + described(op))
	}
	out.WriteString("none of these fits next:\n")
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	left := 0
	for _, op := range ops {
		ordered := slices.ContainsFunc(best, func(o porcupine.Operation) bool { return o.ClientId == op.ClientId && o.Call == op.Call })
		if !ordered && left < 12 {
			left++
			out.WriteString("  " + described(op))
		}
	}
	return fmt.Sprintf("%d of %d calls can be ordered, the last of them:\n%s", len(best), len(ops), out.String())
}

func described(op porcupine.Operation) string {
	return fmt.Sprintf("%v..%v client %d %s\n", time.Duration(op.Call), time.Duration(op.Return), op.ClientId, model.DescribeOperation(op.Input, op.Output))
}

// client makes random calls to one ledger.
type client struct {
	t      *testing.T
	number int
	l      ledger.Ledger
	h      *history
	dice   *rand.Rand
	made   int
	known  map[string][]uint64 // sequences that the client has seen, by trade
	last   map[string]question // the client's last append, by trade
}

func newClient(t *testing.T, n int, l ledger.Ledger, h *history) *client {
	return &client{
		t: t, number: n, l: l, h: h, dice: rand.New(rand.NewPCG(uint64(n), 11)),
		known: map[string][]uint64{}, last: map[string]question{},
	}
}

// act makes one random call.
func (c *client) act(trade string) {
	switch n := c.dice.IntN(100); {
	case n < 55:
		c.append(c.fresh(trade, c.right(trade)))
	case n < 65:
		c.append(c.fresh(trade, c.wrong(trade)))
	case n < 70:
		if q, ok := c.last[trade]; ok { // the same event again
			q.again = true
			c.append(q)
		}
	case n < 80:
		c.read(callLoad, trade)
	case n < 92:
		c.read(callLatest, trade)
	default:
		c.read(callLast, trade)
	}
}

func (c *client) fresh(trade string, after uint64) question {
	c.made++
	return question{method: callAppend, trade: trade, id: fmt.Sprintf("%s-c%d-%d", trade, c.number, c.made), after: after}
}

// right returns the last sequence that the client has seen. Other clients may have
// appended more.
func (c *client) right(trade string) uint64 {
	known := c.known[trade]
	if len(known) == 0 {
		return 0
	}
	return known[len(known)-1]
}

// wrong returns a sequence that cannot be the last: an old one, 0, or a future one.
func (c *client) wrong(trade string) uint64 {
	known := c.known[trade]
	switch n := c.dice.IntN(3); {
	case n == 0 || len(known) < 2:
		return c.right(trade) + 1_000_000
	case n == 1:
		return known[c.dice.IntN(len(known)-1)]
	}
	return 0
}

func (c *client) learn(trade string, seq uint64) {
	if seq > c.right(trade) {
		c.known[trade] = append(c.known[trade], seq)
	}
}

func (c *client) append(q question) {
	e := ledgertest.Event(q.trade, capture.Queried, 1)
	e.ID = q.id
	begin := time.Since(c.h.began)
	seq, err := c.l.Append(c.t.Context(), e, q.after)
	c.h.add(c.number, q, begin, time.Since(c.h.began), reply{seq: seq, err: err})
	c.last[q.trade] = q
	if err == nil {
		c.learn(q.trade, seq)
	} else if q.after == c.right(q.trade) {
		c.read(callLatest, q.trade) // as a writer does after a conflict
	}
}

func (c *client) read(m method, trade string) {
	begin := time.Since(c.h.began)
	r := ask(c.t.Context(), c.l, m, trade)
	c.h.add(c.number, question{method: m, trade: trade}, begin, time.Since(c.h.began), r)
	if r.err == nil {
		c.learn(trade, r.seq)
	}
}

func ask(ctx context.Context, l ledger.Ledger, m method, trade string) reply {
	if m == callLast {
		entry, some, err := l.Last(ctx, trade)
		if !some {
			return reply{err: err}
		}
		return reply{err: err, seq: entry.Seq, ids: []string{entry.Event.ID}, some: true}
	}
	load := l.Load
	if m == callLatest {
		load = l.LoadLatest
	}
	got, err := load(ctx, trade)
	r := reply{err: err, seq: got.Seq}
	for _, e := range got.Events {
		r.ids = append(r.ids, e.ID)
	}
	return r
}
