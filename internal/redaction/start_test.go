//go:build unix

package redaction

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// For invalid settings and servers that refuse us, errors contain names of settings, and
// no values.
func TestStartsThatFail(t *testing.T) {
	t.Parallel()
	withPassword := startBroker(t, server.Options{Username: "shop", Password: "another"}).ClientURL()
	withToken := startBroker(t, server.Options{Authorization: "another"}).ClientURL()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := write("key", gatewayKey)
	good := []string{"CAPTURE_GATEWAY_URL=http://127.0.0.1:1/P", "CAPTURE_GATEWAY_USER=016683", "CAPTURE_GATEWAY_NOTIFY_URL=https://shop.example/notify", "CAPTURE_ADMIN_LISTEN=off", "CAPTURE_LOG_LEVEL=debug"}
	for _, tt := range []struct {
		name string
		env  []string
	}{
		{"wrong password", []string{"CAPTURE_NATS_URL=" + withPassword, "CAPTURE_NATS_USER=shop", "CAPTURE_NATS_PASSWORD=" + natsPassword, "CAPTURE_GATEWAY_SECRET_KEY=" + gatewayKey}},
		{"wrong token", []string{"CAPTURE_NATS_URL=" + withToken, "CAPTURE_NATS_TOKEN=" + natsToken, "CAPTURE_GATEWAY_SECRET_KEY=" + gatewayKey}},
		{"both", []string{"CAPTURE_NATS_USER=shop", "CAPTURE_NATS_PASSWORD=" + natsPassword, "CAPTURE_NATS_TOKEN=" + natsToken}},
		{"a secret twice", []string{"CAPTURE_GATEWAY_SECRET_KEY=" + gatewayKey, "CAPTURE_GATEWAY_SECRET_KEY_FILE=" + key}},
		{"a secret in place of its file", []string{"CAPTURE_GATEWAY_SECRET_KEY_FILE=" + dir, "CAPTURE_NATS_PASSWORD=" + natsPassword}},
		{"a secret of two lines", []string{"CAPTURE_GATEWAY_SECRET_KEY_FILE=" + write("two", gatewayKey+"\n"+rotatedKey+"\n"), "CAPTURE_NATS_URL=" + withToken}},
		{"password in the broker's address", []string{"CAPTURE_NATS_URL=nats://shop:" + addressSecret + "@127.0.0.1:1", "CAPTURE_GATEWAY_SECRET_KEY=" + gatewayKey}},
		{"token in the broker's address", []string{"CAPTURE_NATS_URL=nats://" + addressSecret + "@127.0.0.1:1,nats://x:%zz" + addressSecret + "@h"}},
		{"password in the gateway's address", []string{"CAPTURE_GATEWAY_URL=https://shop:" + addressSecret + "@127.0.0.1/P", "CAPTURE_GATEWAY_SECRET_KEY=" + gatewayKey}},
		{"password in the address for notifications", []string{"CAPTURE_GATEWAY_NOTIFY_URL=https://shop:" + addressSecret + "@h/notify"}},
		{"password in the collector's address", []string{"CAPTURE_TRACING_ENDPOINT=http://shop:" + addressSecret + "@127.0.0.1:4318"}},
		{"headers for the collector", []string{"CAPTURE_NATS_URL=" + withPassword, "CAPTURE_TRACING_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_HEADERS=" + collectorKey}},
		{"password in the proxy's address", []string{"CAPTURE_NATS_URL=" + withToken, "CAPTURE_GATEWAY_URL=https://gateway.invalid/P", "CAPTURE_GATEWAY_SECRET_KEY=" + gatewayKey, "HTTPS_PROXY=http://shop:" + addressSecret + "@127.0.0.1:1"}},
		{"password in a bad address of the proxy", []string{"CAPTURE_NATS_URL=" + withToken, "CAPTURE_GATEWAY_URL=https://gateway.invalid/P", "CAPTURE_GATEWAY_SECRET_KEY=" + gatewayKey, "HTTPS_PROXY=http://shop:" + addressSecret + "@h:%zz"}},
		{"misspelt settings", []string{"CAPTURE_GATEWAY_SECRETKEY=" + gatewayKey, "CAPTURE_NATS_PASWORD=" + natsPassword}},
		{"secrets in a bad file", []string{"CAPTURE_CONFIG=" + write("bad.yaml", "gateway:\n  secret_key: ["+gatewayKey+"\nnats:\n  token: *"+natsToken+"\n")}},
		{"secrets of the wrong shape", []string{"CAPTURE_CONFIG=" + write("shape.yaml", "gateway:\n  secret_key: [\""+gatewayKey+"\"]\nnats:\n  token: {a: \""+natsToken+"\"}\n")}},
		{"secrets under other names", []string{"CAPTURE_CONFIG=" + write("names.yaml", "gateway:\n  secret: \""+gatewayKey+"\"\nnats:\n  pass: \""+natsPassword+"\"\n")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := append(append([]string(nil), good...), tt.env...)
			for _, args := range [][]string{{"run"}, {"check"}, {"config"}, {"publish", "--help"}} {
				out := finish(t, env, args...)
				if len(out) == 0 {
					t.Errorf("%v says nothing", args)
				}
				wantClean(t, args[0], out, nil)
			}
		})
	}
}
