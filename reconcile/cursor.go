package reconcile

import (
	"errors"
	"fmt"
)

// ErrInputChanged is returned by [Batch.Run] if the input is not the one that the
// cursor belongs to. Start again with a zero Cursor.
var ErrInputChanged = errors.New("the input differs from that of the earlier run")

// Cursor is the progress of a batch, with which a stopped batch continues. The zero
// Cursor is the beginning. It is plain data, to be stored as JSON. It counts
// positions in the input: the input must have the same items in the same order when
// the batch continues; items may be added at the end.
//
// A Cursor is not safe for concurrent use. Call Done only in the loop over
// [Batch.Run], after the verdict was stored.
type Cursor struct {
	// Next is the first position that is not done.
	Next int64 `json:"next"`
	// Last is the trade before Next, to detect a changed input.
	Last string `json:"last,omitempty"`
	// Ahead has the trades after Next that are done. Batch limits their number.
	Ahead map[int64]string `json:"ahead,omitempty"`
}

// Done marks the item of a verdict as done, unless the verdict is Unasked.
func (c *Cursor) Done(v Verdict) {
	if v.Unasked || v.Position < c.Next {
		return
	}
	if c.Ahead == nil {
		c.Ahead = map[int64]string{}
	}
	c.Ahead[v.Position] = v.TradeID
	for {
		id, ok := c.Ahead[c.Next]
		if !ok {
			return
		}
		delete(c.Ahead, c.Next)
		c.Next, c.Last = c.Next+1, id
	}
}

// clone returns a copy for a run, so that later calls of Done do not change it.
func (c *Cursor) clone() Cursor {
	if c == nil {
		return Cursor{}
	}
	copied := Cursor{Next: c.Next, Last: c.Last, Ahead: make(map[int64]string, len(c.Ahead))}
	for at, id := range c.Ahead {
		copied.Ahead[at] = id
	}
	return copied
}

// has reports whether the item at a position was done before. It returns an error
// if the item at that position was another trade.
func (c Cursor) has(at int64, tradeID string) (bool, error) {
	known, ahead := c.Ahead[at]
	if at == c.Next-1 {
		known, ahead = c.Last, true
	}
	if ahead && known != tradeID {
		return false, fmt.Errorf("%w: item %d was trade %s and is now %s", ErrInputChanged, at+1, known, tradeID)
	}
	return ahead || at < c.Next, nil
}
