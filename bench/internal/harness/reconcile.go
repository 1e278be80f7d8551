package harness

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/fixture"
	"github.com/capture-worker/capture-worker/bench/internal/result"
)

const (
	reconcileTrades = 100_000
	reconcileHands  = 64
	reconcileBound  = 10 * time.Minute
)

// reconcileTable measures `capture-worker reconcile --all` on the ledger that
// the last drain has made, at several limits of the rate.
func (a *Harness) reconcileTable(ctx context.Context, trades int) (result.Table, error) {
	table := result.Table{
		Title: fmt.Sprintf("Reconciling %d settled trades: `capture-worker reconcile --all`, gateway latency 0, %d trades in flight", trades, reconcileHands),
		Head:  []string{"Order Queries per second, limit", "trades/s", "of the limit", "peak RSS MiB"},
		Notes: []string{"The whole process, from its start to its end. All trades agree."},
	}
	for _, limit := range []int{1000, 2000, 0} {
		took, peak, err := a.reconcile(ctx, limit)
		if err != nil {
			return table, fmt.Errorf("reconciling at %d queries a second: %w", limit, err)
		}
		rate := float64(trades) / took.Seconds()
		a.say("reconcile: limit %d, %.0f trades/s, peak %d MiB", limit, rate, peak>>20)
		table.Rows = append(table.Rows, reconcileRow(limit, rate, peak))
	}
	return table, nil
}

func reconcileRow(limit int, rate float64, peak int64) []string {
	row := []string{"none", fmt.Sprintf("%.0f", rate), "–", fmt.Sprint(peak >> 20)}
	if limit > 0 {
		row[0], row[2] = fmt.Sprint(limit), fmt.Sprintf("%.2f", rate/float64(limit))
	}
	return row
}

func (a *Harness) reconcile(ctx context.Context, limit int) (took time.Duration, peak int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, reconcileBound)
	defer cancel()
	setting := Setting{Concurrency: reconcileHands, NATS: a.Broker.URL, Gateway: a.Gateway.URL}
	begin := time.Now()
	p, err := fixture.Start(fixture.Command{
		Name: "reconcile", Path: a.program(CaptureWorker), Dir: a.cfg.Dir, Env: workerEnv(nil)(setting),
		Args: []string{"reconcile", "--all", "--quiet", "--restart", "--min-age", "0s",
			"--rate", strconv.Itoa(limit), "--concurrency", strconv.Itoa(reconcileHands)},
	})
	if err != nil {
		return 0, 0, err
	}
	_, peak, err = p.Wait(ctx)
	return time.Since(begin), peak, err
}
