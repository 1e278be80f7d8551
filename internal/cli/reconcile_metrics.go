package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/reconcile"
)

// writeMetrics writes the result of a finished run for the textfile collector of
// Prometheus' node exporter, which reads *.prom. The file appears whole, under its
// own name or not at all. A run that breaks off leaves the file of the last
// finished one.
func writeMetrics(path string, found *summary, bad, broken int, finished time.Time) error {
	var b strings.Builder
	gauge := func(name, help string) {
		fmt.Fprintf(&b, "# HELP capture_reconcile_%s %s\n# TYPE capture_reconcile_%[1]s gauge\n", name, help)
	}
	single := func(name, help string, value int64) {
		gauge(name, help)
		fmt.Fprintf(&b, "capture_reconcile_%s %d\n", name, value)
	}
	single("last_finished_timestamp_seconds", "When reconcile last finished.", finished.Unix())
	single("differences", "Differences of the last run that were not corrected.", int64(found.open()))
	single("corrected", "Outcomes that the last run corrected.", int64(found.corrected))
	single("bad_rows", "Rows of the input of the last run that could not be read.", int64(bad))
	single("broken_rules", "Rules that the audit of the last run found broken.", int64(broken))
	gauge("trades", "Trades of the last run, by finding.")
	for _, kind := range reconcile.Kinds() {
		fmt.Fprintf(&b, "capture_reconcile_trades{finding=%q} %d\n", kind, found.counts[kind])
	}
	gauge("money", "Money of the trades of the last run, by finding, in units of the currency.")
	for _, kind := range reconcile.Kinds() {
		if found.money[kind] == nil {
			continue
		}
		for _, sum := range found.money[kind].Sums() {
			fmt.Fprintf(&b, "capture_reconcile_money{finding=%q,currency=%q} %s\n", kind, sum.Currency, sum.Amount)
		}
	}
	if err := replaceFile(path, []byte(b.String())); err != nil {
		return fmt.Errorf("writing the metrics: %w", err)
	}
	return nil
}

// replaceFile writes a file that others may read at any time, also as another user.
func replaceFile(path string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(content)
	if chmodErr := f.Chmod(0o644); err == nil {
		err = chmodErr
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
