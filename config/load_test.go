package config_test

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
)

const fullFile = `
# every shape that a file may use
nats:
  url: nats://a:1,nats://b:2
gateway:
  user: 016683
  rate: 1.5
  allow_plain_http: true
jobs:
  subjects: [orders.shipped, "orders.sent"]
  fields:
    trade_id: Payment.tradeId
    amount: Payment.Total
  match:
    - path: Event.Type
      value: Shipped, really
    - {path: v, value: 2}
worker:
  backoff:
    initial: 1s
reconcile:
notify: {listen: ":8080"}
admin: {listen: off}
`

func TestFileShapes(t *testing.T) {
	c := load(t, config.Options{File: write(t, "c.yaml", fullFile)})
	if c.Gateway.User != "016683" {
		t.Errorf("the user lost its zero: %q", c.Gateway.User)
	}
	if want := []string{"orders.shipped", "orders.sent"}; !reflect.DeepEqual(c.Jobs.Subjects, want) {
		t.Errorf("subjects %q", c.Jobs.Subjects)
	}
	fields := map[string]capture.Field{"trade_id": capture.At("Payment.tradeId"), "amount": capture.At("Payment.Total")}
	if !reflect.DeepEqual(c.Jobs.Fields, fields) {
		t.Errorf("fields %v", c.Jobs.Fields)
	}
	want := []capture.Match{{Path: "Event.Type", Value: "Shipped, really"}, {Path: "v", Value: "2"}}
	if !reflect.DeepEqual(c.Jobs.Match, want) {
		t.Errorf("match %v", c.Jobs.Match)
	}
	if c.Notify.Listen != ":8080" || c.Admin.Listen != "" {
		t.Errorf("listeners %q and %q", c.Notify.Listen, c.Admin.Listen)
	}
	if c.Gateway.Rate != 1.5 || !c.Gateway.AllowPlainHTTP || c.Reconcile.Agree != 2 {
		t.Errorf("got %+v", c)
	}
}

// TestFileTrouble holds the message of every way to get the file wrong.
func TestFileTrouble(t *testing.T) {
	files := map[string]string{
		"not_yaml":       "nats: [",
		"not_a_map":      "just text",
		"typo":           "worker:\n  concurency: 3\n",
		"without":        "nats:\n  concurrency: 3\n",
		"unknown":        "entirely:\n  other: 1\n",
		"upper_case":     "NATS:\n  url: x\n",
		"twice":          "nats:\n  url: a\nlog:\n  level: info\nnats:\n  url: b\n",
		"dotted":         "nats.url: nats://h:1\n",
		"section_text":   "nats: nats://h:1\n",
		"no_unit":        "gateway:\n  timeout: 30\n",
		"no_duration":    "gateway:\n  timeout: soon\n",
		"no_number":      "worker:\n  concurrency: many\nnats:\n  replicas: 1.5\n",
		"no_rate":        "gateway:\n  rate: .inf\n",
		"no_bool":        "gateway:\n  allow_plain_http: maybe\n",
		"list_for_text":  "nats:\n  url: [a, b]\n",
		"map_for_number": "worker:\n  concurrency: {a: 1}\n",
		"nested_list":    "jobs:\n  subjects: [[a]]\n",
		"field_no_path":  "jobs:\n  fields: {amount: }\n",
		"match_members":  "jobs:\n  match: [{path: a, valeu: b}]\n",
		"match_as_map":   "jobs:\n  match: {a: b}\n",
		"alias":          "nats: &n\n  url: a\nlog: *n\n",
		"two_documents":  "log: {level: info}\n---\nlog: {level: debug}\n",
		"too_deep":       "nats: " + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "\n",
		"too_large":      strings.Repeat("#", 1<<20+1),
	}
	for name, text := range files {
		t.Run(name, func(t *testing.T) {
			path := write(t, "capture.yaml", text)
			_, err := config.Load(config.Options{File: path, Env: env()})
			if err == nil {
				t.Fatal("the file was taken")
			}
			golden(t, "file_"+name+".golden", err.Error()+"\n", filepath.Dir(path))
		})
	}
}

func TestFileMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.yaml")
	_, err := config.Load(config.Options{Env: env("CAPTURE_CONFIG=" + path)})
	if err == nil || !strings.Contains(err.Error(), "no such file") || strings.Count(err.Error(), path) != 1 {
		t.Errorf("got %v", err)
	}
}

func TestFileFromEnvironment(t *testing.T) {
	path := write(t, "c.yaml", "log: {level: debug}\n")
	other := write(t, "c.yaml", "log: {level: warn}\n")
	if c := load(t, config.Options{Env: env("CAPTURE_CONFIG=" + path)}); c.Log.Level != "debug" {
		t.Errorf("log.level is %q", c.Log.Level)
	}
	if c := load(t, config.Options{File: other, Env: env("CAPTURE_CONFIG=" + path)}); c.Log.Level != "warn" {
		t.Errorf("the named file does not win: log.level is %q", c.Log.Level)
	}
}

func TestEmptyFile(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "nats:\n"} {
		if c := load(t, config.Options{File: write(t, "c.yaml", text)}); c.NATS.URL != config.Defaults().NATS.URL {
			t.Errorf("%q: nats.url is %q", text, c.NATS.URL)
		}
	}
}

func TestEmptyVariables(t *testing.T) {
	c := load(t, config.Options{Env: env("CAPTURE_ADMIN_LISTEN=", "CAPTURE_NATS_URL=", "CAPTURE_WORKER_CONCURRENCY=", "CAPTURE_GATEWAY_SECRET_KEY=")})
	if c.Admin.Listen != "" {
		t.Errorf("admin.listen is %q, empty means off", c.Admin.Listen)
	}
	if d := config.Defaults(); c.NATS.URL != d.NATS.URL || c.Worker.Concurrency != d.Worker.Concurrency {
		t.Errorf("an empty variable counts as set: %+v", c)
	}
}

func TestUnknownVariable(t *testing.T) {
	for _, tt := range []struct{ entry, want string }{
		{"CAPTURE_GATEWAY_SECRET=topsecret", ""},
		{"CAPTURE_NATS_ULR=x", "CAPTURE_NATS_URL"},
		{"CAPTURE_WORKER_GIVEUP_AFTER=x", "CAPTURE_WORKER_GIVE_UP_AFTER"},
		{"CAPTURE_=x", ""},
	} {
		_, err := config.Load(config.Options{Env: env(tt.entry)})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v", tt.entry, err)
		} else if strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: the value shows: %v", tt.entry, err)
		}
	}
}

// TestServiceLinks checks that the variables that Kubernetes sets for a Service
// named capture-worker, which have our prefix, are ignored.
func TestServiceLinks(t *testing.T) {
	load(t, config.Options{Env: env(
		"CAPTURE_WORKER_SERVICE_HOST=10.0.0.1", "CAPTURE_WORKER_SERVICE_PORT=9464", "CAPTURE_WORKER_SERVICE_PORT_ADMIN=9464",
		"CAPTURE_WORKER_PORT=tcp://10.0.0.1:9464", "CAPTURE_WORKER_PORT_9464_TCP=tcp://10.0.0.1:9464",
		"CAPTURE_WORKER_PORT_9464_TCP_PROTO=tcp", "CAPTURE_WORKER_PORT_9464_TCP_PORT=9464", "CAPTURE_WORKER_PORT_9464_TCP_ADDR=10.0.0.1")})
	for _, k := range config.Keys() {
		if _, err := config.Load(config.Options{Env: env(k.Env + "X_SERVICE_HOSTS=1")}); err == nil {
			t.Errorf("%sX_SERVICE_HOSTS is taken for one of Kubernetes", k.Env)
		}
		if strings.HasSuffix(k.Env, "_PORT") || strings.HasSuffix(k.Env, "_SERVICE_HOST") {
			t.Errorf("%s cannot be told from a variable of Kubernetes", k.Env)
		}
	}
}

// TestAllProblemsAtOnce checks that one error lists all problems.
func TestAllProblemsAtOnce(t *testing.T) {
	_, err := config.Load(config.Options{
		Env:   env("CAPTURE_LOG_LEVLE=x", "CAPTURE_GATEWAY_TIMEOUT=5", "CAPTURE_JOBS_FIELDS=amount"),
		Flags: flags(t, "--worker-concurrency=x", "--jobs-match=a"),
	})
	problems, ok := err.(config.Problems)
	if !ok || len(problems) != 5 {
		t.Errorf("got %v", err)
	}
}

// NATS_URL and NATS_CREDS, which the nats command line tool reads too, come after
// everything of ours.
func TestNATSVariables(t *testing.T) {
	t.Parallel()
	nats := []string{"NATS_URL=nats://n:1", "NATS_CREDS=n.creds"}
	for name, c := range map[string]struct {
		file       string
		env        []string
		url, creds string
		from       string
	}{
		"alone":                {"", nil, "nats://n:1", "n.creds", "environment NATS_URL"},
		"our variables":        {"", []string{"CAPTURE_NATS_URL=nats://c:1", "CAPTURE_NATS_CREDS=c.creds"}, "nats://c:1", "c.creds", "environment CAPTURE_NATS_URL"},
		"our file":             {"nats:\n  url: nats://f:1\n", nil, "nats://f:1", "n.creds", "file"},
		"another credential":   {"nats:\n  user: u\n  password: p\n", nil, "nats://n:1", "", "environment NATS_URL"},
		"a context of its own": {"nats:\n  context: prod\n", nil, "nats://127.0.0.1:4222", "", "default"},
	} {
		got := load(t, config.Options{File: write(t, strings.ReplaceAll(name, " ", "_")+".yaml", c.file), Env: env(append(c.env, nats...)...)})
		if got.NATS.URL != c.url || got.NATS.Creds != c.creds || !strings.HasPrefix(got.Origin("nats.url").String(), c.from) {
			t.Errorf("%s: %s (%s) and %q", name, got.NATS.URL, got.Origin("nats.url"), got.NATS.Creds)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if own := got.OwnServer(); strings.HasPrefix(own.NATS.URL, "nats://n:") || own.NATS.Creds == "n.creds" {
			t.Errorf("%s, with an own server: %s and %q", name, own.NATS.URL, own.NATS.Creds)
		}
	}
}
