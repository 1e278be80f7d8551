// Package config holds every setting of capture-worker in one struct, with its
// default, its documentation and its validation.
//
// The tags of the struct are the only source: defaults, environment variables,
// flags, the printed configuration and the table in the docs are generated from
// them. To add a setting, add a field.
//
// A setting comes from a flag, an environment variable, the file or the default,
// in this order. Secrets have no flag, because other users can read the flags of
// a process; they come from the environment, the file, or a file of their own.
package config

import (
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
)

// Config is the whole configuration. Load reads one; Defaults returns one with the
// defaults. Validate checks it.
type Config struct {
	NATS        NATS
	Jobs        Jobs
	Withdrawals Withdrawals
	Ledger      Ledger
	Gateway     Gateway
	Worker      Worker
	Reconcile   Reconcile
	Notify      Notify
	Admin       Admin
	Publish     Publish
	Approval    Approval
	Records     Records
	Archive     Archive
	Console     Console
	Tracing     Tracing
	Log         Log

	// origins holds where each value came from, by key.
	origins map[string]Origin
	// fromFile is set if a file was read.
	fromFile bool
}

// NATS configures the connection to JetStream and its use by the worker.
type NATS struct {
	URL           string         `key:"nats.url" kind:"url" default:"nats://127.0.0.1:4222" doc:"the NATS servers, separated by commas; NATS_URL if nothing of ours sets it"`
	Context       string         `key:"nats.context" doc:"a context of the nats command line, used instead of nats.url and the credentials; selected: the one selected there"`
	Creds         string         `key:"nats.creds" doc:"path of a credentials file (JWT and seed); NATS_CREDS if no credentials of ours are set"`
	User          string         `key:"nats.user" doc:"user name"`
	Password      gateway.Secret `key:"nats.password" doc:"password of nats.user"`
	PasswordFile  string         `key:"nats.password_file" doc:"path of a file that holds nats.password"`
	Token         gateway.Secret `key:"nats.token" doc:"token, if the server requires one"`
	TokenFile     string         `key:"nats.token_file" doc:"path of a file that holds nats.token"`
	TLSCA         string         `key:"nats.tls_ca" doc:"path of the CA certificates (PEM) to trust instead of the system's"`
	TLSCert       string         `key:"nats.tls_cert" doc:"path of the client certificate (PEM)"`
	TLSKey        string         `key:"nats.tls_key" doc:"path of the key of the client certificate (PEM)"`
	InboxPrefix   string         `key:"nats.inbox_prefix" default:"_INBOX" doc:"first tokens of the subjects of replies; with one per role, no user can listen to the replies of another"`
	StoreDir      string         `key:"nats.store_dir" default:"capture-data" doc:"folder of the server that --embedded runs"`
	AckWait       time.Duration  `key:"nats.ack_wait" default:"1m" doc:"a job that is not acked or extended for so long is redelivered; used when the consumer is created"`
	MaxAckPending int            `key:"nats.max_ack_pending" default:"50000" doc:"jobs delivered and not yet acked, including those that wait for a retry; used when the consumer is created"`
	Replicas      int            `key:"nats.replicas" default:"1" doc:"replicas of the streams that are created: 1, 3 or 5"`
}

// Jobs configures the streams of the jobs and their decoding.
type Jobs struct {
	Stream     string                   `key:"jobs.stream" default:"CAPTURE_JOBS" doc:"stream of the jobs; created when missing, never altered"`
	Subjects   []string                 `key:"jobs.subjects" default:"capture.jobs.>" doc:"subjects of the jobs in that stream"`
	Consumer   string                   `key:"jobs.consumer" default:"capture-worker" doc:"durable consumer of the workers; created when missing"`
	Lanes      map[string]string        `key:"jobs.lanes" doc:"lanes that share the gateway by weight, as lane=subjects separated by spaces: live=capture.jobs.shipped,batch=capture.jobs.batch; none: one lane"`
	Weights    map[string]string        `key:"jobs.weights" doc:"weight of a lane, 1 to 1000, as lane=weight: live=4,batch=1; default 1"`
	DLQStream  string                   `key:"jobs.dlq_stream" default:"CAPTURE_DLQ" doc:"stream of the dead letters, subjects capture.dlq.<reason>"`
	ActsStream string                   `key:"jobs.acts_stream" default:"CAPTURE_ACTS" doc:"stream of the record of operators' acts, subjects capture.acts.<act>"`
	Fields     map[string]capture.Field `key:"jobs.fields" doc:"where foreign events carry a field of the job, as field=path: trade_id=payment.trade_id,amount=$.payments[0].total; in the file also a list of paths, a value, a unit"`
	Match      []capture.Match          `key:"jobs.match" doc:"which events are jobs, as path=value; all must match, others are acked without processing"`
}

// Withdrawals is where withdrawals come from and how they are decoded.
type Withdrawals struct {
	Stream   string                   `key:"withdrawals.stream" default:"CAPTURE_WITHDRAWALS" doc:"stream of the withdrawals; created when missing, never altered"`
	Subjects []string                 `key:"withdrawals.subjects" default:"capture.withdrawals.>" doc:"subjects of the withdrawals in that stream"`
	Fields   map[string]capture.Field `key:"withdrawals.fields" doc:"where foreign events carry trade_id, order_id, reason and by of a withdrawal, as field=path; none: trade_id and order_id as jobs.fields maps them"`
	Match    []capture.Match          `key:"withdrawals.match" doc:"which events are withdrawals, as path=value; all must match, others are acked without processing"`
}

// Publish configures when the publish command asks for confirmation.
type Publish struct {
	AskAbove map[string]string `key:"publish.ask_above" doc:"sums above which publish asks at a terminal before it sends, as currency=amount: EUR=10000,JPY=1500000; none: it never asks"`
}

// Approval configures which actions of operators need the name of a second
// operator.
type Approval struct {
	Above map[string]string `key:"approval.above" doc:"sums above which an act that moves money needs a second name (--approved-by): retry, parked release, and dlq republish of a sum above the original; as currency=amount: EUR=1000,JPY=150000; a currency that is not listed has no limit"`
}

// Ledger is the ledger's stream.
type Ledger struct {
	Stream      string        `key:"ledger.stream" default:"CAPTURES" doc:"stream of the ledger, subjects captures.<trade_id>.<event>"`
	Cases       string        `key:"ledger.cases_stream" default:"CAPTURE_CASES" doc:"stream into which JetStream copies what opens or changes the case of a trade; created when missing, never altered"`
	Source      string        `key:"ledger.source" default:"capture-worker" doc:"ce-source of the events, such as the name of the shop: a URI reference"`
	MaxAge      time.Duration `key:"ledger.max_age" default:"400d" doc:"how long the ledger keeps a trade; used when the stream is created; 0 is forever"`
	Batches     string        `key:"ledger.batches" default:"auto" doc:"auto, on or off: whether events that wait at the same time are stored in one atomic batch; auto measures whether the server waits for its disk, as with sync_interval: always, and whether batches pay"`
	Description string        `key:"ledger.description" default:"keep" doc:"whether events keep the job's description: keep, or omit if it may be personal, as nothing in the ledger can be erased"`
}

// The values of ledger.description.
const (
	DescriptionKeep = "keep"
	DescriptionOmit = "omit"
)

// Gateway configures the calls to the payment gateway.
type Gateway struct {
	URL                   string         `key:"gateway.url" kind:"url" doc:"the gateway's endpoint; live: https://mapi.yabandpay.com/Payments"`
	User                  string         `key:"gateway.user" doc:"UID of the cashier account"`
	SecretKey             gateway.Secret `key:"gateway.secret_key" doc:"key that signs requests and verifies notifications"`
	SecretKeyFile         string         `key:"gateway.secret_key_file" doc:"path of a file that holds gateway.secret_key"`
	PreviousSecretKey     gateway.Secret `key:"gateway.previous_secret_key" doc:"the key before the last rotation; notifications signed with it are still accepted"`
	PreviousSecretKeyFile string         `key:"gateway.previous_secret_key_file" doc:"path of a file that holds gateway.previous_secret_key"`
	AllowPlainHTTP        bool           `key:"gateway.allow_plain_http" default:"false" doc:"permit http:// to another machine, for a simulator; never for the live gateway"`
	TLSCA                 string         `key:"gateway.tls_ca" doc:"path of the CA certificates (PEM) to trust instead of the system's"`
	TLSCert               string         `key:"gateway.tls_cert" doc:"path of the client certificate (PEM)"`
	TLSKey                string         `key:"gateway.tls_key" doc:"path of its key (PEM)"`
	TLSMin                string         `key:"gateway.tls_min" default:"1.2" doc:"oldest accepted version of TLS: 1.2 or 1.3"`
	NotifyURL             string         `key:"gateway.notify_url" kind:"url" doc:"where the gateway reports changes, for jobs that name no address; https, or http to this machine; run needs it"`
	AllowEmptyNotifyURL   bool           `key:"gateway.allow_empty_notify_url" default:"false" doc:"let run start without gateway.notify_url: calls are sent without an address, which the gateway documents as required"`
	NotifyHosts           []string       `key:"gateway.notify_hosts" doc:"hosts that a job's own notify_url may name; none: that of gateway.notify_url"`
	Window                time.Duration  `key:"gateway.window" doc:"how long the gateway keeps an authorization open for its capture"`
	Timeout               time.Duration  `key:"gateway.timeout" default:"30s" doc:"timeout of one call; a short one makes answers unknown"`
	Rate                  float64        `key:"gateway.rate" default:"0" doc:"calls per second and process; 0 is no limit"`
}

// Worker configures the processing of jobs.
type Worker struct {
	Name            string        `key:"worker.name" shown:"host name and process id" doc:"name of this process in the ledger"`
	Concurrency     int           `key:"worker.concurrency" default:"64" doc:"gateway calls in flight; waiting jobs do not count"`
	Backoff         Backoff       `key:"worker.backoff"`
	Retry           Retry         `key:"worker.retry"`
	GiveUpAfter     time.Duration `key:"worker.give_up_after" doc:"when an unresolved trade is parked, if no deadline is known"`
	AttentionAfter  time.Duration `key:"worker.attention_after" default:"24h" doc:"a trade that is open longer is listed (parked list --open), counted and alerted"`
	ProbeInterval   time.Duration `key:"worker.probe_interval" default:"5s" doc:"pause between probes of the gateway while it is down or refuses our key"`
	RefusalRun      int           `key:"worker.refusal_run" default:"20" doc:"job intake pauses when so many different trades in a row are refused with one code and none is captured"`
	ShutdownTimeout time.Duration `key:"worker.shutdown_timeout" default:"25s" doc:"how long a shutdown waits for the calls in flight"`
}

// Backoff is the schedule of retries inside one delivery.
type Backoff struct {
	Initial time.Duration `key:"worker.backoff.initial" default:"500ms" doc:"first pause before a call is made again"`
	Max     time.Duration `key:"worker.backoff.max" default:"10s" doc:"longest pause inside a delivery, plus or minus half"`
	Inline  time.Duration `key:"worker.backoff.inline" default:"15s" doc:"longest total pause inside a delivery; then the job is redelivered later"`
}

// Retry is the schedule of delayed redeliveries.
type Retry struct {
	Initial time.Duration `key:"worker.retry.initial" default:"15s" doc:"delay of the first redelivery"`
	Max     time.Duration `key:"worker.retry.max" default:"15m" doc:"longest delay of a redelivery, plus or minus half"`
}

// Reconcile configures when answers of Order Query count.
type Reconcile struct {
	Settle  time.Duration `key:"reconcile.settle" doc:"how long a request without an answer may still take effect; above gateway.timeout"`
	Agree   int           `key:"reconcile.agree" doc:"queries that must agree on \"authorized\" before such a capture is sent again"`
	Spacing time.Duration `key:"reconcile.spacing" doc:"pause between these queries"`
	Final   time.Duration `key:"reconcile.final" doc:"how long queries must agree after the last call before a trade in doubt is failed because its deadline has passed, and how long answers that settle nothing are collected before the trade is parked"`
}

// Notify is the listener for the gateway's notifications.
type Notify struct {
	Listen         string   `key:"notify.listen" kind:"listen" doc:"address of the listener for notifications, such as :8080; empty or off: none"`
	Path           string   `key:"notify.path" default:"/notify" doc:"path of the notifications"`
	Allow          []string `key:"notify.allow" doc:"networks that notifications may come from, such as 203.0.113.0/24; none: all; the signature decides"`
	ProxyHeader    string   `key:"notify.proxy_header" doc:"header in which notify.trusted_proxies append the sender's address, such as X-Forwarded-For"`
	TrustedProxies []string `key:"notify.trusted_proxies" doc:"networks of the proxies in front of the listener, whose notify.proxy_header is trusted"`
}

// Admin is the listener for metrics and health.
type Admin struct {
	Listen string `key:"admin.listen" kind:"listen" default:"127.0.0.1:9464" doc:"address of metrics and health; empty or off: none; port 0: a free one"`
	Pprof  bool   `key:"admin.pprof" default:"false" doc:"serve /debug/pprof there too"`
}

// Records is the read model of the ledger.
type Records struct {
	DSN      gateway.Secret `key:"records.dsn" doc:"database of the records: the path of a SQLite file, or a postgres:// URL; off: none. run --embedded and demo keep a file in nats.store_dir if it is not set"`
	DSNFile  string         `key:"records.dsn_file" doc:"path of a file that holds records.dsn"`
	Consumer string         `key:"records.consumer" default:"capture-records" doc:"durable consumers by which the records read the ledger and the dead letters; another name for each database"`
	Listen   string         `key:"records.listen" kind:"listen" default:"127.0.0.1:9465" doc:"address of metrics and health of the records command; empty or off: none; port 0: a free one"`
}

// Archive is where the ledger's events are kept beyond its age.
type Archive struct {
	To string `key:"archive.to" doc:"where closed days of the ledger are archived: a folder, s3://BUCKET/PREFIX?endpoint=URL&region=NAME or nats-object://BUCKET; export and acts list read it too"`
}

// RecordsOff, as records.dsn, means that no records are kept.
const RecordsOff = "off"

// Console is the web console.
type Console struct {
	Listen         string        `key:"console.listen" kind:"listen" default:"127.0.0.1:9466" doc:"address of the console; empty or off: none; port 0: a free one"`
	URL            string        `key:"console.url" kind:"url" doc:"address at which browsers reach the console, such as https://capture.shop.example; none: that of the listener"`
	TLSCert        string        `key:"console.tls_cert" doc:"path of the console's certificate (PEM)"`
	TLSKey         string        `key:"console.tls_key" doc:"path of the key of the console's certificate (PEM)"`
	ReadOnly       bool          `key:"console.read_only" default:"false" doc:"turn all acts off, whatever the roles"`
	Users          string        `key:"console.users" doc:"path of a file of users and bcrypt hashes, one name:hash a line, as htpasswd -B writes it"`
	Tokens         string        `key:"console.tokens" doc:"path of a file of API tokens, one name:hash a line; the hash is the SHA-256 of the token in hex"`
	TrustedProxies []string      `key:"console.trusted_proxies" doc:"networks of the proxies whose console.identity_header is trusted"`
	IdentityHeader string        `key:"console.identity_header" doc:"header in which console.trusted_proxies name the user they have authenticated, such as X-Forwarded-User"`
	GroupsHeader   string        `key:"console.groups_header" doc:"header in which they name the user's groups, separated by commas"`
	Viewers        []string      `key:"console.viewers" doc:"who may read: names of users, or group:NAME; none: every authenticated user"`
	Operators      []string      `key:"console.operators" doc:"who may also act: names of users, or group:NAME"`
	Approvers      []string      `key:"console.approvers" doc:"who may also do what needs an approver: names of users, or group:NAME"`
	Session        time.Duration `key:"console.session" default:"10h" doc:"how long a login lasts"`
	SessionIdle    time.Duration `key:"console.session_idle" default:"1h" doc:"how long it lasts without a request"`
	OIDC           ConsoleOIDC   `key:"console.oidc"`
}

// ConsoleOIDC is the OpenID Connect provider of the console's logins.
type ConsoleOIDC struct {
	Issuer           string         `key:"console.oidc.issuer" kind:"url" doc:"address of the OpenID Connect provider; none: no login with it. The redirect address to register there is console.url with /oidc/callback"`
	ClientID         string         `key:"console.oidc.client_id" doc:"client id of the console there"`
	ClientSecret     gateway.Secret `key:"console.oidc.client_secret" doc:"secret of the client; none for a public client"`
	ClientSecretFile string         `key:"console.oidc.client_secret_file" doc:"path of a file that holds console.oidc.client_secret"`
	Scopes           []string       `key:"console.oidc.scopes" default:"email,profile" doc:"scopes to ask for beside openid"`
	NameClaim        string         `key:"console.oidc.name_claim" default:"email" doc:"claim of the ID token that names the user; an email must be verified"`
	GroupsClaim      string         `key:"console.oidc.groups_claim" default:"groups" doc:"claim that lists the user's groups"`
}

// Tracing configures the export of OpenTelemetry spans.
type Tracing struct {
	Endpoint string  `key:"tracing.endpoint" kind:"url" doc:"where spans are sent, OTLP over HTTP: http://collector:4318; empty: none are made"`
	Sample   float64 `key:"tracing.sample" default:"1" doc:"share of the traces that start here and are kept, 0 to 1; a trace of the publisher keeps its decision"`
	Service  string  `key:"tracing.service" shown:"capture-worker, or OTEL_SERVICE_NAME" doc:"service.name of the spans"`
}

// Log is the level and the format of the log.
type Log struct {
	Level  string `key:"log.level" default:"info" doc:"debug, info, warn or error"`
	Format string `key:"log.format" default:"text" doc:"text or json"`
}
