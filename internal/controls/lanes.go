package controls

import "context"

// LanePause is what is known about the last pause of a lane: the consumer itself
// holds only until when.
type LanePause struct {
	Acceptance
	Resumed bool `json:"resumed,omitempty"` // By, Reason and At are those of the resumption
}

// NoteLane records who paused or resumed a lane, and why.
func (c *Store) NoteLane(ctx context.Context, lane string, p LanePause) error {
	return change(ctx, c.kv, c.lanes, func(lanes *map[string]LanePause, _ bool) error {
		if *lanes == nil {
			*lanes = map[string]LanePause{}
		}
		(*lanes)[lane] = p
		return nil
	})
}

// LanePauses returns the last pause or resumption of each lane that was recorded.
func (c *Store) LanePauses(ctx context.Context) (map[string]LanePause, error) {
	lanes, _, err := read[map[string]LanePause](ctx, c.kv, c.lanes)
	return lanes, err
}
