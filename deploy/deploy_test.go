// Package deploy holds the files that run the program on machines to what the
// program really takes. The Kubernetes manifests have tests in a module of
// their own.
package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.yaml.in/yaml/v3"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

// stopSlack is what a stop takes beyond worker.shutdown_timeout: the last
// flush and the admin listener.
const stopSlack = 10 * time.Second

type compose struct {
	Name     string
	Services map[string]service
	Secrets  map[string]struct{ File string }
	Volumes  map[string]any
}

type service struct {
	Image           string
	Build           struct{ Context string }
	Command         []string
	Environment     map[string]string
	Volumes, Ports  []string
	Secrets         []string
	ReadOnly        bool     `yaml:"read_only"`
	CapDrop         []string `yaml:"cap_drop"`
	SecurityOpt     []string `yaml:"security_opt"`
	StopGracePeriod string   `yaml:"stop_grace_period"`
	Restart         string
	Tmpfs           []string
	DependsOn       map[string]struct{ Condition string } `yaml:"depends_on"`
	Healthcheck     struct {
		Test              []string
		Interval, Timeout string
		Retries           int
	}
}

func readCompose(t *testing.T) compose {
	t.Helper()
	text, err := os.ReadFile("compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var c compose
	strict := yaml.NewDecoder(bytes.NewReader(text))
	strict.KnownFields(true)
	if err := strict.Decode(&c); err != nil {
		t.Fatalf("compose.yaml: %v", err)
	}
	return c
}

// load is the configuration that an environment makes, with the secret's file
// at its place in this repository.
func load(t *testing.T, env map[string]string, secretFile string, o config.Options) config.Config {
	t.Helper()
	known := map[string]bool{config.FileEnv: true}
	for _, k := range config.Keys() {
		known[k.Env] = true
	}
	for name, value := range env {
		if strings.HasPrefix(name, config.EnvPrefix) && !known[name] {
			t.Errorf("there is no setting %s", name)
		}
		if name != config.FileEnv {
			t.Setenv(name, value)
		}
	}
	t.Setenv("CAPTURE_GATEWAY_SECRET_KEY_FILE", secretFile)
	c, err := config.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(config.NeedGateway, config.NeedNotifyURL); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestComposeRunsTheWorker(t *testing.T) {
	doc := readCompose(t)
	worker := doc.Services["worker"]
	for _, name := range worker.Secrets {
		if worker.Environment["CAPTURE_GATEWAY_SECRET_KEY_FILE"] != "/run/secrets/"+name {
			t.Errorf("the secret %s is not what the worker reads", name)
		}
	}
	c := load(t, worker.Environment, doc.Secrets["gateway_secret_key"].File, config.Options{})
	grace, err := time.ParseDuration(worker.StopGracePeriod)
	if err != nil || grace < c.Worker.ShutdownTimeout+stopSlack {
		t.Errorf("the worker is killed after %s and stops within %s: %v", worker.StopGracePeriod, c.Worker.ShutdownTimeout, err)
	}
	if len(c.LaneList()) != 2 || !strings.HasSuffix(c.Admin.Listen, ":9464") {
		t.Errorf("lanes %v, admin %s", c.LaneList(), c.Admin.Listen)
	}
	sim := doc.Services["gateway-sim"]
	if c.Gateway.URL != "http://gateway-sim:8700/Payments" || sim.Command[0] != "gateway-sim" || sim.Command[2] != "0.0.0.0:8700" {
		t.Errorf("the worker calls %s, the simulator runs %v", c.Gateway.URL, sim.Command)
	}
}

// The records need no gateway, and write where they may.
func TestComposeRunsTheRecords(t *testing.T) {
	records := readCompose(t).Services["records"]
	c := loadRecords(t, records.Environment)
	folder, _, _ := strings.Cut(records.Tmpfs[0], ":")
	if records.Command[0] != "records" || filepath.Dir(string(c.Records.DSN)) != folder || !strings.HasSuffix(c.Records.Listen, ":9465") {
		t.Errorf("runs %v, writes %s to %v, listens on %s", records.Command, c.Records.DSN, records.Tmpfs, c.Records.Listen)
	}
}

// loadRecords is the configuration of a process that keeps records.
func loadRecords(t *testing.T, env map[string]string) config.Config {
	t.Helper()
	for name, value := range env {
		if name != config.FileEnv {
			t.Setenv(name, value)
		}
	}
	c, err := config.Load(config.Options{})
	if err == nil {
		err = c.Validate(config.NeedRecords)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestComposeIsClosed(t *testing.T) {
	for name, s := range readCompose(t).Services {
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s is open to the network: %s", name, port)
			}
		}
		ours := s.Build.Context != ""
		if ours && (!s.ReadOnly || len(s.CapDrop) != 1 || s.CapDrop[0] != "ALL" || len(s.SecurityOpt) != 1) {
			t.Errorf("%s may write or has capabilities: %+v", name, s)
		}
		if ours {
			if _, err := os.Stat(filepath.Join(s.Build.Context, "Dockerfile")); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, volume := range s.Volumes {
			from, _, _ := strings.Cut(volume, ":")
			if _, err := os.Stat(from); strings.HasPrefix(from, ".") && err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// The server reads its configuration, and writes to the disk at once.
func TestNATSConfiguration(t *testing.T) {
	o, err := server.ProcessConfigFile("nats/nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	if !o.JetStream || !o.SyncAlways || o.StoreDir == "" || o.HTTPPort != 8222 {
		t.Errorf("JetStream %t, sync always %t, store %q, monitoring on %d", o.JetStream, o.SyncAlways, o.StoreDir, o.HTTPPort)
	}
}

// unit reads the settings of a service; one that occurs twice has several
// values.
func unit(t *testing.T, name string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("systemd/" + name + ".service")
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(name, "#") {
			values[name] = append(values[name], value)
		}
	}
	return values
}

func TestUnitRunsTheWorker(t *testing.T) {
	u := unit(t, "capture-worker")
	env := map[string]string{"CAPTURE_GATEWAY_URL": "https://mapi.yabandpay.com/Payments", "CAPTURE_GATEWAY_NOTIFY_URL": "https://captures.shop.example/notify", "CAPTURE_GATEWAY_USER": "016683"}
	for _, assignment := range u["Environment"] {
		name, value, _ := strings.Cut(assignment, "=")
		env[name] = value
	}
	c := load(t, env, "play-secret-key", config.Options{})
	seconds, err := strconv.Atoi(u["TimeoutStopSec"][0])
	if err != nil || time.Duration(seconds)*time.Second < c.Worker.ShutdownTimeout+stopSlack {
		t.Errorf("the worker is killed after %v and stops within %s: %v", u["TimeoutStopSec"], c.Worker.ShutdownTimeout, err)
	}
	if u["ExecStart"][0] != "/usr/local/bin/capture-worker run" || u["Type"][0] != "notify" {
		t.Errorf("started as %v of type %v", u["ExecStart"], u["Type"])
	}
}

func TestUnitRunsTheRecords(t *testing.T) {
	u := unit(t, "capture-records")
	env := map[string]string{}
	for _, assignment := range u["Environment"] {
		name, value, _ := strings.Cut(assignment, "=")
		env[name] = value
	}
	c := loadRecords(t, env)
	if filepath.Dir(string(c.Records.DSN)) != "/var/lib/"+u["StateDirectory"][0] {
		t.Errorf("writes %s, may write to %v", c.Records.DSN, u["StateDirectory"])
	}
	if u["ExecStart"][0] != "/usr/local/bin/capture-worker records" || u["Type"][0] != "notify" || u["RestartPreventExitStatus"][0] != "2 3" {
		t.Errorf("started as %v of type %v, not again after %v", u["ExecStart"], u["Type"], u["RestartPreventExitStatus"])
	}
}

var notInstalled = regexp.MustCompile(`Command /usr/local/bin/capture-worker is not executable`)

// systemd reads the unit without a complaint, but for the program that is not
// installed here.
func TestUnitIsReadBySystemd(t *testing.T) {
	processtest.Needs(t, "systemd-analyze", "apt-get install systemd")
	for _, name := range []string{"capture-worker", "capture-records"} {
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", "systemd/"+name+".service").CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "capture-") && !notInstalled.MatchString(line) {
				t.Errorf("systemd-analyze: %v: %s", err, line)
			}
		}
	}
}
