package config_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/config"
)

func printed(t *testing.T) config.Config {
	t.Helper()
	return load(t, config.Options{
		File: write(t, "c.yaml", fullFile),
		Env: env("CAPTURE_GATEWAY_SECRET_KEY="+key, "CAPTURE_WORKER_NAME=w-1",
			"CAPTURE_GATEWAY_NOTIFY_URL=https://shop.example/notify?a=b#"),
		Flags: flags(t, "--worker-concurrency=8"),
	})
}

func TestWriteYAML(t *testing.T) {
	c := printed(t)
	var out strings.Builder
	if err := c.WriteYAML(&out); err != nil {
		t.Fatal(err)
	}
	golden(t, "print.yaml", out.String(), filepath.Dir(c.Origin("gateway.user").Name))
}

// TestPrintedLoads checks that the printed configuration is read as the same
// configuration, except for the placeholders of secrets, which are refused.
func TestPrintedLoads(t *testing.T) {
	c := printed(t)
	var out strings.Builder
	if err := c.WriteYAML(&out); err != nil {
		t.Fatal(err)
	}
	path := write(t, "printed.yaml", out.String())
	if _, err := config.Load(config.Options{File: path, Env: env()}); err == nil || !strings.Contains(err.Error(), "[hidden]") && !strings.Contains(err.Error(), "hidden secret") {
		t.Errorf("the mark of a secret is taken for one: %v", err)
	}
	plain := strings.ReplaceAll(out.String(), "'[hidden]'", "x")
	if err := os.WriteFile(path, []byte(plain), 0o600); err != nil {
		t.Fatal(err)
	}
	again := load(t, config.Options{File: path})
	for _, k := range config.Keys() {
		if got, want := k.Text(again), k.Text(c); got != want {
			t.Errorf("%s is %q after printing, was %q", k.Name, got, want)
		}
	}
}

func TestWriteJSON(t *testing.T) {
	c := printed(t)
	var out strings.Builder
	if err := c.WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	var got map[string]struct {
		Value any
		From  string
		Name  string
	}
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(config.Keys()) {
		t.Errorf("%d keys printed, there are %d", len(got), len(config.Keys()))
	}
	if e := got["worker.concurrency"]; e.Value != 8.0 || e.From != "flag" || e.Name != "--worker-concurrency" {
		t.Errorf("worker.concurrency: %+v", e)
	}
	if e := got["gateway.secret_key"]; e.Value != "[hidden]" || e.From != "environment" {
		t.Errorf("gateway.secret_key: %+v", e)
	}
	if e := got["nats.ack_wait"]; e.Value != "1m" || e.From != "default" {
		t.Errorf("nats.ack_wait: %+v", e)
	}
}

// TestPrintedWorkerName checks that a worker name computed at start is not printed
// as that of the printing process, and that a worker with the printed file computes
// its own.
func TestPrintedWorkerName(t *testing.T) {
	c := load(t, config.Options{Env: env()})
	var yaml, object strings.Builder
	if err := errors.Join(c.WriteYAML(&yaml), c.WriteJSON(&object)); err != nil {
		t.Fatal(err)
	}
	if want := "  name: \"\" # default: host name and process id\n"; !strings.Contains(yaml.String(), want) {
		t.Errorf("no %q in\n%s", want, yaml.String())
	}
	if strings.Contains(yaml.String(), "\\u00") || !strings.Contains(yaml.String(), `["capture.jobs.>"]`) {
		t.Errorf("not readable:\n%s", yaml.String())
	}
	if !strings.Contains(object.String(), `"at_start": "host name and process id"`) {
		t.Errorf("not in the JSON:\n%s", object.String())
	}
	again := load(t, config.Options{File: write(t, "printed.yaml", yaml.String()), Env: env()})
	if again.Worker.Name != c.Worker.Name || again.Origin("worker.name").From != config.FromDefault {
		t.Errorf("worker.name is %q from the %s", again.Worker.Name, again.Origin("worker.name"))
	}
}
