package seldom_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/internal/seldom"
)

func TestWorth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := seldom.Every(10 * time.Second)
		for _, step := range []struct {
			after  time.Duration
			kind   string
			worth  bool
			unsaid int
		}{
			{0, "", true, 0}, // the first, whatever it is
			{0, "", false, 0},
			{0, "full", true, 1}, // another kind at once
			{5 * time.Second, "full", false, 0},
			{4 * time.Second, "full", false, 0},
			{time.Second, "full", true, 2}, // ten seconds after its line
			{time.Second, "full", false, 0},
			{time.Hour, "full", true, 1},
			{time.Hour, "full", true, 0},
		} {
			time.Sleep(step.after)
			if unsaid, worth := l.Worth(step.kind); worth != step.worth || unsaid != step.unsaid {
				t.Errorf("%q %s later: %t with %d unsaid, want %t with %d", step.kind, step.after, worth, unsaid, step.worth, step.unsaid)
			}
		}
	})
}
