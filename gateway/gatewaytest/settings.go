package gatewaytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"
)

// settings can be changed while the simulator runs. They are replaced as a whole: a call
// uses the settings with which it began.
type settings struct {
	faults  Faults
	down    Down
	latency time.Duration
	// queryLag is the age of the state that queries show.
	queryLag time.Duration
	refuse   string // the code of every capture call, "" for none
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

// change applies f to a copy, and stores it if it is valid.
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

// SetFaults replaces all probabilities, for calls from now on.
func (s *Simulator) SetFaults(f Faults) error {
	return s.change(func(c *settings) error { c.faults = maps.Clone(f); return nil })
}

// SetDown begins an outage, or ends it (Up). Calls that already hang continue to hang.
func (s *Simulator) SetDown(d Down) error {
	return s.change(func(c *settings) error { c.down = d; return nil })
}

// SetLatency changes the wait before answers, for answers from now on.
func (s *Simulator) SetLatency(d time.Duration) error {
	return s.change(func(c *settings) error { c.latency = d; return nil })
}

// SetQueryLag changes the age of the state that queries show.
func (s *Simulator) SetQueryLag(d time.Duration) error {
	return s.change(func(c *settings) error { c.queryLag = d; return nil })
}

// SetRefuse makes every capture call of a known trade be refused with the code, without
// effect; "" ends that. Scripts take precedence.
func (s *Simulator) SetRefuse(code string) error {
	return s.change(func(c *settings) error { c.refuse = code; return nil })
}

// Reset removes all trades, request_ids and counts, and returns the number of trades.
// Faults, outage, latency and secret stay. Calls in progress end normally and may still be
// counted; late captures and pending notifications of removed trades are dropped.
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

// known reports whether the trade was not removed.
func (s *Simulator) known(a *account) bool { return s.account(a.trade.TradeID) == a }

// showFaults answers with the probability of every fault and the other settings.
func (s *Simulator) showFaults(w http.ResponseWriter, _ *http.Request) {
	now := s.settings.Load()
	all := map[string]any{"down": now.down, "latency": now.latency.String(), "query_lag": now.queryLag.String(), "refuse": now.refuse}
	for _, k := range knobs {
		all[string(k.Name)] = now.faults[k.Name]
	}
	reply(w, http.StatusOK, all)
}

// setFaults changes the faults in the body, after setting all of them if there is a
// "preset".
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
