package harness

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/result"
	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
)

const (
	// appendEvery is the pause between two appends: few, so that the ledger does not
	// grow while it is measured, and enough for a p99 of a window.
	appendEvery = 4 * time.Millisecond
	// appendAhead is the most appends in flight. An append that is due while so many
	// are in flight is sent later; the delay is part of its measured latency.
	appendAhead = 256
)

// appendLoad appends events at a fixed rate, and measures from when each was due.
type appendLoad struct {
	ledger *ledger.JetStream
	name   string
	amount capture.Amount

	mu    sync.Mutex
	took  []time.Duration // since the last window began
	err   error
	count int
}

// start begins to append. stop ends it and waits.
func (l *appendLoad) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		places := make(chan struct{}, appendAhead)
		for due := time.Now(); ctx.Err() == nil; due = due.Add(appendEvery) {
			if sleep(ctx, time.Until(due)) != nil {
				break
			}
			places <- struct{}{}
			running.Go(func() {
				defer func() { <-places }()
				l.append(ctx, due)
			})
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

func (l *appendLoad) append(ctx context.Context, due time.Time) {
	l.mu.Lock()
	l.count++
	trade := fmt.Sprintf("%s-%d", l.name, l.count)
	l.mu.Unlock()
	e := capture.Event{
		ID: trade, Type: capture.Attempted, TradeID: trade, Time: due, Worker: "bench", Attempt: 1, Call: 1, RequestID: trade,
		LeaseUntil: due.Add(time.Minute), Job: &capture.Job{TradeID: trade, Amount: l.amount, OrderID: "A-" + trade},
	}
	_, err := l.ledger.Append(ctx, e, 0)
	took := time.Since(due)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, took)
	if ctx.Err() == nil {
		l.err = errors.Join(l.err, err)
	}
}

// p99 returns that of the appends that ended while f ran, in ms. An error of f is
// kept for failed.
func (l *appendLoad) p99(f func() error) float64 {
	l.mu.Lock()
	l.took = nil
	l.mu.Unlock()
	err := f()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = errors.Join(l.err, err)
	if len(l.took) == 0 {
		l.err = errors.Join(l.err, errors.New("no append ended in a window"))
		return 0
	}
	slices.Sort(l.took)
	return float64(l.took[len(l.took)*99/100]) / float64(time.Millisecond)
}

// failed returns what went wrong so far.
func (l *appendLoad) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// folderSize adds up the files of a folder.
func folderSize(dir string) (bytes int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // the server removes files while it runs
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	return bytes, err
}

// readsTables puts the sizes side by side.
func readsTables(all []readsOf) []result.Table {
	head := func(first string) []string {
		heads := []string{first}
		for _, r := range all {
			heads = append(heads, fmt.Sprintf("%d trades", r.trades))
		}
		return heads
	}
	appends := result.Table{
		Title: "p99 of appends while a command runs again and again, to the p99 without it",
		Head:  head("command"),
		Notes: []string{
			fmt.Sprintf("Windows of %s, alternately without and with the command; the median of the rounds' ratios, and the lowest and highest. In brackets the median p99 without, in ms. One event every %s.", readsWindow, appendEvery),
			"Every command is a process that is started: what that alone does to the appends on this machine, the first row shows.",
		},
	}
	times := result.Table{
		Title: "Time of a command, ms", Head: head("command"),
		Notes: []string{"From the start of the process to its end, while events are appended; median, lowest and highest."},
	}
	for i, read := range all[0].reads {
		ratio, took := []string{read.name}, []string{read.name}
		for _, r := range all {
			ratio = append(ratio, fmt.Sprintf("%s [%.1f]", r.reads[i].ratio.Text("%.2f"), r.reads[i].alone.Median))
			took = append(took, r.reads[i].took.Text("%.0f"))
		}
		appends.Rows, times.Rows = append(appends.Rows, ratio), append(times.Rows, took)
	}
	facts := result.Table{Title: "What a trade costs, and the records", Head: head("")}
	for i, f := range all[0].facts {
		row := []string{f.name}
		for _, r := range all {
			row = append(row, r.facts[i].value)
		}
		facts.Rows = append(facts.Rows, row)
	}
	return []result.Table{appends, times, facts}
}
