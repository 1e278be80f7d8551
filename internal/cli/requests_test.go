package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/capture-worker/capture-worker/ledger"
)

// requests are the requests to JetStream that were seen, over all scripts.
type requests struct {
	mu      sync.Mutex
	ledger  int // about the ledger's stream
	refused []string
}

// watch looks at every request to the API of JetStream at a server. stop ends it
// when all that was sent before was seen.
func (r *requests) watch(url, script string) (stop func(), err error) {
	nc, err := nats.Connect(url)
	if err != nil {
		return nil, err
	}
	_, err = nc.Subscribe("$JS.API.>", func(m *nats.Msg) {
		r.mu.Lock()
		defer r.mu.Unlock()
		about, searches := searchesLedger(m.Subject, m.Data)
		if about {
			r.ledger++
		}
		if searches != "" {
			r.refused = append(r.refused, fmt.Sprintf("%s: %s %s: %s", script, m.Subject, m.Data, searches))
		}
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return func() {
		_ = nc.Flush() // the server may be gone
		nc.Close()
	}, nil
}

// check fails unless the ledger was read, and never searched.
func (r *requests) check(t *testing.T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, text := range r.refused {
		t.Errorf("a request makes the server search the ledger, which holds up every append: %s", text)
	}
	if r.ledger == 0 && !t.Failed() {
		t.Error("no request about the ledger was seen")
	}
}

// searchesLedger reports whether a request is about the ledger's stream, and why it
// makes the server search the events of many trades.
func searchesLedger(subject string, body []byte) (about bool, why string) {
	call, ok := strings.CutPrefix(subject, "$JS.API.")
	if !ok {
		return false, ""
	}
	for _, read := range []string{"DIRECT.GET.", "STREAM.MSG.GET.", "STREAM.INFO.", "CONSUMER.CREATE.", "CONSUMER.DURABLE.CREATE."} {
		rest, ok := strings.CutPrefix(call, read)
		stream, more, _ := strings.Cut(rest, ".")
		if !ok || stream != ledger.DefaultStream {
			continue
		}
		if strings.HasPrefix(read, "CONSUMER.") {
			_, more, _ = strings.Cut(more, ".") // the consumer's name
		}
		if more != "" && overTrades(more) {
			return true, "it asks for " + more
		}
		return true, searchesBody(body)
	}
	return false, ""
}

// searchesBody looks at all members that select messages by their subjects.
func searchesBody(body []byte) string {
	var ask struct {
		Seq       uint64   `json:"seq"`
		StartTime string   `json:"start_time"`
		NextFor   string   `json:"next_by_subj"`
		LastFor   string   `json:"last_by_subj"`
		MultiLast []string `json:"multi_last"`
		Subjects  string   `json:"subjects_filter"`
		Config    struct {
			Filter  string   `json:"filter_subject"`
			Filters []string `json:"filter_subjects"`
			Copies  bool     `json:"sourcing"` // the server's own consumer for the stream of cases
		} `json:"config"`
	}
	if len(body) > 0 && json.Unmarshal(body, &ask) != nil {
		return "its body cannot be read"
	}
	if ask.Config.Copies {
		return ""
	}
	// The next message from a position on is any: no search.
	if ask.NextFor == ">" && (ask.Seq > 0 || ask.StartTime != "") {
		ask.NextFor = ""
	}
	for _, pattern := range append(append(ask.MultiLast, ask.NextFor, ask.LastFor, ask.Subjects, ask.Config.Filter), ask.Config.Filters...) {
		if pattern != "" && overTrades(pattern) {
			return "it asks for " + pattern
		}
	}
	return ""
}

// overTrades reports whether a pattern is about the events of more than one trade.
func overTrades(pattern string) bool {
	tokens := strings.Split(pattern, ".")
	return len(tokens) < 2 || tokens[0] != "captures" || tokens[1] == "*" || tokens[1] == ">"
}

func TestRequestsThatSearchTheLedgerAreSeen(t *testing.T) {
	for request, want := range map[string]bool{
		`$JS.API.DIRECT.GET.CAPTURES {"last_by_subj":"captures.T1.>"}`:                                      false,
		`$JS.API.DIRECT.GET.CAPTURES {"seq":7,"batch":500}`:                                                 false,
		`$JS.API.STREAM.MSG.GET.CAPTURES {"seq":7,"next_by_subj":">"}`:                                      false,
		`$JS.API.DIRECT.GET.CAPTURES.captures.T1.captured `:                                                 false,
		`$JS.API.CONSUMER.CREATE.CAPTURES.x {"config":{}}`:                                                  false,
		`$JS.API.DIRECT.GET.CAPTURE_CASES {"seq":7,"next_by_subj":"captures.*.parked"}`:                     false,
		`$JS.API.DIRECT.GET.CAPTURES {"seq":7,"next_by_subj":"captures.*.parked"}`:                          true,
		`$JS.API.DIRECT.GET.CAPTURES {"multi_last":["captures.T1.>","captures.*.parked"]}`:                  true,
		`$JS.API.DIRECT.GET.CAPTURES.captures.*.parked `:                                                    true,
		`$JS.API.STREAM.MSG.GET.CAPTURES {"last_by_subj":"captures.>"}`:                                     true,
		`$JS.API.STREAM.MSG.GET.CAPTURES {"last_by_subj":">"}`:                                              true,
		`$JS.API.STREAM.INFO.CAPTURES {"subjects_filter":"captures.*.parked"}`:                              true,
		`$JS.API.CONSUMER.CREATE.CAPTURES.x.captures.*.parked {"config":{}}`:                                true,
		`$JS.API.CONSUMER.CREATE.CAPTURES.x {"config":{"filter_subjects":["captures.*.a","captures.*.b"]}}`: true,
		`$JS.API.CONSUMER.CREATE.CAPTURES.x nonsense`:                                                       true,
	} {
		subject, body, _ := strings.Cut(request, " ")
		if _, why := searchesLedger(subject, []byte(body)); (why != "") != want {
			t.Errorf("%s: searches %t (%s), want %t", request, why != "", why, want)
		}
	}
}
