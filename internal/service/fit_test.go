package service

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/internal/finding"
)

// TestWatchStreams checks that a problem is logged once, and that one with which a
// worker would not start ends the worker when it is seen twice in a row.
func TestWatchStreams(t *testing.T) {
	t.Parallel()
	fine := []finding.Finding{{Severity: finding.Warning, What: "an old warning", Fix: "live with it"}}
	warned := append(fine[:1:1], finding.Finding{Severity: finding.Warning, What: "a new warning", Fix: "look"})
	lost := append(fine[:1:1], finding.Finding{Severity: finding.Error, What: "it loses jobs", Fix: "repair it"})
	away := errors.New("no answer")
	for _, tt := range []struct {
		name  string
		looks []any // of each look: problems, or an error
		ends  bool
		lines int
	}{
		{"all is well", []any{fine, fine, fine, fine}, false, 0},
		{"a new warning is logged once", []any{fine, warned, warned, warned}, false, 1},
		{"seen twice", []any{fine, lost, lost}, true, 1},
		{"seen twice at once", []any{lost, lost}, true, 1},
		{"repaired in time", []any{fine, lost, fine, lost, fine}, false, 2},
		{"not seen for sure", []any{fine, lost, away, lost, away, lost, fine}, false, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				var out strings.Builder
				n := 0
				look := func(context.Context) ([]finding.Finding, error) {
					if n == len(tt.looks) {
						cancel(nil)
						return fine, nil
					}
					n++
					if err, is := tt.looks[n-1].(error); is {
						return nil, err
					}
					return tt.looks[n-1].([]finding.Finding), nil
				}
				begin := time.Now()
				watchStreams(ctx, look, func(err error) { cancel(err) }, slog.New(slog.NewTextHandler(&out, nil)))
				cause := context.Cause(ctx)
				ended := errors.Is(cause, ErrStreamsChanged)
				if ended != tt.ends {
					t.Errorf("ended: %v (%v), want %v", ended, cause, tt.ends)
				}
				if ended && (n != len(tt.looks) || !strings.Contains(cause.Error(), "it loses jobs; repair it")) {
					t.Errorf("after %d looks: %v", n, cause)
				}
				if lines := strings.Count(out.String(), "\n"); lines != tt.lines {
					t.Errorf("%d lines, want %d:\n%s", lines, tt.lines, out.String())
				}
				if took := time.Since(begin); took < time.Duration(n)*recheckEvery {
					t.Errorf("%d looks in %s", n, took)
				}
			})
		})
	}
}
