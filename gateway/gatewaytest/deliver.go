package gatewaytest

import (
	"net"
	"net/http"
	"strconv"
	"time"
)

// how is the way in which an answer is delivered, or lost.
type how int

const (
	byAnswer how = iota
	bySlowAnswer
	byHang
	byReset
	byTruncation
	by502
	by429
)

// delivery is the answer to a call and how it is delivered.
type delivery struct {
	how   how
	body  []byte
	extra time.Duration // added to the latency
}

const badGateway = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n" +
	"<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"

// deliver sends the answer. The caller holds no lock.
func (s *Simulator) deliver(w http.ResponseWriter, r *http.Request, d delivery) {
	wait := s.settings.Load().latency + d.extra
	if d.how == bySlowAnswer {
		wait += s.opts.Timing.SlowBy
	}
	if !s.wait(r, wait) {
		reset(w)
		return
	}
	switch d.how {
	case byHang:
		s.wait(r, s.opts.Timing.HangMax)
		reset(w)
	case byReset:
		reset(w)
	case byTruncation:
		truncate(w, d.body)
	case by502:
		write(w, http.StatusBadGateway, "text/html", []byte(badGateway))
	case by429:
		w.Header().Set("Retry-After", "1")
		write(w, http.StatusTooManyRequests, "text/plain", []byte("too many requests\n"))
	default:
		write(w, http.StatusOK, "application/json", d.body)
	}
}

// wait returns false if the client disconnected or the simulator was closed.
func (s *Simulator) wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	case <-s.life.done:
		return false
	}
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body) // fails if the client has disconnected
}

// truncate announces the whole body, sends half of it and closes the connection.
func truncate(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	w.Write(body[:len(body)/2])
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// reset closes the connection with a TCP reset if possible.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		// With linger 0, Close sends RST instead of FIN.
		tcp.SetLinger(0)
	}
	conn.Close()
}
