package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/records"
)

const (
	livePath = "/live"
	// maxLive bounds the live connections; each costs a goroutine and a socket.
	maxLive = 1024
	// lookEvery is how often the records are looked at while a page is open.
	lookEvery = time.Second
	// changeEvery is the shortest time between two change notices to the same page,
	// which reloads itself for each of them.
	changeEvery = 3 * time.Second
	heartbeat   = 15 * time.Second
	// writeTimeout bounds one write to a live connection.
	writeTimeout = 10 * time.Second
)

// status is how far the records are.
type status struct {
	Applied   uint64 // the records are exact as of this event
	Letters   uint64 // and as of this message of the dead letters
	Stored    time.Time
	Missing   uint64 // events that they do not hold yet
	Behind    time.Duration
	Unknown   bool   // how far they are behind could not be found out
	Changed   string // the ledger is not the one that the records hold
	Refreshed time.Time
}

// Current reports whether nothing is missing.
func (s status) Current() bool { return !s.Unknown && s.Missing == 0 && s.Changed == "" }

// text is the status in one line.
func (s status) text() string {
	switch {
	case s.Changed != "":
		return "the records are of another ledger: " + s.Changed
	case s.Unknown:
		return fmt.Sprintf("exact as of event %s; the broker does not answer, so how far behind is not known", grouped(int64(s.Applied)))
	case s.Missing > 0:
		return fmt.Sprintf("%s events behind (%s)", grouped(int64(s.Missing)), ago(s.Behind))
	}
	return fmt.Sprintf("up to date: exact as of event %s", grouped(int64(s.Applied)))
}

// hub looks at the records while pages are open, and reports changes to them.
type hub struct {
	look func(context.Context) status

	mu      sync.Mutex
	clients map[*client]struct{}
	last    status
	wake    chan struct{}
}

// client is one open page.
type client struct{ news chan status } // of size 1: the latest wins

func newHub(look func(context.Context) status) *hub {
	return &hub{look: look, clients: map[*client]struct{}{}, wake: make(chan struct{}, 1)}
}

// join adds a client, nil if there are too many.
func (h *hub) join() *client {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.clients) >= maxLive {
		return nil
	}
	c := &client{news: make(chan status, 1)}
	h.clients[c] = struct{}{}
	select {
	case h.wake <- struct{}{}:
	default:
	}
	return c
}

func (h *hub) leave(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.clients, c)
}

func (h *hub) open() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.clients)
}

// run looks at the records until ctx ends. It rests while no page is open.
func (h *hub) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if h.open() > 0 {
			h.report(h.look(ctx))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-h.wake:
		}
	}
}

func (h *hub) report(now status) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = now
	for c := range h.clients {
		select {
		case <-c.news: // an older one that was not read
		default:
		}
		c.news <- now
	}
}

// live serves the changes as server-sent events: "status" has the line about the
// records, "changed" makes the page load its part again. With ?trade= only changes
// of that trade are reported; ?seen= is what the page shows.
func (s *Server) live(w http.ResponseWriter, r *http.Request) {
	trade := r.URL.Query().Get("trade")
	if trade != "" && !capture.ValidTradeID(trade) {
		s.fail(w, r, http.StatusBadRequest, errNoTrade)
		return
	}
	c := s.hub.join()
	if c == nil {
		w.Header().Set("Retry-After", "30")
		s.fail(w, r, http.StatusServiceUnavailable, fmt.Errorf("%d pages are open already; this one does not update itself", maxLive))
		return
	}
	defer s.hub.leave(c)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	stream := liveStream{w: w, control: http.NewResponseController(w)}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	seen, reported := readPlace(r.URL.Query().Get("seen")), time.Time{}
	stream.send("hello", "")
	for stream.err == nil {
		select {
		case <-r.Context().Done():
			return
		case <-s.closing:
			return
		case <-beat.C:
			if !s.stillIn(r) {
				return
			}
			stream.send("beat", "")
		case now := <-c.news:
			stream.status(now)
			if time.Since(reported) < changeEvery {
				continue
			}
			if mark := s.mark(r.Context(), trade, now); mark != seen {
				stream.send("changed", fmt.Sprint(now.Applied))
				seen, reported = mark, time.Now()
			}
		}
	}
}

// stillIn reports whether the session of a live connection continues.
func (s *Server) stillIn(r *http.Request) bool {
	_, ok, err := s.identify(r)
	return ok && err == nil
}

// place is what a page depends on.
type place struct{ events, letters uint64 }

// livePlace is the path of the live updates of a page that shows this place.
func livePlace(trade string, p place) string {
	q := url.Values{"seen": {fmt.Sprintf("%d.%d", p.events, p.letters)}}
	if trade != "" {
		q.Set("trade", trade)
	}
	return livePath + "?" + q.Encode()
}

// readPlace reads what a page shows, the zero place if it does not say.
func readPlace(text string) place {
	events, letters, _ := strings.Cut(text, ".")
	var p place
	p.events, _ = strconv.ParseUint(events, 10, 64)
	p.letters, _ = strconv.ParseUint(letters, 10, 64)
	return p
}

// mark returns what a page shows: all of the records, or one trade.
func (s *Server) mark(ctx context.Context, trade string, now status) place {
	if trade == "" {
		return place{now.Applied, now.Letters}
	}
	t, _, err := s.o.Records.Trade(ctx, trade)
	if err != nil {
		return place{}
	}
	return place{t.LastSeq, now.Letters}
}

// liveStream writes server-sent events.
type liveStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	last    string
	err     error
}

func (l *liveStream) send(event, data string) {
	if l.err != nil {
		return
	}
	if l.err = l.control.SetWriteDeadline(time.Now().Add(writeTimeout)); l.err != nil {
		return
	}
	if _, l.err = fmt.Fprintf(l.w, "event: %s\ndata: %s\n\n", event, strings.ReplaceAll(data, "\n", " ")); l.err == nil {
		l.err = l.control.Flush()
	}
}

// status sends the line about the records if it has changed.
func (l *liveStream) status(now status) {
	text, err := renderStatus(now)
	if err != nil {
		l.err = err
		return
	}
	if text != l.last {
		l.last = text
		l.send("status", text)
	}
}

// lookAtRecords asks how far the records are, and how far the ledger.
func (s *Server) lookAtRecords(ctx context.Context) status {
	now := status{Refreshed: s.now().UTC()}
	if place, err := s.o.Records.Place(ctx, records.SourceDeadLetters); err == nil {
		now.Letters = place.Applied
	}
	if s.o.Lag != nil {
		within, cancel := context.WithTimeout(ctx, lagTimeout)
		defer cancel()
		lag, err := s.o.Lag(within)
		switch {
		case err == nil:
			now.Applied, now.Stored, now.Missing, now.Behind = lag.Applied, lag.Stored, lag.Messages, lag.Behind
			return now
		case isChanged(err):
			now.Changed = err.Error()
		}
	}
	now.Unknown = now.Changed == ""
	if place, err := s.o.Records.Place(ctx, records.SourceLedger); err == nil {
		now.Applied, now.Stored = place.Applied, place.Stored
	}
	return now
}

const lagTimeout = 2 * time.Second

// statusNow is lookAtRecords for a page: while the hub looks, its last one.
func (s *Server) statusNow(ctx context.Context) status {
	s.hub.mu.Lock()
	last := s.hub.last
	s.hub.mu.Unlock()
	if !last.Refreshed.IsZero() && s.now().Sub(last.Refreshed) < lookEvery {
		return last
	}
	now := s.lookAtRecords(ctx)
	s.hub.mu.Lock()
	s.hub.last = now
	s.hub.mu.Unlock()
	return now
}
