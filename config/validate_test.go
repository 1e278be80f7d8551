package config_test

import (
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/config"
)

// TestValidate holds the message of every rule. Each case is an
// environment; the golden file holds all messages.
func TestValidate(t *testing.T) {
	const (
		secret = "CAPTURE_GATEWAY_SECRET_KEY=s"
		user   = "CAPTURE_GATEWAY_USER=016683"
		url    = "CAPTURE_GATEWAY_URL=https://g.example/Payments"
	)
	var out strings.Builder
	for _, tt := range []struct {
		name string
		env  string // separated by spaces
		need []config.Need
	}{
		{"nothing set for the gateway", "", []config.Need{config.NeedGateway}},
		{"all set for the gateway", secret + " " + user + " " + url, []config.Need{config.NeedGateway}},
		{"gateway address without scheme", "CAPTURE_GATEWAY_URL=mapi.yabandpay.com/Payments", nil},
		{"gateway address with password", "CAPTURE_GATEWAY_URL=https://u:pw@h/P", nil},
		{"gateway address plain", "CAPTURE_GATEWAY_URL=http://sim:8080/Payments", nil},
		{"gateway address plain, permitted", "CAPTURE_GATEWAY_URL=http://sim:8080/P CAPTURE_GATEWAY_ALLOW_PLAIN_HTTP=true", nil},
		{"gateway address plain, loopback", "CAPTURE_GATEWAY_URL=http://127.0.0.1:8080/P", nil},
		{"notify address", "CAPTURE_GATEWAY_NOTIFY_URL=/notify", nil},
		{"timeout against settle and ack wait", "CAPTURE_GATEWAY_TIMEOUT=2m", nil},
		{"timeout zero", "CAPTURE_GATEWAY_TIMEOUT=0s", nil},
		{"settle", "CAPTURE_RECONCILE_SETTLE=20s CAPTURE_RECONCILE_AGREE=1 CAPTURE_RECONCILE_SPACING=0s", nil},
		{"rate", "CAPTURE_GATEWAY_RATE=-1", nil},
		{"schedules", "CAPTURE_WORKER_BACKOFF_INITIAL=11s CAPTURE_WORKER_RETRY_INITIAL=1h CAPTURE_WORKER_BACKOFF_INLINE=-1s", nil},
		{"schedules of zero", "CAPTURE_WORKER_BACKOFF_INITIAL=0s CAPTURE_WORKER_RETRY_INITIAL=0s CAPTURE_WORKER_GIVE_UP_AFTER=0s CAPTURE_WORKER_SHUTDOWN_TIMEOUT=-1s CAPTURE_WORKER_PROBE_INTERVAL=1ms", nil},
		{"concurrency zero", "CAPTURE_WORKER_CONCURRENCY=0", nil},
		{"concurrency above ack pending", "CAPTURE_NATS_MAX_ACK_PENDING=10", nil},
		{"worker name", "CAPTURE_WORKER_NAME=a\tb", nil},
		{"listeners", "CAPTURE_NOTIFY_LISTEN=8080 CAPTURE_ADMIN_LISTEN=:70000", nil},
		{"listeners with names", "CAPTURE_NOTIFY_LISTEN=localhost:0 CAPTURE_ADMIN_LISTEN=[::1]:0", nil},
		{"listeners on one port", "CAPTURE_NOTIFY_LISTEN=:8080 CAPTURE_ADMIN_LISTEN=:8080", nil},
		{"listeners off", "CAPTURE_NOTIFY_LISTEN=off CAPTURE_ADMIN_LISTEN=", nil},
		{"notify path", "CAPTURE_NOTIFY_PATH=notify", nil},
		{"notify sources", "CAPTURE_NOTIFY_ALLOW=203.0.113.0/24,2001:db8::/32,192.0.2.7 CAPTURE_NOTIFY_PROXY_HEADER=X-Forwarded-For CAPTURE_NOTIFY_TRUSTED_PROXIES=10.0.0.0/8", nil},
		{"notify sources, not networks", "CAPTURE_NOTIFY_ALLOW=203.0.113.7/24 CAPTURE_NOTIFY_TRUSTED_PROXIES=lb.example CAPTURE_NOTIFY_PROXY_HEADER=X:Y", nil},
		{"notify proxy without header", "CAPTURE_NOTIFY_TRUSTED_PROXIES=10.0.0.0/8", nil},
		{"notify_url missing", "CAPTURE_GATEWAY_NOTIFY_HOSTS=shop.example", []config.Need{config.NeedNotifyURL}},
		{"notify_url missing, allowed", "CAPTURE_GATEWAY_ALLOW_EMPTY_NOTIFY_URL=true", []config.Need{config.NeedNotifyURL}},
		{"notify_url", "CAPTURE_GATEWAY_NOTIFY_URL=https://shop.example/notify?a=1&b=2", []config.Need{config.NeedNotifyURL}},
		{"notify_url to this machine", "CAPTURE_GATEWAY_NOTIFY_URL=http://127.0.0.1:8080/notify", []config.Need{config.NeedNotifyURL}},
		{"notify_url in the clear", "CAPTURE_GATEWAY_NOTIFY_URL=http://shop.example/notify", nil},
		{"notify_url that forges", "CAPTURE_GATEWAY_NOTIFY_URL=https://shop.example/?x=1&amount=2", nil},
		{"notify_url with a fragment", "CAPTURE_GATEWAY_NOTIFY_URL=https://shop.example/#x", nil},
		{"notify_url with password", "CAPTURE_GATEWAY_NOTIFY_URL=https://u:pw@shop.example/n", nil},
		{"notify_hosts", "CAPTURE_GATEWAY_NOTIFY_HOSTS=shop.example,10.0.0.1,[::1],::1", nil},
		{"notify_hosts bad", "CAPTURE_GATEWAY_NOTIFY_HOSTS=https://shop.example,shop.example:443,*.example,shop.example/n", nil},
		{"window and final", "CAPTURE_GATEWAY_WINDOW=7d CAPTURE_RECONCILE_FINAL=45s CAPTURE_LEDGER_MAX_AGE=10d", nil},
		{"window and final too short", "CAPTURE_GATEWAY_WINDOW=30m CAPTURE_RECONCILE_FINAL=44s", nil},
		{"nats address", "CAPTURE_NATS_URL=http://h:4222", nil},
		{"nats address with password", "CAPTURE_NATS_URL=nats://u:pw@h:4222", nil},
		{"nats addresses", "CAPTURE_NATS_URL=h1:4222,tls://h2:4222", nil},
		{"nats context and more", "CAPTURE_NATS_CONTEXT=prod CAPTURE_NATS_URL=nats://h CAPTURE_NATS_CREDS=c", nil},
		{"nats context alone", "CAPTURE_NATS_CONTEXT=prod", nil},
		{"nats two ways to sign in", "CAPTURE_NATS_CREDS=c CAPTURE_NATS_TOKEN=t", nil},
		{"nats password alone", "CAPTURE_NATS_PASSWORD=p", nil},
		{"nats certificate alone", "CAPTURE_NATS_TLS_CERT=c", nil},
		{"ledger source", "CAPTURE_LEDGER_SOURCE=a%zz", nil},
		{"inbox prefix", "CAPTURE_NATS_INBOX_PREFIX=_INBOX.>", nil},
		{"gateway TLS", "CAPTURE_GATEWAY_TLS_MIN=1.1 CAPTURE_GATEWAY_TLS_CERT=c", nil},
		{"nats replicas", "CAPTURE_NATS_REPLICAS=2 CAPTURE_NATS_ACK_WAIT=1ms", nil},
		{"stream names", "CAPTURE_JOBS_STREAM=A.B CAPTURE_JOBS_CONSUMER=*", nil},
		{"stream names twice", "CAPTURE_JOBS_STREAM=CAPTURES CAPTURE_JOBS_DLQ_STREAM=CAPTURES", nil},
		{"subjects none", "CAPTURE_JOBS_SUBJECTS=,", nil},
		{"subjects bad", "CAPTURE_JOBS_SUBJECTS=a..b,a>.b,>.x", nil},
		{"subjects too wide", "CAPTURE_JOBS_SUBJECTS=>,capture.>,*.shipped", nil},
		{"fields unknown", "CAPTURE_JOBS_FIELDS=tradeid=a.b", nil},
		{"fields and match", "CAPTURE_JOBS_FIELDS=trade_id=a.b CAPTURE_JOBS_MATCH=type=shipped", nil},
		{"match bad", "CAPTURE_JOBS_MATCH=a..b=c", nil},
		{"ledger too short", "CAPTURE_LEDGER_MAX_AGE=30d", nil},
		{"ledger forever", "CAPTURE_LEDGER_MAX_AGE=0s", nil},
		{"traces", "CAPTURE_TRACING_ENDPOINT=http://collector:4318 CAPTURE_TRACING_SAMPLE=0.1", nil},
		{"traces, address bad", "CAPTURE_TRACING_ENDPOINT=collector:4317 CAPTURE_TRACING_SAMPLE=1.5", nil},
		{"traces, address with secrets", "CAPTURE_TRACING_ENDPOINT=https://u:pw@h:4318/v1/traces?key=k", nil},
		{"log", "CAPTURE_LOG_LEVEL=loud CAPTURE_LOG_FORMAT=xml", nil},
	} {
		c, err := config.Load(config.Options{Env: env(strings.Split(tt.env, " ")...)})
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		text := "good"
		if err := c.Validate(tt.need...); err != nil {
			text = err.Error()
		}
		out.WriteString("# " + tt.name + "\n" + text + "\n\n")
	}
	if strings.Contains(out.String(), "pw@") {
		t.Error("a password shows")
	}
	golden(t, "validate.golden", out.String())
}

// TestValidateByHand checks that a configuration made in Go is validated by the
// same rules.
func TestValidateByHand(t *testing.T) {
	if err := (config.Config{}).Validate(); err == nil {
		t.Error("the zero configuration is taken")
	}
	c := config.Defaults()
	c.Worker.Concurrency = 0
	problems, ok := c.Validate().(config.Problems)
	if !ok || len(problems) != 1 || problems[0].Area != "worker.concurrency" || !strings.Contains(problems[0].What, `is "0"`) {
		t.Errorf("got %v", problems)
	}
}
