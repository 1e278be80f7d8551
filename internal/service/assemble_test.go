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

// The defaults of the packages are those of the program without any
// configuration.
func TestDefaultsOfTheProgramAreThoseOfThePackages(t *testing.T) {
	recorder := NewRecorder(config.Defaults(), &ledger.Memory{}, slog.New(slog.DiscardHandler))
	if recorder.Policy != capture.DefaultPolicy() || !reflect.DeepEqual(recorder.Schedule, reconcile.DefaultSchedule()) {
		t.Errorf("%+v and %+v, want %+v and %+v", recorder.Policy, recorder.Schedule, capture.DefaultPolicy(), reconcile.DefaultSchedule())
	}
}
