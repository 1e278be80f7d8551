package reconcile

import (
	"errors"
	"fmt"
)

// ErrInputChanged is returned by Batch.Run when the input is not the one that
// the cursor belongs to: begin anew, with a zero Cursor.
var ErrInputChanged = errors.New("the input is not the one that was begun")

// Cursor says how far a batch has come, so that one that was stopped goes on.
// The zero Cursor is the beginning. It is plain data: keep it as JSON. It
// counts positions in the input, so the input must be the same in the same
// order when the batch goes on; growing at its end is fine.
//
// A Cursor is not safe for concurrent use. Call Done in the loop over
// Batch.Run, after the verdict was put where it is safe, and only there.
type Cursor struct {
	// Next: every position before it is done.
	Next int64 `json:"next"`
	// Last is the trade before Next, to tell a changed input.
	Last string `json:"last,omitempty"`
	// Ahead are the trades that are done after Next. Batch bounds their number.
	Ahead map[int64]string `json:"ahead,omitempty"`
}

// Done notes that nothing is left to do about a verdict, unless it is Unasked.
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

// clone keeps what a run skips apart from what its caller marks meanwhile.
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

// has reports whether the item at a position was done before, and refuses one
// that is another than it was.
func (c Cursor) has(at int64, tradeID string) (bool, error) {
	known, ahead := c.Ahead[at]
	if at == c.Next-1 {
		known, ahead = c.Last, true
	}
	if ahead && known != tradeID {
		return false, fmt.Errorf("%w: item %d was trade %s, and is %s now", ErrInputChanged, at+1, known, tradeID)
	}
	return ahead || at < c.Next, nil
}
