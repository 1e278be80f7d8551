package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
)

func TestNewRequestID(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		id := gateway.NewRequestID()
		if !gateway.ValidRequestID(id) || seen[id] {
			t.Fatalf("request_id %q is invalid or was returned before", id)
		}
		seen[id] = true
	}
}

func TestInvalidRequestIDIsNotSent(t *testing.T) {
	t.Parallel()
	client := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a call was sent") })
	for _, id := range []string{strings.Repeat("a", 23), strings.Repeat("a", 24) + "-", strings.Repeat("ä", 24), strings.Repeat("@", 24)} {
		r := request(t)
		r.RequestID = id
		answer := client.Capture(t.Context(), r)
		if answer.Kind != capture.AnswerNotSent || !strings.Contains(answer.Why, "NewRequestID") {
			t.Errorf("request_id %q: %+v, want not sent", id, answer)
		}
	}
}

func TestZeroClientSendsNothing(t *testing.T) {
	t.Parallel()
	var client gateway.Client
	for name, answer := range map[string]capture.Answer{
		"capture": client.Capture(context.Background(), request(t)),
		"query":   client.Query(context.Background(), "T1"),
	} {
		if answer.Kind != capture.AnswerNotSent || !strings.Contains(answer.Why, "gateway.New") {
			t.Errorf("%s: %+v, want not sent", name, answer)
		}
	}
	if err := client.SetSecret("key"); !errors.Is(err, gateway.ErrConfig) {
		t.Errorf("SetSecret: %v, want ErrConfig", err)
	}
	client.Close()
}
