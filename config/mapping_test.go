package config_test

import (
	"slices"
	"testing"

	"github.com/capture-worker/capture-worker/config"
)

// TestNotifyHosts checks the hosts that a job's notify_url may name: the configured
// ones, else that of gateway.notify_url, else none; any if no worker is configured.
func TestNotifyHosts(t *testing.T) {
	const address = "CAPTURE_GATEWAY_NOTIFY_URL=https://shop.example:8443/notify"
	for name, tt := range map[string]struct {
		env  []string
		want []string
	}{
		"nothing set":         {nil, nil},
		"of the address":      {[]string{address}, []string{"shop.example"}},
		"set":                 {[]string{address, "CAPTURE_GATEWAY_NOTIFY_HOSTS=a.example, b.example"}, []string{"a.example", "b.example"}},
		"none, and none sent": {[]string{"CAPTURE_GATEWAY_ALLOW_EMPTY_NOTIFY_URL=true"}, []string{}},
	} {
		got := load(t, config.Options{Env: env(tt.env...)}).JobMapping().NotifyHosts
		if !slices.Equal(got, tt.want) || (got == nil) != (tt.want == nil) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
