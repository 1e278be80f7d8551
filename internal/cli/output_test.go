package cli

import "testing"

func TestCounted(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"1 query": counted(1, "query"), "2 queries": counted(int64(2), "query"), "0 jobs": counted(uint64(0), "job"), "1 trade": counted(1, "trade"),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
