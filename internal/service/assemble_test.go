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
	recorder := NewRecorder(config.Defaults(), &ledger.Memory{}, slog.New(slog.DiscardHandler))
	if recorder.Policy != capture.DefaultPolicy() || !reflect.DeepEqual(recorder.Schedule, reconcile.DefaultSchedule()) {
		t.Errorf("%+v and %+v, want %+v and %+v", recorder.Policy, recorder.Schedule, capture.DefaultPolicy(), reconcile.DefaultSchedule())
	}
}
