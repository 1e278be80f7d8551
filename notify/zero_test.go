package notify_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/notify"
	"github.com/capture-worker/capture-worker/reconcile"
)

func TestNewNamesMissingFields(t *testing.T) {
	t.Parallel()
	complete := notify.Config{
		Secrets:  func() []gateway.Secret { return nil },
		Recorder: &reconcile.Recorder{Ledger: &ledger.Memory{}},
		Query:    func(context.Context, string) capture.Answer { return capture.Answer{} },
	}
	for field, remove := range map[string]func(*notify.Config){
		"Secrets":         func(c *notify.Config) { c.Secrets = nil },
		"Recorder ":       func(c *notify.Config) { c.Recorder = nil },
		"Recorder.Ledger": func(c *notify.Config) { c.Recorder = &reconcile.Recorder{} },
		"Query":           func(c *notify.Config) { c.Query = nil },
	} {
		c := complete
		remove(&c)
		if _, err := notify.New(c); !errors.Is(err, notify.ErrConfig) || !strings.Contains(err.Error(), "notify.Config."+field) {
			t.Errorf("without %s: %v", field, err)
		}
	}
	h, err := notify.New(complete)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestZeroHandlerRefuses(t *testing.T) {
	t.Parallel()
	var h notify.Handler
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/notify", nil))
	if answer.Code != http.StatusServiceUnavailable {
		t.Errorf("HTTP %d, want 503", answer.Code)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
