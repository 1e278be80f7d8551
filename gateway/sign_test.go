package gateway_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/gateway"
)

// The vector of the gateway's PHP library.
func TestSignAgreesWithTheGatewaysLibrary(t *testing.T) {
	params := gateway.Params("016683", gateway.MethodCapture, 1720684254, map[string]string{
		"trade_id": "160899f3", "amount": "1", "currency": "EUR", "notify_url": "",
		"description": `café & co = "x" <b> /`,
		"request_id":  "ca51f2fas3i0f8uiw7efj6oe4i2w1ghj",
	})
	const joined = `amount=1&currency=EUR&description=café & co = "x" <b> /&method=v3.Capture&notify_url=&request_id=ca51f2fas3i0f8uiw7efj6oe4i2w1ghj&time=1720684254&trade_id=160899f3&user=016683`
	if got := gateway.SignedString(params); got != joined {
		t.Errorf("signed string:\n got %s\nwant %s", got, joined)
	}
	const sign = "3b0e9b056ff8553a9e9f9976df7901685e6ca3cf5795f72f01b61107a5532f97"
	if got := gateway.Sign("example-secret-key", params); got != sign {
		t.Errorf("sign: got %s, want %s", got, sign)
	}
}

// The vectors of testdata/vectors.sh, which sorts, joins and signs with sort,
// paste and openssl.
func TestSignAgreesWithOpenSSL(t *testing.T) {
	file, err := os.ReadFile("testdata/vectors.tsv")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(file)), "\n")
	if len(lines) < 7 {
		t.Fatalf("%d vectors, want at least 7", len(lines))
	}
	for i, line := range lines {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) {
			field := strings.Split(line, "\t")
			params := map[string]string{}
			for _, pair := range field[3:] {
				name, value, _ := strings.Cut(pair, "=")
				params[name] = value
			}
			if got := gateway.SignedString(params); got != field[2] {
				t.Errorf("signed string:\n got %s\nwant %s", got, field[2])
			}
			if got := gateway.Sign(gateway.Secret(field[0]), params); got != field[1] {
				t.Errorf("sign: got %s, want %s", got, field[1])
			}
		})
	}
}

func TestSignLeavesOutSignAndItsInputAlone(t *testing.T) {
	data := map[string]string{"b": "2", "user": "of the data", "sign": "x"}
	before := maps.Clone(data)
	params := gateway.Params("u", "m", 7, data)
	if got, want := gateway.SignedString(params), "b=2&method=m&time=7&user=u"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if !maps.Equal(data, before) {
		t.Errorf("data became %v", data)
	}
}

func FuzzSign(f *testing.F) {
	f.Add("example-secret-key", "a", "1", "b", "2")
	f.Add("k", "a", "", "a1", "x&y=z")
	f.Add("k", "description", "café <b>", "", "")
	f.Add("", "sign", "s", "SIGN", "S")
	f.Fuzz(func(t *testing.T, secret, name1, value1, name2, value2 string) {
		params := map[string]string{name1: value1, name2: value2, "user": "u"}
		sign := gateway.Sign(gateway.Secret(secret), params)
		if len(sign) != 64 || strings.ToLower(sign) != sign {
			t.Fatalf("not 64 lower-case hex digits: %q", sign)
		}
		names := slices.Sorted(maps.Keys(params))
		var parts []string
		for _, name := range names {
			if name != "sign" {
				parts = append(parts, name+"="+params[name])
			}
		}
		if got, want := gateway.SignedString(params), strings.Join(parts, "&"); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		params["user"] = "v"
		if gateway.Sign(gateway.Secret(secret), params) == sign {
			t.Fatal("another user has the same signature")
		}
	})
}

func TestSecretHides(t *testing.T) {
	const key = "sk-4711-top-secret"
	s := gateway.Secret(key)
	config := gateway.Config{URL: "https://gateway.example/Payments", SecretKey: s}
	client, err := gateway.New(gateway.Config{URL: config.URL, User: "u", SecretKey: s})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	encoded, err := json.Marshal(struct{ S gateway.Secret }{s})
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "secret", s, "config", struct{ S gateway.Secret }{s})
	shown := []string{
		fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q %x", s, s, s, s, s, s), fmt.Sprintf("%"+"d %"+"t", s, s), fmt.Sprintf("%v %+v %#v", config, config, config),
		fmt.Sprintf("%+v %#v", client, client), string(encoded), logged.String(),
	}
	for _, text := range shown {
		if strings.Contains(text, key) || strings.Contains(text, fmt.Sprintf("%x", key)) {
			t.Errorf("shows the key: %s", text)
		}
	}
	if string(encoded) != `{"S":"[hidden]"}` || !strings.Contains(logged.String(), "[hidden]") {
		t.Errorf("hides without saying so: %s %s", encoded, logged.String())
	}
	if got := fmt.Sprintf("%v%#v", gateway.Secret(""), gateway.Secret("")); got != `gateway.Secret("")` {
		t.Errorf("an empty secret shows as %s", got)
	}
}
