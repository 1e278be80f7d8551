package gatewaytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"
)

// settings are what can be changed while the simulator runs. What is stored is
// never changed in place: a call works with the settings it began with.
type settings struct {
	faults  Faults
	down    Down
	latency time.Duration
	// queryLag is how old every query's view is.
	queryLag time.Duration
	refuse   string // the code that every capture call gets, "" for none
}

func (c settings) validate() error {
	var negative error
	if c.latency < 0 || c.queryLag < 0 {
		negative = fmt.Errorf("gateway simulator: the latency %s or the query lag %s is negative", c.latency, c.queryLag)
	}
	var code error
	if c.refuse != "" && !errorCode.MatchString(c.refuse) {
		code = fmt.Errorf("gateway simulator: the code %q is not a negative integer", c.refuse)
	}
	return errors.Join(c.faults.Validate(), c.down.Validate(), negative, code)
}

// change applies f to a copy, and keeps it if it is valid.
func (s *Simulator) change(f func(*settings) error) error {
	s.settingsMu.Lock()
	defer s.settingsMu.Unlock()
	next := *s.settings.Load()
	next.faults = maps.Clone(next.faults)
	if next.faults == nil {
		next.faults = Faults{}
	}
	if err := errors.Join(f(&next), next.validate()); err != nil {
		return err
	}
	s.settings.Store(&next)
	return nil
}

// SetFaults replaces all probabilities, for the calls that come from now on.
func (s *Simulator) SetFaults(f Faults) error {
	return s.change(func(c *settings) error { c.faults = maps.Clone(f); return nil })
}

// SetDown begins an outage, or ends it (Up). Calls that already hang go on
// hanging.
func (s *Simulator) SetDown(d Down) error {
	return s.change(func(c *settings) error { c.down = d; return nil })
}

// SetLatency changes what is waited before every answer, for the calls that
// are to be answered from now on.
func (s *Simulator) SetLatency(d time.Duration) error {
	return s.change(func(c *settings) error { c.latency = d; return nil })
}

// SetQueryLag changes how old the view of every query is.
func (s *Simulator) SetQueryLag(d time.Duration) error {
	return s.change(func(c *settings) error { c.queryLag = d; return nil })
}

// SetRefuse lets every capture call of a known trade be refused with the code,
// without effect, from now on; an empty code ends that. Scripts come first.
func (s *Simulator) SetRefuse(code string) error {
	return s.change(func(c *settings) error { c.refuse = code; return nil })
}

// Reset forgets all trades, request_ids and counts, and returns how many
// trades there were. Faults, outage, latency and secret stay. What is under
// way for a forgotten trade ends as it would have, but a late landing or a
// pending notification of it is dropped. A call that is under way may still
// count.
func (s *Simulator) Reset() (forgotten int) {
	s.mu.Lock()
	s.requestsMu.Lock()
	forgotten = len(s.order)
	s.trades, s.order, s.requests = map[string]*account{}, nil, map[string]string{}
	s.requestsMu.Unlock()
	s.mu.Unlock()
	s.stats.reset()
	return forgotten
}

// known reports whether a is a trade that was not forgotten.
func (s *Simulator) known(a *account) bool { return s.account(a.trade.TradeID) == a }

// showFaults writes every knob with its probability, and the other settings.
func (s *Simulator) showFaults(w http.ResponseWriter, _ *http.Request) {
	now := s.settings.Load()
	all := map[string]any{"down": now.down, "latency": now.latency.String(), "query_lag": now.queryLag.String(), "refuse": now.refuse}
	for _, k := range knobs {
		all[string(k.Name)] = now.faults[k.Name]
	}
	reply(w, http.StatusOK, all)
}

// setFaults changes the knobs that are named and leaves the others; "preset"
// sets all of them first.
func (s *Simulator) setFaults(w http.ResponseWriter, r *http.Request) {
	var body map[string]json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	if err := s.change(func(c *settings) error { return c.apply(body) }); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	s.showFaults(w, r)
}

func (c *settings) apply(body map[string]json.RawMessage) error {
	if raw, ok := body["preset"]; ok {
		var name string
		if err := json.Unmarshal(raw, &name); err != nil {
			return fmt.Errorf("preset: %w", err)
		}
		preset, err := Preset(name)
		if err != nil {
			return err
		}
		c.faults = preset
	}
	for name, raw := range body {
		if err := c.set(name, raw); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (c *settings) set(name string, raw json.RawMessage) (err error) {
	switch name {
	case "preset":
		return nil
	case "down":
		return json.Unmarshal(raw, &c.down)
	case "refuse":
		return json.Unmarshal(raw, &c.refuse)
	case "latency", "query_lag":
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return err
		}
		d, err := time.ParseDuration(text)
		if name == "latency" {
			c.latency = d
		} else {
			c.queryLag = d
		}
		return err
	}
	var p float64
	if err := json.Unmarshal(raw, &p); err != nil {
		return err
	}
	c.faults[Fault(name)] = p
	return nil
}
