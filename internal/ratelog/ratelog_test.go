package ratelog_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/internal/ratelog"
)

func TestAllow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelog.New(10 * time.Second)
		for _, step := range []struct {
			after      time.Duration
			kind       string
			allowed    bool
			suppressed int
		}{
			{0, "", true, 0}, // the first message is always allowed
			{0, "", false, 0},
			{0, "full", true, 1}, // so is one of another kind
			{5 * time.Second, "full", false, 0},
			{4 * time.Second, "full", false, 0},
			{time.Second, "full", true, 2}, // ten seconds after the last one logged
			{time.Second, "full", false, 0},
			{time.Hour, "full", true, 1},
			{time.Hour, "full", true, 0},
		} {
			time.Sleep(step.after)
			if suppressed, allowed := l.Allow(step.kind); allowed != step.allowed || suppressed != step.suppressed {
				t.Errorf("%q %s later: allowed %t, suppressed %d; want %t, %d", step.kind, step.after, allowed, suppressed, step.allowed, step.suppressed)
			}
		}
	})
}
