package preflight_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/finding"
	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/preflight"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, processtest.Leftovers()) }

// checker has a gateway that answers well, and no NATS.
func checker() *preflight.Checker {
	c := config.Defaults()
	c.Gateway.URL, c.Gateway.Timeout = "http://127.0.0.1:1/Payments", time.Second
	return &preflight.Checker{
		Config: c,
		Connect: func(context.Context) (*nats.Conn, jetstream.JetStream, error) {
			return nil, nil, errors.New("no server")
		},
		Query: func(context.Context, string) capture.Answer {
			return capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeTradeID}
		},
	}
}

// of returns the findings of one area as "level: text".
func of(found []finding.Finding, area string) string {
	var all []string
	for _, f := range found {
		if f.Area == area {
			all = append(all, string(f.Severity)+": "+f.What)
		}
	}
	return strings.Join(all, "\n")
}

func TestGatewayAnswersAreToldApart(t *testing.T) {
	order := &capture.Order{State: capture.OrderAuthorized}
	for name, tt := range map[string]struct {
		answer capture.Answer
		want   string
	}{
		"no such trade":  {capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeTradeID}, "ok: "},
		"a known trade":  {capture.Answer{Kind: capture.AnswerDone, Order: order}, "ok: "},
		"the signature":  {capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeSignature}, "error: signature error (-403)"},
		"the user":       {capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeUser}, "error: the user"},
		"internal error": {capture.Answer{Kind: capture.AnswerUnknown, Code: capture.CodeInternal}, "warning: internal error (-1000)"},
		"no connection":  {capture.Answer{Kind: capture.AnswerNotSent, Why: "refused"}, "error: http://127.0.0.1:1/Payments cannot be reached: refused"},
		"a proxy's page": {capture.Answer{Kind: capture.AnswerUnknown, HTTPStatus: 502, Why: "HTTP 502"}, "error: no usable answer"},
		"an outage":      {capture.Answer{Kind: capture.AnswerUnknown, Why: "no answer: EOF"}, "error: http://127.0.0.1:1/Payments is reached, but gives no answer: EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			c := checker()
			c.Query = func(_ context.Context, trade string) capture.Answer {
				if trade != capture.ProbeTradeID {
					t.Errorf("asked about %s", trade)
				}
				return tt.answer
			}
			if got := of(c.Run(t.Context()), "gateway"); !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMissingSettingsAndBrokerAreErrors(t *testing.T) {
	c := checker()
	c.Query, c.Missing = nil, errors.New("gateway.user is not set")
	found := c.Run(t.Context())
	if got := of(found, "gateway"); got != "error: gateway.user is not set" {
		t.Errorf("got %q", got)
	}
	if got := of(found, "nats"); got != "error: no server" {
		t.Errorf("got %q", got)
	}
	if finding.Worst(found) != finding.Error {
		t.Errorf("the worst is %s", finding.Worst(found))
	}
}

func TestNotificationAddress(t *testing.T) {
	for _, tt := range []struct{ listen, target, want string }{
		{"", "", "ok: off"},
		{":8080", "", "warning: notify.listen is :8080"},
		{"", "https://shop.example/notify", "warning: gateway.notify_url is https://shop.example/notify, but nothing listens"},
		{":8080", "https://shop.example/notify", "ok: requested at https://shop.example/notify"},
		{":8080", "http://shop.example/notify", "warning: gateway.notify_url is http://shop.example/notify: notifications are signed"},
		{":8080", "http://localhost:8080/notify", "warning: gateway.notify_url is http://localhost:8080/notify: only this machine"},
		{":8080", "https://10.1.2.3/notify", "warning: gateway.notify_url is https://10.1.2.3/notify: an address of a private network"},
		{":8080", "https://shop.example/hook", "ok: requested at https://shop.example/hook; whether the gateway reaches it cannot be checked from here\nwarning: gateway.notify_url has the path"},
	} {
		c := checker()
		c.Config.Notify.Listen, c.Config.Gateway.NotifyURL = tt.listen, tt.target
		if got := of(c.Run(t.Context()), "notifications"); !strings.HasPrefix(got, tt.want) {
			t.Errorf("listen %q, notify_url %q: got %q, want %q", tt.listen, tt.target, got, tt.want)
		}
	}
}

// An unfit stream is reported, and nothing is created beside it.
func TestBrokerIsLookedAtAndLeftAlone(t *testing.T) {
	s, err := natsserver.Start(natsserver.Options{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	connect := func(context.Context) (*nats.Conn, jetstream.JetStream, error) {
		nc, err := nats.Connect(s.URL(), nats.Timeout(processtest.Patience))
		if err != nil {
			return nil, nil, err
		}
		js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(processtest.Patience))
		return nc, js, err
	}
	nc, js, err := connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: ledger.DefaultStream, Subjects: []string{"captures.*.*"}, MaxMsgsPerSubject: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := checker()
	c.Connect = connect
	c.Streams.Jobs, c.Streams.DLQ = c.Config.Jobs.Stream, c.Config.Jobs.DLQStream
	found := c.Run(t.Context())
	if got := of(found, "ledger"); !strings.Contains(got, "error: stream CAPTURES: it keeps only 1 messages per subject") {
		t.Errorf("the ledger: %s", got)
	}
	if got := of(found, "jobs"); !strings.Contains(got, "warning: stream CAPTURE_JOBS does not exist yet") {
		t.Errorf("the jobs: %s", got)
	}
	if got := of(found, "clock"); !strings.HasPrefix(got, "ok: agrees with the NATS server's") {
		t.Errorf("the clock: %s", got)
	}
	names := 0
	for range js.StreamNames(t.Context()).Name() {
		names++
	}
	if names != 1 {
		t.Errorf("%d streams after the check, want the one that was there", names)
	}
}
