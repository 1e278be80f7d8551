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

// closeTimeout is how long Close waits for calls in progress.
const closeTimeout = 5 * time.Second

// Simulator is a gateway in memory. Make one with [New] and end it with
// [Simulator.Close]. It is safe for concurrent use.
type Simulator struct {
	opts   Options
	life   *lifecycle
	notify *notifier
	mux    *http.ServeMux
	stats  counters
	secret atomic.Pointer[gateway.Secret]

	mu     sync.RWMutex
	trades map[string]*account
	order  []*account // in the order of AddTrades

	settingsMu sync.Mutex // for changes
	settings   atomic.Pointer[settings]

	// requests maps each request_id to the trade that used it first.
	requestsMu sync.Mutex
	requests   map[string]string
}

// Stats has counts since the start or the last Reset.
type Stats struct {
	Captures      int64 `json:"captures"`       // calls of v3.Capture for a known trade
	Queries       int64 `json:"queries"`        // calls of v3.QueryOrder for a known trade
	Others        int64 `json:"others"`         // calls that named no known trade, or failed before
	Down          int64 `json:"down"`           // calls during an outage
	Faults        int64 `json:"faults"`         // capture and query calls with a fault
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

// New starts a simulator. It panics if [Options.Validate] returns an error: validate
// options that come from a user first.
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

// ServeHTTP answers the gateway's calls at POST /Payments and the admin path under
// /_sim/. To break a connection it hijacks it, or, if that is not possible (HTTP/2,
// httptest.ResponseRecorder), panics with [http.ErrAbortHandler], which makes the server
// close it.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.life == nil {
		http.Error(w, "the simulator is not started: make it with gatewaytest.New", http.StatusServiceUnavailable)
		return
	}
	if !s.life.enter() {
		http.Error(w, "the simulator is closed", http.StatusServiceUnavailable)
		return
	}
	defer s.life.running.Done()
	s.mux.ServeHTTP(w, r)
}

// Close ends hanging calls, drops pending late captures and notifications, and waits up
// to five seconds for calls in progress. Truths and stats can still be read; further
// calls get HTTP 503.
func (s *Simulator) Close() {
	if s.life == nil {
		return
	}
	s.notify.cancel()
	s.life.stop(closeTimeout)
	s.notify.client.CloseIdleConnections()
}

// AddTrades adds authorizations, all or none. Errors wrap [ErrTrade].
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
			return fmt.Errorf("%w %s: given twice", ErrTrade, t.TradeID)
		}
		a := newAccount(t)
		accounts[t.TradeID], order = a, append(order, a)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range accounts {
		if s.trades[id] != nil {
			return fmt.Errorf("%w: trade %s exists already", ErrTrade, id)
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

// Truth returns what really happened to a trade, and whether there is such a trade.
func (s *Simulator) Truth(tradeID string) (Truth, bool) {
	a := s.account(tradeID)
	if a == nil {
		return Truth{}, false
	}
	return a.truth(s.opts.Clock(), s.opts.AfterWindow), true
}

// Truths yields the truths of the trades that exist when the walk begins, in the order
// in which they were added. Each truth is read when it is yielded.
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

// Script appends steps to a trade's script: its next calls follow them in order, before
// probabilities apply again. Errors wrap [ErrTrade].
func (s *Simulator) Script(tradeID string, steps ...Step) error {
	a := s.account(tradeID)
	if a == nil {
		return fmt.Errorf("%w %q: unknown", ErrTrade, tradeID)
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

// SetSecret replaces the account's key: from now on calls signed with another key are
// refused (-403), and notifications are signed with this one. An empty key is an error.
func (s *Simulator) SetSecret(secret gateway.Secret) error {
	if secret == "" {
		return errors.New("gateway simulator: the new secret is empty; the old one stays in use")
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
