package subject_test

import (
	"testing"

	"github.com/capture-worker/capture-worker/internal/subject"
)

func TestTakesAndOverlap(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, wanted string
		takes, overlap  bool
	}{
		{"a.b", "a.b", true, true},
		{"a.b", "a.c", false, false},
		{"a.*", "a.b", true, true},
		{"a.b", "a.*", false, true},
		{"a.*", "a.*", true, true},
		{"a.*", "a.b.c", false, false},
		{"a.*.c", "a.b.*", false, true},
		{"a.>", "a.b.c", true, true},
		{"a.>", "a", false, false},
		{"a.>", "a.>", true, true},
		{"a.*", "a.>", false, true},
		{"a.>", "a.*", true, true},
		{">", "a", true, true},
		{"a", ">", false, true},
		{"a.b", "a", false, false},
		{"a", "a.b", false, false},
	} {
		if got := subject.Takes(tt.pattern, tt.wanted); got != tt.takes {
			t.Errorf("Takes(%q, %q) = %t", tt.pattern, tt.wanted, got)
		}
		for _, pair := range [][2]string{{tt.pattern, tt.wanted}, {tt.wanted, tt.pattern}} {
			if got := subject.Overlap(pair[0], pair[1]); got != tt.overlap {
				t.Errorf("Overlap(%q, %q) = %t", pair[0], pair[1], got)
			}
		}
	}
}
