package result

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"
)

// The page has two of these for each part that is generated.
const (
	beginMark = "<!-- bench:%s begins: written by the harness, edits are lost -->"
	endMark   = "<!-- bench:%s ends -->"
)

// Fill replaces a generated part of a Markdown page.
func Fill(page []byte, part string, text []byte) ([]byte, error) {
	begin, end := fmt.Sprintf(beginMark, part), fmt.Sprintf(endMark, part)
	head, rest, found := bytes.Cut(page, []byte(begin))
	_, tail, closed := bytes.Cut(rest, []byte(end))
	if !found || !closed {
		return nil, fmt.Errorf("the page has no part %q: it lacks the lines\n%s\n%s", part, begin, end)
	}
	return bytes.Join([][]byte{head, []byte(begin), []byte("\n\n"), bytes.TrimSpace(text), []byte("\n\n"), []byte(end), tail}, nil), nil
}

// FillFile replaces a generated part of a page on the disk.
func FillFile(path, part string, text []byte) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if page, err = Fill(page, part, text); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, page, 0o644)
}

// Conditions tells, in Markdown, where, when and of what this was measured.
func (r Run) Conditions() string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "%s, in %s, with `%s`.\n\n", r.Began.UTC().Format("2006-01-02 15:04 MST"), r.Took.Round(time.Second), r.Command)
	fmt.Fprintf(&b, "Machine: %s, %d cores, %s of memory, %s/%s, kernel %s; load average before it began: %s. ",
		m.CPU, m.Cores, m.Memory, m.OS, m.Arch, m.Kernel, m.Load)
	if others := r.others(); others.N > 0 {
		fmt.Fprintf(&b, "Other programs took %.0f %% of it in the median round, %.0f %% in the worst. ", 100*others.Median, 100*others.Max)
	}
	if r.Sync {
		b.WriteString("The nats-server synced to the disk before it confirmed (`sync_interval: always`). ")
	}
	var versions []string
	for _, v := range r.Versions {
		versions = append(versions, v.Name+" "+v.Version)
	}
	fmt.Fprintf(&b, "Versions: %s.\n", strings.Join(versions, ", "))
	return b.String()
}
