package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/capture-worker/capture-worker/config"
)

// deployment is what of the Deployment speaks of settings. That the API takes
// the manifests is tested in kubernetes/test.
type deployment struct {
	Spec struct {
		Template struct {
			Spec struct {
				Grace      int `yaml:"terminationGracePeriodSeconds"`
				Containers []struct {
					Env   []struct{ Name, Value string }
					Ports []struct {
						Name          string
						ContainerPort int `yaml:"containerPort"`
					}
				}
			}
		}
	}
}

type scaler struct {
	Spec struct {
		Triggers []struct{ Metadata map[string]string }
	}
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func TestKubernetesSettings(t *testing.T) {
	var d deployment
	readYAML(t, "kubernetes/base/deployment.yaml", &d)
	pod := d.Spec.Template.Spec
	env := map[string]string{}
	for _, e := range pod.Containers[0].Env {
		env[e.Name] = e.Value
	}
	env["CAPTURE_GATEWAY_USER"] = "016683" // from the Secret
	c := load(t, env, "play-secret-key", config.Options{File: "kubernetes/base/capture.yaml"})
	if grace := time.Duration(pod.Grace) * time.Second; grace < c.Worker.ShutdownTimeout+stopSlack {
		t.Errorf("the pods are killed after %s, and stop within %s", grace, c.Worker.ShutdownTimeout)
	}
	if port := pod.Containers[0].Ports[0]; !strings.HasSuffix(c.Admin.Listen, fmt.Sprintf(":%d", port.ContainerPort)) || port.Name != "admin" {
		t.Errorf("admin.listen is %s, the port %v", c.Admin.Listen, port)
	}
	if c.NATS.Replicas != 3 {
		t.Errorf("the streams get %d replicas", c.NATS.Replicas)
	}

	// Each lane's consumer has a trigger, and no other.
	var s scaler
	readYAML(t, "kubernetes/keda/scaledobject.yaml", &s)
	var want, got []string
	for _, lane := range c.LaneList() {
		want = append(want, lane.Consumer)
	}
	for _, trigger := range s.Spec.Triggers {
		got = append(got, trigger.Metadata["consumer"])
		if trigger.Metadata["stream"] != c.Jobs.Stream {
			t.Errorf("a trigger looks at stream %s", trigger.Metadata["stream"])
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("triggers for %v, consumers are %v", got, want)
	}
}

func TestKubernetesRecords(t *testing.T) {
	var d deployment
	readYAML(t, "kubernetes/records/deployment.yaml", &d)
	container := d.Spec.Template.Spec.Containers[0]
	env := map[string]string{"CAPTURE_CONFIG": "kubernetes/base/capture.yaml"}
	for _, e := range container.Env {
		env[e.Name] = e.Value
	}
	// As the Secret is mounted.
	env["CAPTURE_RECORDS_DSN_FILE"] = filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(env["CAPTURE_RECORDS_DSN_FILE"], []byte("postgres://records:password@db.example.com/records\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := loadRecords(t, env)
	if port := container.Ports[0]; !strings.HasSuffix(c.Records.Listen, fmt.Sprintf(":%d", port.ContainerPort)) || port.Name != "admin" {
		t.Errorf("records.listen is %s, the port %v", c.Records.Listen, port)
	}
}
