package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/config"
)

const key = "k-5e1f-not-for-eyes"

// TestSecretFiles sets each secret by the path of a file, in each place that
// can name one.
func TestSecretFiles(t *testing.T) {
	for _, k := range config.Keys() {
		if !k.Secret {
			continue
		}
		fileKey := k.Name + "_file"
		path := write(t, "secret", key+"\n")
		variable, option := k.Env+"_FILE", "--"+strings.NewReplacer(".", "-", "_", "-").Replace(fileKey)
		for place, o := range map[string]config.Options{
			"flag": {Env: env(), Flags: flags(t, option+"="+path)},
			"env":  {Env: env(variable + "=" + path)},
			"file": {Env: env(), File: write(t, "c.yaml", nested(fileKey, path))},
		} {
			c := load(t, o)
			if got := k.Text(c); got != "[hidden]" {
				t.Errorf("%s by %s: %q", k.Name, place, got)
			}
			if got := c.Origin(k.Name); got.Name != path {
				t.Errorf("%s by %s: origin %v", k.Name, place, got)
			}
		}
	}
}

func TestSecretFileIsTrimmedOnce(t *testing.T) {
	for text, want := range map[string]string{
		"a": "a", "a\n": "a", "a\r\n": "a", "a\n\n": "a\n", " a \n": " a ",
	} {
		c := load(t, config.Options{Env: env("CAPTURE_GATEWAY_SECRET_KEY_FILE=" + write(t, "s", text))})
		if got := string(c.Gateway.SecretKey); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestSecretTwice(t *testing.T) {
	path := write(t, "s", key)
	value, file := "CAPTURE_GATEWAY_SECRET_KEY="+key, "CAPTURE_GATEWAY_SECRET_KEY_FILE="+path
	yaml := write(t, "c.yaml", "gateway:\n  secret_key: "+key+"\n")
	yamlFile := write(t, "c.yaml", "gateway:\n  secret_key_file: "+path+"\n")
	for name, o := range map[string]config.Options{
		"value and file in the environment": {Env: env(value, file)},
		"environment and file":              {Env: env(value), File: yaml},
		"environment and path in file":      {Env: env(value), File: yamlFile},
		"path twice":                        {Env: env(file), File: yamlFile},
		"path by flag and value":            {Env: env(value), Flags: flags(t, "--gateway-secret-key-file", path)},
	} {
		_, err := config.Load(o)
		if err == nil || !strings.Contains(err.Error(), "gateway.secret_key: is given more than once, by ") {
			t.Errorf("%s: got %v", name, err)
		} else if strings.Contains(err.Error(), key) {
			t.Errorf("%s: the secret shows: %v", name, err)
		}
	}
}

func TestSecretFileTrouble(t *testing.T) {
	for name, path := range map[string]string{
		"missing": t.TempDir() + "/none",
		"folder":  t.TempDir(),
		"empty":   write(t, "s", "\n"),
		"large":   write(t, "s", strings.Repeat(key, 5000)),
		"mask":    write(t, "s", "[hidden]\n"),
	} {
		_, err := config.Load(config.Options{Env: env("CAPTURE_NATS_TOKEN_FILE=" + path)})
		if err == nil || !strings.Contains(err.Error(), "nats.token") || strings.Contains(err.Error(), key) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// The last step of a change of keys empties the file of the one before.
func TestThePreviousKeyMayBeEmptied(t *testing.T) {
	c, err := config.Load(config.Options{Env: env("CAPTURE_GATEWAY_PREVIOUS_SECRET_KEY_FILE="+write(t, "p", "\n"), "CAPTURE_GATEWAY_SECRET_KEY_FILE="+write(t, "s", key))})
	if err != nil || c.Gateway.PreviousSecretKey != "" || string(c.Gateway.SecretKey) != key {
		t.Errorf("the previous key is %q, %v", string(c.Gateway.PreviousSecretKey), err)
	}
	if _, err := config.Load(config.Options{Env: env("CAPTURE_GATEWAY_SECRET_KEY_FILE=" + write(t, "e", ""))}); err == nil {
		t.Error("an empty file was taken for the present key")
	}
}

// TestSecretsNeverShow prints a configuration in every way there is.
func TestSecretsNeverShow(t *testing.T) {
	var entries []string
	for _, k := range config.Keys() {
		if k.Secret {
			entries = append(entries, k.Env+"="+key)
		}
	}
	entries = append(entries, "CAPTURE_NATS_URL=nats://u:"+key+"@h:4222,"+key+"@h")
	c := load(t, config.Options{Env: env(entries...)})
	var out strings.Builder
	if err := c.WriteYAML(&out); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&out, c.Validate())
	c.NATS.URL = "" // refused by Validate, so never logged
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "config", c, "key", c.Gateway.SecretKey)
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&out, "%s %v %+v %#v", b, c, c, c)
	if strings.Contains(out.String(), key) {
		t.Errorf("the secret shows:\n%s", out.String())
	}
	if !strings.Contains(out.String(), "[hidden]") {
		t.Error("nothing was hidden")
	}
}
