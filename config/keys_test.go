package config_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
)

// samples are values that a key of the type can take, none a default.
var samples = map[string][]string{
	"text":            {"one", "two", "three"},
	"secret":          {"one", "two", "three"},
	"address":         {"h1:1001", "h2:1002", "h3:1003"},
	"number":          {"11", "12", "13"},
	"duration":        {"11s", "12m", "13h"},
	"list":            {"a.>,b.c", "d", "e"},
	"field=path list": {"amount=A.b", "currency=C", "order_id=Data.Id"},
	"name=value list": {"live=a.b", "batch=c", "x=d"},
	"path=value list": {"Type=Shipped,data.x=1", "b=2", "c=3"},
	"bool":            {"true", "true", "true"},
}

// nested writes "a.b.c" and a value as YAML.
func nested(name, value string) string {
	var b strings.Builder
	parts := strings.Split(name, ".")
	for i, part := range parts {
		b.WriteString(strings.Repeat("  ", i) + part + ":")
		if i < len(parts)-1 {
			b.WriteByte('\n')
		}
	}
	return b.String() + " " + value + "\n"
}

// TestEveryKey sets each key of the struct in each place, and proves that the
// flag wins over the environment, that over the file, that over the default.
func TestEveryKey(t *testing.T) {
	for _, k := range config.Keys() {
		t.Run(k.Name, func(t *testing.T) {
			if strings.HasSuffix(k.Name, "_file") {
				t.Skip("read in TestSecretFiles, for its path must be that of a file")
			}
			v, ok := samples[k.Type()]
			if !ok {
				t.Fatalf("no sample for a %s", k.Type())
			}
			o := config.Options{Env: env(), Flags: flags(t)}
			expect(t, k, o, "", config.FromDefault, "")
			o.File = write(t, "c.yaml", nested(k.Name, v[0]))
			expect(t, k, o, v[0], config.FromFile, o.File)
			if k.Secret { // one place only: see TestSecretTwice
				o.File = ""
			}
			o.Env = env(k.Env + "=" + v[1])
			expect(t, k, o, v[1], config.FromEnv, k.Env)
			if k.Secret {
				return
			}
			o.Flags = flags(t, "--"+k.Flag+"="+v[2])
			expect(t, k, o, v[2], config.FromFlag, "--"+k.Flag)
		})
	}
}

func expect(t *testing.T, k config.Key, o config.Options, want string, from config.From, name string) {
	t.Helper()
	c := load(t, o)
	if from == config.FromDefault {
		want = k.Text(config.Defaults())
	} else if k.Secret {
		want = "[hidden]"
	}
	if got := k.Text(c); got != want {
		t.Errorf("value is %q, want %q", got, want)
	}
	if got, want := c.Origin(k.Name), (config.Origin{From: from, Name: name}); got != want {
		t.Errorf("origin is %v, want %v", got, want)
	}
}

// TestDesignNames holds the names that others rely on.
func TestDesignNames(t *testing.T) {
	c := load(t, config.Options{Env: env(
		"CAPTURE_NATS_URL=nats://n:1", "CAPTURE_GATEWAY_URL=https://g/P", "CAPTURE_GATEWAY_USER=016683",
		"CAPTURE_GATEWAY_SECRET_KEY=s", "CAPTURE_WORKER_CONCURRENCY=7", "CAPTURE_WORKER_BACKOFF_INITIAL=1s",
		"CAPTURE_LEDGER_MAX_AGE=0s", "OTHER=1")})
	switch {
	case c.NATS.URL != "nats://n:1", c.Gateway.URL != "https://g/P", c.Gateway.User != "016683",
		string(c.Gateway.SecretKey) != "s", c.Worker.Concurrency != 7,
		c.Worker.Backoff.Initial != time.Second, c.Ledger.MaxAge != 0:
		t.Errorf("got %+v", c)
	}
}

// TestDesignDefaults holds the defaults that others rely on.
func TestDesignDefaults(t *testing.T) {
	want := map[string]string{
		"nats.url": "nats://127.0.0.1:4222", "nats.ack_wait": "1m", "nats.replicas": "1",
		"nats.max_ack_pending": "50000", "jobs.stream": "CAPTURE_JOBS", "jobs.subjects": "capture.jobs.>",
		"jobs.consumer": "capture-worker", "jobs.dlq_stream": "CAPTURE_DLQ", "ledger.stream": "CAPTURES", "ledger.cases_stream": "CAPTURE_CASES",
		"ledger.max_age": "400d", "ledger.batches": "auto", "gateway.timeout": "30s", "gateway.rate": "0", "worker.concurrency": "64",
		"worker.backoff.initial": "500ms", "worker.backoff.max": "10s", "worker.backoff.inline": "15s",
		"worker.retry.initial": "15s", "worker.retry.max": "15m", "worker.give_up_after": "72h",
		"worker.shutdown_timeout": "25s", "reconcile.settle": "45s", "reconcile.agree": "2",
		"reconcile.spacing": "5s", "notify.listen": "off", "notify.path": "/notify",
		"admin.listen": "127.0.0.1:9464", "log.level": "info", "log.format": "text",
		"tracing.endpoint": "", "tracing.sample": "1",
	}
	for _, k := range config.Keys() {
		if text, ok := want[k.Name]; ok && k.DefaultText() != text {
			t.Errorf("%s: default %q, want %q", k.Name, k.DefaultText(), text)
		}
		delete(want, k.Name)
	}
	if len(want) > 0 {
		t.Errorf("keys are missing: %v", want)
	}
	c := config.Defaults()
	if c.Ledger.MaxAge != 400*24*time.Hour {
		t.Errorf("ledger.max_age is %s", c.Ledger.MaxAge)
	}
	if host, err := os.Hostname(); err == nil && !strings.HasPrefix(c.Worker.Name, host+"-") {
		t.Errorf("worker.name is %q on %q", c.Worker.Name, host)
	}
	if err := c.Validate(); err != nil {
		t.Errorf("the defaults do not fit each other: %v", err)
	}
}

func TestNamesAreUniqueAndSecretsHaveNoFlag(t *testing.T) {
	var names []string
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	config.AddFlags(fs)
	for _, k := range config.Keys() {
		names = append(names, k.Name, k.Env)
		if k.Flag != "" {
			names = append(names, k.Flag)
		}
		flagless := strings.ReplaceAll(strings.ReplaceAll(k.Name, ".", "-"), "_", "-")
		if k.Secret && fs.Lookup(flagless) != nil {
			t.Errorf("the secret %s has a flag", k.Name)
		}
		if secret := strings.Contains(k.Name, "secret") || strings.Contains(k.Name, "password") || strings.HasSuffix(k.Name, "token"); secret && !strings.HasSuffix(k.Name, "_file") && !k.Secret {
			t.Errorf("%s is not kept secret", k.Name)
		}
	}
	slices.Sort(names)
	if n := len(slices.Compact(slices.Clone(names))); n != len(names) {
		t.Errorf("%d names, %d different ones", len(names), n)
	}
}

func TestFlagsOfSections(t *testing.T) {
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	config.AddFlags(fs, "nats", "log")
	if fs.Lookup("nats-url") == nil || fs.Lookup("log-level") == nil {
		t.Error("a flag of the sections is missing")
	}
	if fs.Lookup("gateway-url") != nil {
		t.Error("a flag of another section is there")
	}
	if err := fs.Parse([]string{"--log-level=debug"}); err != nil {
		t.Fatal(err)
	}
	if c := load(t, config.Options{Flags: fs}); c.Log.Level != "debug" {
		t.Errorf("log.level is %q", c.Log.Level)
	}
}

// Who decides without a configuration decides as the default one does.
func TestPolicyDefaultsAreThoseOfTheDecision(t *testing.T) {
	c := config.Defaults()
	got := capture.Policy{
		Settle: c.Reconcile.Settle, Agree: c.Reconcile.Agree, Spacing: c.Reconcile.Spacing, GiveUpAfter: c.Worker.GiveUpAfter,
		Window: c.Gateway.Window, Final: c.Reconcile.Final,
	}
	if got.Window == 0 || got.Final == 0 || got.OrDefault() != capture.DefaultPolicy() {
		t.Errorf("got %+v, want %+v", got, capture.DefaultPolicy())
	}
}
