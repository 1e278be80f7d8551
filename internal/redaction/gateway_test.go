//go:build unix

package redaction

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// request has the members of a call that the gateway reads.
type request struct {
	Sign   string            `json:"sign"`
	Method string            `json:"method"`
	Data   map[string]string `json:"data"`
	raw    string
	before string // the signature of the call before
}

// echoer is a gateway that repeats our key and signatures in every place of its answers.
type echoer struct {
	*httptest.Server
	mu     sync.Mutex
	signs  []string
	key    string         // what it repeats
	halt   bool           // it refuses our signature
	calls  map[string]int // captures by trade
	misses int            // calls without a signature
}

func startEchoer(t *testing.T) *echoer {
	e := &echoer{key: gatewayKey, calls: map[string]int{}}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *echoer) signatures() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.signs...)
}

func (e *echoer) set(change func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change()
}

func (e *echoer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // an incomplete call counts as a miss
	q := request{raw: string(body)}
	_ = json.Unmarshal(body, &q)
	e.mu.Lock()
	if q.before = q.Sign; len(e.signs) > 0 {
		q.before = e.signs[len(e.signs)-1]
	}
	if len(q.Sign) == signatureBytes {
		e.signs = append(e.signs, q.Sign)
	} else if r.Method == http.MethodPost {
		e.misses++
	}
	for name := range r.Header {
		if strings.EqualFold(name, "traceparent") || strings.EqualFold(name, "tracestate") {
			e.misses++ // trace headers are not sent to the gateway
		}
	}
	key, halt, n := e.key, e.halt, e.calls[q.Data["trade_id"]]
	if q.Method == "v3.Capture" {
		e.calls[q.Data["trade_id"]]++
	}
	e.mu.Unlock()
	switch {
	case halt:
		reply(w, 200, q, key, false, "-403", nil)
	case q.Method == "v3.QueryOrder":
		reply(w, 200, q, key, true, "200", map[string]any{"transaction_info": e.order(q, key, "authorized")})
	case n == 0:
		e.first(w, q, key)
	default:
		reply(w, 200, q, key, true, "200", e.order(q, key, "paid"))
	}
}

// order repeats the signature in every member that the client does not compare.
func (e *echoer) order(q request, key, state string) map[string]any {
	o := map[string]any{
		"trade_id": q.Data["trade_id"], "amount": "24.99", "currency": "EUR", "state": state, "message": key,
		"request_id": key,
	}
	for _, name := range []string{"order_id", "settlement_amount", "settlement_currency", "exchange_rate", "transaction_id", "paid_time"} {
		o[name] = q.Sign + q.before
	}
	return o
}

// reply repeats the request in every member of the envelope.
func reply(w http.ResponseWriter, status int, q request, key string, ok bool, code string, data any) {
	w.Header().Set("Retry-After", q.Sign)
	w.Header().Set("X-Sign", q.Sign)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{ // fails if the client has disconnected
		"status": ok, "code": code, "data": data,
		"message":     fmt.Sprintf("%s %s %s %s key %s", q.Sign, strings.ToUpper(q.Sign), q.before, strings.Repeat("x", 30)+q.Sign, key),
		"response_id": q.Sign + key,
	})
}

// first answers the first call of a trade as the name of the trade demands.
func (e *echoer) first(w http.ResponseWriter, q request, key string) {
	kind, _, _ := strings.Cut(q.Data["trade_id"], "-")
	switch kind {
	case "internal":
		reply(w, 200, q, key, false, "-1000", q.raw)
	case "code":
		reply(w, 200, q, key, false, q.Sign, nil)
	case "refused":
		reply(w, 200, q, key, false, "-4084", q.raw)
	case "html":
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, "<html>"+q.raw+key+q.before)
	case "state":
		reply(w, 200, q, key, true, "200", e.order(q, key, q.Sign))
	case "laststate":
		reply(w, 200, q, key, true, "200", e.order(q, key, q.before))
	case "trade":
		o := e.order(q, key, "paid")
		o["trade_id"], o["amount"] = q.Sign, q.before
		reply(w, 200, q, key, true, "200", o)
	case "status":
		speak(w, "HTTP/1.1 "+q.Sign+" "+key+"\r\n\r\n")
	case "header":
		speak(w, "HTTP/1.1 200 OK\r\n"+q.Sign+" "+key+"\r\n\r\n")
	case "moved":
		w.Header().Set("Location", "http://127.0.0.1/"+q.Sign)
		w.WriteHeader(http.StatusTemporaryRedirect)
	case "unasked":
		// A good answer, followed by text on the same connection.
		body := `{"status":false,"code":"-1000","message":"","data":null}`
		speak(w, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body), q.Sign+" "+key)
	default:
		reply(w, 200, q, key, true, "200", e.order(q, key, "paid"))
	}
}

// kinds are the kinds of first answers.
func kinds() []string {
	return []string{"good", "internal", "code", "refused", "html", "state", "laststate", "trade", "status", "header", "moved", "unasked"}
}

// speak writes to the connection directly.
func speak(w http.ResponseWriter, words ...string) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer conn.Close()
	for _, text := range words {
		if _, err := io.WriteString(conn, text); err != nil {
			return
		}
	}
}
