package reconcile_test

import (
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/reconcile"
)

var schedule = reconcile.Schedule{
	QuickInitial: 500 * time.Millisecond, QuickMax: 10 * time.Second, QuickTotal: 15 * time.Second,
	SlowInitial: 15 * time.Second, SlowMax: 15 * time.Minute,
}

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

// bounds returns the shortest and longest wait of many draws.
func bounds(round int, deadline time.Time) (least, most time.Duration) {
	least = time.Duration(1 << 62)
	for range 500 {
		wait := schedule.Next(round, noon, deadline).Sub(noon)
		least, most = min(least, wait), max(most, wait)
	}
	return least, most
}

func TestScheduleGrowsQuickThenSlow(t *testing.T) {
	t.Parallel()
	// 0.5 + 1 + 2 + 4 = 7.5 s fit into 15 s, 8 more would not.
	nominal := []time.Duration{
		500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second,
		15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute,
		15 * time.Minute, 15 * time.Minute,
	}
	for i, want := range nominal {
		least, most := bounds(i+1, time.Time{})
		if least < want/2 || most > want+want/2+time.Nanosecond {
			t.Errorf("round %d: waits from %s to %s, want them within half of %s", i+1, least, most, want)
		}
		if most-least < want/4 {
			t.Errorf("round %d: waits from %s to %s hardly differ; a crowd would come back at once", i+1, least, most)
		}
	}
	if _, most := bounds(100_000, time.Time{}); most > 15*time.Minute+15*time.Minute/2 {
		t.Errorf("a late round waits %s", most)
	}
}

func TestScheduleGetsDenserBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	deadline := noon.Add(4 * time.Minute)
	if _, most := bounds(20, deadline); most > time.Minute {
		t.Errorf("four minutes before the deadline it waits %s, want a quarter of that at the most", most)
	}
	if least, most := bounds(20, noon.Add(time.Second)); most > 10*time.Second || least <= 0 {
		t.Errorf("a second before the deadline it waits %s to %s, want the longest quick wait at the most", least, most)
	}
	if least, _ := bounds(20, noon.Add(-time.Hour)); least < 7*time.Minute {
		t.Errorf("after the deadline it waits only %s; there is no hurry any more", least)
	}
}

func TestScheduleRepeatsWithItsOwnChance(t *testing.T) {
	t.Parallel()
	s := schedule
	for random, want := range map[float64]time.Duration{0: 250 * time.Millisecond, 0.5: 500 * time.Millisecond} {
		s.Random = func() float64 { return random }
		if got := s.Next(1, noon, time.Time{}).Sub(noon); got != want {
			t.Errorf("the first wait at chance %v is %s, want %s", random, got, want)
		}
	}
}
