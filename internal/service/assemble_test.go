package service

import (
	"log/slog"
	"reflect"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
)

// Who imports the packages and sets nothing works as the program does that
// nobody has configured.
func TestDefaultsOfTheProgramAreThoseOfThePackages(t *testing.T) {
	clerk := NewRecorder(config.Defaults(), &ledger.Memory{}, slog.New(slog.DiscardHandler))
	if clerk.Policy != capture.DefaultPolicy() || !reflect.DeepEqual(clerk.Schedule, reconcile.DefaultSchedule()) {
		t.Errorf("%+v and %+v, want %+v and %+v", clerk.Policy, clerk.Schedule, capture.DefaultPolicy(), reconcile.DefaultSchedule())
	}
}
