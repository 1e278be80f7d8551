package gateway_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/gateway"
)

func TestNewChecksTheConfiguration(t *testing.T) {
	good := gateway.Config{URL: "https://mapi.yabandpay.com/Payments", User: user, SecretKey: secret}
	for name, tc := range map[string]struct {
		change func(*gateway.Config)
		want   string // in the error; "" for none
	}{
		"good":             {func(*gateway.Config) {}, ""},
		"http, 127.0.0.1":  {func(c *gateway.Config) { c.URL = "http://127.0.0.1:8080/Payments" }, ""},
		"http, localhost":  {func(c *gateway.Config) { c.URL = "http://localhost:8080" }, ""},
		"http, [::1]":      {func(c *gateway.Config) { c.URL = "http://[::1]:8080" }, ""},
		"http, allowed":    {func(c *gateway.Config) { c.URL, c.AllowPlainHTTP = "http://sim:8080", true }, ""},
		"http":             {func(c *gateway.Config) { c.URL = "http://mapi.yabandpay.com" }, "plain http to mapi.yabandpay.com"},
		"http, look-alike": {func(c *gateway.Config) { c.URL = "http://127.0.0.1.example" }, "plain http"},
		"no URL":           {func(c *gateway.Config) { c.URL = "" }, "the URL is missing"},
		"no scheme":        {func(c *gateway.Config) { c.URL = "mapi.yabandpay.com/Payments" }, "not an absolute"},
		"other scheme":     {func(c *gateway.Config) { c.URL = "ftp://mapi.yabandpay.com" }, "not an absolute"},
		"no host":          {func(c *gateway.Config) { c.URL = "https:///Payments" }, "not an absolute"},
		"unreadable":       {func(c *gateway.Config) { c.URL = "https://u:hunter2@a b" }, "cannot be parsed"},
		"with password":    {func(c *gateway.Config) { c.URL = "https://u:hunter2@gateway.example" }, "user or password"},
		"no user":          {func(c *gateway.Config) { c.User = "" }, "the user is missing"},
		"no key":           {func(c *gateway.Config) { c.SecretKey = "" }, "the secret key is missing"},
		"timeout":          {func(c *gateway.Config) { c.Timeout = -1 }, "negative"},
		"concurrency":      {func(c *gateway.Config) { c.Concurrency = -1 }, "negative"},
	} {
		t.Run(name, func(t *testing.T) {
			config := good
			tc.change(&config)
			client, err := gateway.New(config)
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				client.Close()
				return
			}
			if !errors.Is(err, gateway.ErrConfig) || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error %v does not say %q", err, tc.want)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), string(secret)) {
				t.Errorf("error shows a secret: %v", err)
			}
		})
	}
}

func TestNewNamesEveryProblem(t *testing.T) {
	_, err := gateway.New(gateway.Config{})
	for _, want := range []string{"URL", "user", "secret key"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name the %s", err, want)
		}
	}
}
