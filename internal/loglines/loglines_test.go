package loglines_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/internal/loglines"
)

// terminal remembers each write; it can be stuck or fail.
type terminal struct {
	mu     sync.Mutex
	writes []string
	stuck  chan struct{}
	fail   error
}

func (o *terminal) Write(b []byte) (int, error) {
	if o.stuck != nil {
		<-o.stuck
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writes = append(o.writes, string(b))
	return len(b), o.fail
}

func (o *terminal) wrote(t *testing.T, want ...string) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Equal(o.writes, want) {
		t.Errorf("written: %q, want %q", o.writes, want)
	}
}

func say(t *testing.T, w *loglines.Writer, line string) {
	t.Helper()
	if n, err := w.Write([]byte(line)); n != len(line) || err != nil {
		t.Fatalf("writing %q: %d, %v", line, n, err)
	}
}

func TestLinesCloseTogetherAreWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &terminal{}
		w := loglines.New(o)
		say(t, w, "a\n")
		o.wrote(t, "a\n") // calm: at once
		say(t, w, "b\n")
		say(t, w, "c\n")
		o.wrote(t, "a\n")
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		o.wrote(t, "a\n", "b\nc\n")
		time.Sleep(10 * time.Millisecond)
		say(t, w, "d\n")
		o.wrote(t, "a\n", "b\nc\n", "d\n") // calm again
		say(t, w, "e\n")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		o.wrote(t, "a\n", "b\nc\n", "d\n", "e\n") // nothing is kept
		time.Sleep(time.Second)
		o.wrote(t, "a\n", "b\nc\n", "d\n", "e\n") // and nothing is said twice
	})
}

// Who reads our log slowly slows us down, as without the gathering: what waits
// has a limit.
func TestWhatWaitsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &terminal{stuck: make(chan struct{})}
		w := loglines.New(o)
		line := strings.Repeat("x", 1<<10-1) + "\n"
		taken := 0
		for range 4 {
			go func() {
				for range 1000 {
					_, _ = w.Write([]byte(line))
					o.mu.Lock()
					taken++
					o.mu.Unlock()
				}
			}()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		o.mu.Lock()
		if taken > 200 {
			t.Errorf("%d KiB were taken from who logs, while nobody reads", taken)
		}
		o.mu.Unlock()
		close(o.stuck)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(strings.Join(o.writes, "")); n != 4000<<10 {
			t.Errorf("%d bytes came out, want %d", n, 4000<<10)
		}
	})
}

// Each goroutine's lines come in its order, and whole.
func TestNoLineIsLostOrTorn(t *testing.T) {
	t.Parallel()
	o := &terminal{}
	w := loglines.New(o)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 2000 {
				_, _ = fmt.Fprintf(w, "%d %d\n", g, i)
			}
		})
	}
	all.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	next := map[int]int{}
	for line := range strings.Lines(strings.Join(o.writes, "")) {
		var g, i int
		if _, err := fmt.Sscanf(line, "%d %d\n", &g, &i); err != nil || i != next[g] {
			t.Fatalf("%q, want line %d of %d", line, next[g], g)
		}
		next[g]++
	}
	for g := range 8 {
		if next[g] != 2000 {
			t.Errorf("%d lines of %d", next[g], g)
		}
	}
}

func TestATroubleOfWritingIsTold(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left")
	if _, err := loglines.New(&terminal{fail: full}).Write([]byte("a\n")); !errors.Is(err, full) {
		t.Errorf("%v, want %v", err, full)
	}
}
