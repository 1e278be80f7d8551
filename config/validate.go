package config

import (
	"net/url"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// Need is what a command needs beyond valid settings.
type Need int

// The needs.
const (
	// NeedGateway is the need of a command that calls the gateway: its address, the
	// user and the secret key must be set.
	NeedGateway Need = iota
	// NeedRecords is the need of a command that uses the records' database.
	NeedRecords
	// NeedNotifyURL is the need of a command that makes capture calls, of which
	// notify_url is a required field.
	NeedNotifyURL
)

// Validate checks that each value is allowed and that the values are consistent.
// An error is of type Problems and names every problem with the key, the value,
// what is allowed and what to do. It does no I/O: it does not check whether NATS or
// the gateway answer, or a certificate can be read.
func (c Config) Validate(needs ...Need) error {
	v := &checker{c: c}
	v.nats()
	v.jobs()
	v.withdrawals()
	v.ledger()
	v.gateway()
	v.worker()
	v.reconcile()
	v.listeners()
	v.records()
	v.console()
	v.tracing()
	v.log()
	for _, need := range needs {
		switch need {
		case NeedGateway:
			v.gatewayNeeded()
		case NeedRecords:
			v.recordsNeeded()
		case NeedNotifyURL:
			v.notifyURLNeeded()
		}
	}
	return v.problems.asError()
}

func (v *checker) nats() {
	n := v.c.NATS
	if strings.Contains(n.URL, "@") {
		v.add("nats.url", "must not hold a user, a password or a token", "give them in nats.user, nats.password_file or nats.token_file")
	} else if n.Context == "" {
		v.serverList("nats.url", n.URL)
	}
	if n.Context != "" {
		if v.c.Origin("nats.url").From != FromDefault {
			v.add("nats.context", "brings its own address, and nats.url is set too", "keep one of them")
		}
		for _, key := range []string{"nats.creds", "nats.user", "nats.token"} {
			if v.text(key) != "" {
				v.add("nats.context", "brings its own credentials, and "+key+" is set too", "keep one of them")
			}
		}
	}
	v.onlyOne("nats.creds", "nats.user", "nats.token")
	v.together("nats.user", "nats.password")
	v.together("nats.tls_cert", "nats.tls_key")
	v.prefix("nats.inbox_prefix", n.InboxPrefix)
	v.notEmpty("nats.store_dir")
	v.atLeast("nats.ack_wait", n.AckWait, time.Second)
	v.between("nats.max_ack_pending", n.MaxAckPending, 1, 10_000_000)
	if n.MaxAckPending < v.c.Worker.Concurrency {
		v.add("nats.max_ack_pending", "must not be below worker.concurrency ("+v.text("worker.concurrency")+"), or slots stay unused", "raise it: jobs that wait for a retry count here too")
	}
	if n.Replicas != 1 && n.Replicas != 3 && n.Replicas != 5 {
		v.add("nats.replicas", "must be 1, 3 or 5", "")
	}
}

func (v *checker) jobs() {
	for _, key := range []string{"jobs.stream", "jobs.consumer", "jobs.dlq_stream", "jobs.acts_stream", "ledger.stream", "ledger.cases_stream"} {
		v.streamName(key)
	}
	v.distinct("jobs.stream", "jobs.dlq_stream", "jobs.acts_stream", "ledger.stream", "ledger.cases_stream")
	if len(v.c.Jobs.Subjects) == 0 {
		v.add("jobs.subjects", "must name at least one subject", "the default is capture.jobs.>")
	}
	for _, s := range v.c.Jobs.Subjects {
		v.subject("jobs.subjects", s)
	}
	v.mapping()
	v.sums("publish.ask_above", v.c.Publish.AskAbove)
	v.sums("approval.above", v.c.Approval.Above)
	v.lanes()
}

func (v *checker) withdrawals() {
	w := v.c.Withdrawals
	v.streamName("withdrawals.stream")
	v.distinct("withdrawals.stream", "jobs.dlq_stream", "jobs.acts_stream", "ledger.stream")
	if len(w.Subjects) == 0 {
		v.add("withdrawals.subjects", "must name at least one subject", "the default is capture.withdrawals.>")
	}
	for _, s := range w.Subjects {
		v.subject("withdrawals.subjects", s)
	}
	if _, err := capture.NewWithdrawalDecoder(capture.Mapping{Fields: w.Fields}); err != nil {
		v.mappingFault("withdrawals.fields", err)
	}
	if _, err := capture.NewWithdrawalDecoder(capture.Mapping{Match: w.Match}); err != nil {
		v.mappingFault("withdrawals.match", err)
	}
}

func (v *checker) ledger() {
	if u, err := url.Parse(v.c.Ledger.Source); err != nil || v.c.Ledger.Source == "" || u.String() != v.c.Ledger.Source {
		v.add("ledger.source", "must be a URI reference without spaces, as CloudEvents wants it", "write a name such as capture-worker, or an address such as https://shop.example/captures")
	}
	// If the ledger no longer has a trade, a late copy of its job would be
	// processed as new.
	least := v.c.Gateway.Window + v.c.Worker.GiveUpAfter
	if age := v.c.Ledger.MaxAge; age != 0 && age < least {
		v.add("ledger.max_age", "must be 0 (forever) or at least gateway.window and worker.give_up_after together ("+FormatDuration(least)+")", "keep the ledger longer: it is the audit trail too")
	}
}

func (v *checker) gateway() {
	g := v.c.Gateway
	if g.URL != "" {
		v.webAddress("gateway.url", g.URL, "that begins with https://")
		v.plainHTTP()
	}
	v.together("gateway.tls_cert", "gateway.tls_key")
	if g.TLSMin != "1.2" && g.TLSMin != "1.3" {
		v.add("gateway.tls_min", "must be 1.2 or 1.3", "")
	}
	v.notifyURL()
	for _, host := range g.NotifyHosts {
		v.host("gateway.notify_hosts", host)
	}
	v.atLeast("gateway.window", g.Window, time.Hour)
	v.above("gateway.timeout", g.Timeout, 0)
	if g.Timeout >= v.c.NATS.AckWait {
		v.add("gateway.timeout", "must be shorter than nats.ack_wait ("+v.text("nats.ack_wait")+"), or a job is delivered to another worker during its call", "raise nats.ack_wait")
	}
	if g.Rate < 0 {
		v.add("gateway.rate", "must be 0 (no limit) or above", "")
	}
}

func (v *checker) gatewayNeeded() {
	if v.c.Gateway.URL == "" {
		v.add("gateway.url", "is not set", "set CAPTURE_GATEWAY_URL; live it is https://mapi.yabandpay.com/Payments")
	}
	if v.c.Gateway.User == "" {
		v.add("gateway.user", "is not set", "set CAPTURE_GATEWAY_USER to the UID of the cashier account")
	}
	if v.c.Gateway.SecretKey == "" {
		v.add("gateway.secret_key", "is not set", "set CAPTURE_GATEWAY_SECRET_KEY_FILE to the path of a file that holds it, or CAPTURE_GATEWAY_SECRET_KEY")
	}
}

func (v *checker) notifyURLNeeded() {
	if g := v.c.Gateway; g.NotifyURL == "" && !g.AllowEmptyNotifyURL {
		v.add("gateway.notify_url", "is not set, and is a required field of every capture call",
			"set CAPTURE_GATEWAY_NOTIFY_URL to the https address under which the gateway reaches this worker or your own listener, or set gateway.allow_empty_notify_url")
	}
}

func (v *checker) worker() {
	w := v.c.Worker
	v.workerName()
	v.between("worker.concurrency", w.Concurrency, 1, 10_000)
	v.above("worker.backoff.initial", w.Backoff.Initial, 0)
	v.notAbove("worker.backoff.initial", w.Backoff.Initial, "worker.backoff.max", w.Backoff.Max)
	v.atLeast("worker.backoff.inline", w.Backoff.Inline, 0)
	v.above("worker.retry.initial", w.Retry.Initial, 0)
	v.notAbove("worker.retry.initial", w.Retry.Initial, "worker.retry.max", w.Retry.Max)
	v.atLeast("worker.give_up_after", w.GiveUpAfter, time.Minute)
	v.atLeast("worker.attention_after", w.AttentionAfter, time.Minute)
	v.atLeast("worker.probe_interval", w.ProbeInterval, 10*time.Millisecond)
	v.between("worker.refusal_run", w.RefusalRun, 2, 1000)
	v.atLeast("worker.shutdown_timeout", w.ShutdownTimeout, 0)
}

func (v *checker) reconcile() {
	r := v.c.Reconcile
	if r.Settle <= v.c.Gateway.Timeout {
		v.add("reconcile.settle", "must be longer than gateway.timeout ("+v.text("gateway.timeout")+"), or a request in transit counts as lost", "raise reconcile.settle or lower gateway.timeout")
	}
	v.between("reconcile.agree", r.Agree, 2, 10)
	v.above("reconcile.spacing", r.Spacing, 0)
	if r.Final < r.Settle {
		v.add("reconcile.final", "must not be below reconcile.settle ("+v.text("reconcile.settle")+")", "a request in transit would count as lost")
	}
}

func (v *checker) listeners() {
	v.address("notify.listen", v.c.Notify.Listen)
	v.address("admin.listen", v.c.Admin.Listen)
	if n, a := v.c.Notify.Listen, v.c.Admin.Listen; n != "" && n == a && !strings.HasSuffix(n, ":0") {
		v.add("notify.listen", "is the address of admin.listen too; metrics must not be open to the gateway's network", "choose another port")
	}
	if p := v.c.Notify.Path; !strings.HasPrefix(p, "/") || strings.ContainsAny(p, "?# {}") {
		v.add("notify.path", "must be a plain path that begins with /", "the default is /notify")
	}
	v.networks("notify.allow", v.c.Notify.Allow)
	v.networks("notify.trusted_proxies", v.c.Notify.TrustedProxies)
	v.together("notify.proxy_header", "notify.trusted_proxies")
	if strings.ContainsFunc(v.c.Notify.ProxyHeader, notInHeaders) {
		v.add("notify.proxy_header", "must be a name of a header, such as X-Forwarded-For", "")
	}
}

func (v *checker) records() {
	r := v.c.Records
	v.streamName("records.consumer")
	v.address("records.listen", r.Listen)
	scheme, _, isURL := strings.Cut(string(r.DSN), "://")
	if isURL && scheme != "postgres" && scheme != "postgresql" {
		v.add("records.dsn", "must be the path of a SQLite file or a postgres:// URL", "a URL begins with postgres://user@host/database")
	}
}

func (v *checker) recordsNeeded() {
	if dsn := v.c.Records.DSN; dsn == "" || dsn == RecordsOff {
		v.add("records.dsn", "is not set", "set CAPTURE_RECORDS_DSN to the path of a SQLite file, or to a postgres:// URL (CAPTURE_RECORDS_DSN_FILE if that holds a password)")
	}
}

func (v *checker) tracing() {
	t := v.c.Tracing
	if t.Endpoint != "" {
		v.webAddress("tracing.endpoint", t.Endpoint, "of a collector of OTLP over HTTP, such as http://collector:4318 or https://collector:4318")
		if strings.Contains(t.Endpoint, "?") {
			v.add("tracing.endpoint", "must not hold a ? part", "set headers for the collector in OTEL_EXPORTER_OTLP_HEADERS")
		}
	}
	if t.Sample < 0 || t.Sample > 1 {
		v.add("tracing.sample", "must be from 0 to 1", "1 keeps all traces, 0.1 every tenth")
	}
}

func (v *checker) log() {
	v.oneOf("log.level", v.c.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("ledger.description", v.c.Ledger.Description, DescriptionKeep, DescriptionOmit)
	v.oneOf("ledger.batches", v.c.Ledger.Batches, "auto", "on", "off")
	v.oneOf("log.format", v.c.Log.Format, "text", "json")
}
