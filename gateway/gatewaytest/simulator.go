package gatewaytest

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capture-worker/capture-worker/gateway"
)

// PaymentsPath is the gateway's one endpoint.
const PaymentsPath = "/Payments"

// closeBound is how long Close waits for what is under way.
const closeBound = 5 * time.Second

// Simulator is a gateway in memory. It is safe for concurrent use.
type Simulator struct {
	opts   Options
	life   *lifecycle
	notify *notifier
	mux    *http.ServeMux
	stats  counters
	secret atomic.Pointer[gateway.Secret]

	mu     sync.RWMutex
	trades map[string]*account
	order  []*account // as they were added

	settingsMu sync.Mutex // for who changes them
	settings   atomic.Pointer[settings]

	// requests says which trade used a request_id first.
	requestsMu sync.Mutex
	requests   map[string]string
}

// Stats counts what happened since the start, or since the last Reset.
type Stats struct {
	Captures      int64 `json:"captures"`       // calls of v3.Capture for a known trade
	Queries       int64 `json:"queries"`        // calls of v3.QueryOrder for a known trade
	Others        int64 `json:"others"`         // calls that named no known trade, or failed before
	Down          int64 `json:"down"`           // calls that met an outage
	Faults        int64 `json:"faults"`         // capture and query calls that met a fault
	Effects       int64 `json:"effects"`        // captures that took effect
	Notifications int64 `json:"notifications"`  // POSTs to notify_urls
	Dropped       int64 `json:"dropped"`        // notifications and late landings beyond the limits
	RefusedNotify int64 `json:"refused_notify"` // notify_urls that are not loopback
}

type counters struct {
	captures, queries, others, down, faults, effects, notifications, dropped, refusedNotify atomic.Int64
}

func (c *counters) reset() {
	for _, n := range []*atomic.Int64{
		&c.captures, &c.queries, &c.others, &c.down, &c.faults, &c.effects, &c.notifications, &c.dropped, &c.refusedNotify,
	} {
		n.Store(0)
	}
}

// New starts a simulator; Close ends it. It panics where Options.Validate has
// an error: a program that takes options from a person validates them first.
func New(o Options) *Simulator {
	if err := o.Validate(); err != nil {
		panic(err)
	}
	o.Timing = o.Timing.withDefaults()
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.SecondCapture == "" {
		o.SecondCapture = codeTradeID
	}
	s := &Simulator{
		opts: o, life: newLifecycle(), trades: map[string]*account{}, requests: map[string]string{},
	}
	s.settings.Store(&settings{faults: maps.Clone(o.Faults), down: o.Down, latency: o.Latency, queryLag: o.Timing.QueryLag})
	s.secret.Store(&o.Secret)
	s.notify = newNotifier(s)
	s.mux = s.routes()
	return s
}

// ServeHTTP answers the gateway's calls at POST /Payments and the admin path
// under /_sim/. A fault that breaks the connection needs a server that can
// hijack it; elsewhere (HTTP/2, a recorder) it panics with
// http.ErrAbortHandler, which servers take as "break off".
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.life.enter() {
		http.Error(w, "the simulator is closed", http.StatusServiceUnavailable)
		return
	}
	defer s.life.running.Done()
	s.mux.ServeHTTP(w, r)
}

// Close ends what hangs, drops pending late landings and notifications, and
// waits for everything under way, at most five seconds. What has happened can
// still be read; further calls get HTTP 503.
func (s *Simulator) Close() {
	s.notify.cancel()
	s.life.stop(closeBound)
	s.notify.client.CloseIdleConnections()
}

// AddTrades adds authorizations, all or none. Errors wrap ErrTrade.
func (s *Simulator) AddTrades(trades ...Trade) error {
	now := s.opts.Clock()
	accounts := make(map[string]*account, len(trades))
	order := make([]*account, 0, len(trades))
	for _, t := range trades {
		t, err := t.complete(now)
		if err != nil {
			return err
		}
		if accounts[t.TradeID] != nil {
			return fmt.Errorf("%w %s is given twice", ErrTrade, t.TradeID)
		}
		a := newAccount(t)
		accounts[t.TradeID], order = a, append(order, a)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range accounts {
		if s.trades[id] != nil {
			return fmt.Errorf("%w %s exists already", ErrTrade, id)
		}
	}
	maps.Copy(s.trades, accounts)
	s.order = append(s.order, order...)
	return nil
}

func (s *Simulator) account(tradeID string) *account {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.trades[tradeID]
}

// Truth returns what became of a trade, and whether there is such a trade.
func (s *Simulator) Truth(tradeID string) (Truth, bool) {
	a := s.account(tradeID)
	if a == nil {
		return Truth{}, false
	}
	return a.truth(s.opts.Clock(), s.opts.AfterWindow), true
}

// Truths walks the trades in the order in which they were added, those present
// when the walk begins. Each truth is taken when it is its turn.
func (s *Simulator) Truths() iter.Seq[Truth] {
	return func(yield func(Truth) bool) {
		s.mu.RLock()
		order := s.order
		s.mu.RUnlock()
		for _, a := range order {
			if !yield(a.truth(s.opts.Clock(), s.opts.AfterWindow)) {
				return
			}
		}
	}
}

// Script adds steps to a trade's script: its next calls meet exactly these, in
// order, before chance decides again. Errors wrap ErrTrade.
func (s *Simulator) Script(tradeID string, steps ...Step) error {
	a := s.account(tradeID)
	if a == nil {
		return fmt.Errorf("%w %q is not known", ErrTrade, tradeID)
	}
	for _, step := range steps {
		if err := step.Validate(); err != nil {
			return fmt.Errorf("%w %s: %w", ErrTrade, tradeID, err)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, step := range steps {
		a.script(step)
	}
	return nil
}

// SetSecret rotates the account's key: from now on calls signed with another
// one are refused (-403), and notifications are signed with it. An empty key is
// refused.
func (s *Simulator) SetSecret(secret gateway.Secret) error {
	if secret == "" {
		return errors.New("gateway simulator: the new secret is empty; the old one stays")
	}
	s.secret.Store(&secret)
	return nil
}

// Stats returns the counts.
func (s *Simulator) Stats() Stats {
	c := &s.stats
	return Stats{
		Captures: c.captures.Load(), Queries: c.queries.Load(), Others: c.others.Load(),
		Down: c.down.Load(), Faults: c.faults.Load(), Effects: c.effects.Load(),
		Notifications: c.notifications.Load(), Dropped: c.dropped.Load(), RefusedNotify: c.refusedNotify.Load(),
	}
}
