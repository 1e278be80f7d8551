package subject_test

import (
	"testing"

	"github.com/capture-worker/capture-worker/internal/subject"
)

func TestCoversAndOverlap(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, other  string
		covers, overlap bool
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
		if got := subject.Covers(tt.pattern, tt.other); got != tt.covers {
			t.Errorf("Covers(%q, %q) = %t", tt.pattern, tt.other, got)
		}
		for _, pair := range [][2]string{{tt.pattern, tt.other}, {tt.other, tt.pattern}} {
			if got := subject.Overlap(pair[0], pair[1]); got != tt.overlap {
				t.Errorf("Overlap(%q, %q) = %t", pair[0], pair[1], got)
			}
		}
	}
}
