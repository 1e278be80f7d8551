package breaker_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/breaker"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

var configs = map[string]breaker.Config{
	"worker": {
		InARow: 20, Few: 3, Over: time.Minute, Window: 10 * time.Second, Least: 50, Ratio: 0.9,
		OurFault: true, MaxHold: 5 * time.Minute, WellAfter: 40, ProbeFirst: 5 * time.Second, ProbeMax: 5 * time.Second,
	},
	"batch": {InARow: 10, Throttle: true, ProbeNow: true, ProbeFirst: 2 * time.Second, ProbeMax: time.Minute},
}

// TestTranscripts plays the stories in testdata. A story is prose (lines that
// start with #), commands, a line of four dashes, and one line for each command
// that changed the cause or was a probe. -update rewrites these.
//
//	config worker|batch
//	answer ANSWER times=20 retry=30s   ANSWER is paid, timeout, 429 or a code; the last answer's state is shown
//	probe ANSWER, expire, advance 5s
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			was, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			story, _, _ := strings.Cut(string(was), "----\n")
			got := story + "----\n" + play(t, story)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(was) {
				t.Errorf("%s plays differently now; compare, or rewrite with -update. It gives:\n%s", file, got)
			}
		})
	}
}

func play(t *testing.T, story string) string {
	t.Helper()
	var b *breaker.Breaker
	var out strings.Builder
	begin := time.Unix(1_700_000_000, 0)
	now := begin
	for line := range strings.Lines(story) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		switch words[0] {
		case "config":
			b = breaker.New(configs[words[1]])
			continue
		case "advance":
			d, err := time.ParseDuration(words[1])
			if err != nil {
				t.Fatal(err)
			}
			now = now.Add(d)
			continue
		}
		was := b.Cause()
		switch words[0] {
		case "answer":
			a, times := answer(t, words[1:])
			for range times {
				b.Observe(a, now)
			}
		case "probe":
			a, _ := answer(t, words[1:])
			b.Probed(a, now)
		case "expire":
			b.Expire(now)
		default:
			t.Fatalf("what is %q?", line)
		}
		if was == b.Cause() && words[0] != "probe" {
			continue
		}
		fmt.Fprintf(&out, "%-7s %-30s %s", "+"+now.Sub(begin).String(), strings.Join(words, " "), b.Cause())
		if b.Cause() != breaker.Closed {
			fmt.Fprintf(&out, ", next in %s, failed %d", b.Next().Sub(now), b.Failed())
			if code := b.OnlyCode(); code != "" {
				fmt.Fprintf(&out, ", only code %s", code)
			}
		}
		out.WriteByte('\n')
	}
	return out.String()
}

func answer(t *testing.T, words []string) (a capture.Answer, times int) {
	t.Helper()
	times = 1
	switch words[0] {
	case "paid":
		a = capture.Answer{Kind: capture.AnswerDone, Code: capture.CodeSuccess, Order: &capture.Order{State: capture.OrderPaid}}
	case "timeout":
		a = capture.Answer{Kind: capture.AnswerUnknown}
	case "429":
		a = capture.Answer{Kind: capture.AnswerUnknown, HTTPStatus: 429}
	case capture.CodeSignature, capture.CodeTradeID:
		a = capture.Answer{Kind: capture.AnswerRefused, Code: words[0]}
	default:
		a = capture.Answer{Kind: capture.AnswerUnknown, Code: words[0]}
	}
	for _, word := range words[1:] {
		name, value, _ := strings.Cut(word, "=")
		var err error
		switch name {
		case "times":
			times, err = strconv.Atoi(value)
		case "retry":
			a.RetryAfter, err = time.ParseDuration(value)
		default:
			t.Fatalf("what is %q?", word)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return a, times
}

func TestIgnored(t *testing.T) {
	t.Parallel()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	timeout := capture.Answer{Kind: capture.AnswerUnknown, Latency: time.Second}
	for name, tt := range map[string]struct {
		ctx  context.Context
		a    capture.Answer
		want bool
	}{
		"not tried":        {t.Context(), capture.Answer{Kind: capture.AnswerNotSent}, true},
		"no connection":    {t.Context(), capture.Answer{Kind: capture.AnswerNotSent, Latency: time.Second}, false},
		"timeout":          {t.Context(), timeout, false},
		"canceled by us":   {canceled, timeout, true},
		"useful in a stop": {canceled, capture.Answer{Kind: capture.AnswerDone}, false},
		"no answer at all": {t.Context(), capture.Answer{}, true},
	} {
		if got := breaker.Ignored(tt.ctx, tt.a); got != tt.want {
			t.Errorf("%s: ignored %t, want %t", name, got, tt.want)
		}
	}
}
