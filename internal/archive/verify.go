package archive

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/ledger"
)

// Fault is in what way an archive is not what was written.
type Fault string

// The faults.
const (
	FaultManifest  Fault = "changed_manifest" // it cannot be read, or says what cannot be
	FaultChain     Fault = "broken_chain"     // a manifest is not the one that the next one names: it was changed, removed or added
	FaultMissing   Fault = "missing_file"     // a manifest's file is gone
	FaultFile      Fault = "changed_file"     // it is not the file of its manifest
	FaultSequence  Fault = "wrong_sequence"   // events are doubled, out of order, or not of the day's range
	FaultCounts    Fault = "wrong_counts"     // events, trades or money differ from the manifest
	FaultEvent     Fault = "changed_event"    // the ledger holds other bytes
	FaultHead      Fault = "wrong_head"       // the newest manifest is not the expected one: days are missing at the end
	FaultLost      Fault = "lost_events"      // events left the ledger before they were archived
	FaultBeginning Fault = "wrong_beginning"  // the first manifest names one before it, which is gone
)

// Problem is a fault and its place.
type Problem struct {
	Fault  Fault  `json:"fault"`
	Object string `json:"object"` // its name in the archive
	Detail string `json:"detail"`
}

// Verification is what Verify found.
type Verification struct {
	Days     int       `json:"days"`
	Events   uint64    `json:"events"`
	First    uint64    `json:"first"`
	Last     uint64    `json:"last"`
	Head     string    `json:"head"` // SHA-256 of the newest manifest: keep it elsewhere
	Compared uint64    `json:"compared,omitempty"`
	Problems []Problem `json:"problems"`
	// Unreferenced names the objects that no manifest names: files of runs that were
	// interrupted, or added by others. No reader takes an event from them.
	Unreferenced []string `json:"unreferenced,omitempty"`
}

// Verifier proves an archive.
type Verifier struct {
	Target Target
	Ledger string // stream
	// Head, if set, is the SHA-256 of the newest manifest as it is known from
	// elsewhere: without it no one sees that the newest days were removed.
	Head string
	// Against, if not nil, is the server whose ledger is compared with the archive,
	// as far as it still holds what the archive does.
	Against jetstream.JetStream
}

// Verify reads the whole archive. The error says that it could not; what is wrong
// with the archive is in the result.
func (v Verifier) Verify(ctx context.Context) (Verification, error) {
	found := Verification{Problems: []Problem{}}
	all, err := v.Target.List(ctx, folderOf(v.Ledger))
	if err != nil {
		return found, fmt.Errorf("verifying the archive in %s: %w", v.Target.Where(), err)
	}
	named := map[string]bool{}
	var before sealed
	for _, name := range all {
		if !strings.HasSuffix(name, manifestSuffix) {
			continue
		}
		named[name] = true
		s, err := readManifest(ctx, v.Target, name)
		if errors.Is(err, errManifest) {
			found.add(FaultManifest, name, "%v", err)
			before = sealed{name: name, hash: s.hash}
			continue
		}
		if err != nil {
			return found, err
		}
		named[s.File] = true
		found.chain(s, before)
		if err := v.file(ctx, s, &found); err != nil {
			return found, err
		}
		before = s
	}
	for _, name := range all {
		if !named[name] {
			found.Unreferenced = append(found.Unreferenced, name)
		}
	}
	found.Head = before.hash
	if v.Head != "" && v.Head != found.Head {
		found.add(FaultHead, before.name, "the newest manifest has the SHA-256 %s, expected was %s", found.Head, v.Head)
	}
	return found, nil
}

func (f *Verification) add(fault Fault, object, detail string, args ...any) {
	f.Problems = append(f.Problems, Problem{fault, object, fmt.Sprintf(detail, args...)})
}

// chain holds a manifest against the one before it.
func (f *Verification) chain(s, before sealed) {
	f.Days++
	switch {
	case before.name == "" && s.Previous != "":
		f.add(FaultBeginning, s.name, "it follows %s, which is not there", s.Previous)
	case before.name != "" && (s.Previous != before.name || s.Chain != before.hash):
		f.add(FaultChain, s.name, "it follows %s with the SHA-256 %s; before it is %s with %s", s.Previous, s.Chain, before.name, before.hash)
	}
	if before.Ledger != "" {
		switch {
		case s.Ledger != before.Ledger || !s.Created.Equal(before.Created):
			f.add(FaultChain, s.name, "it is of another ledger than the one before it")
		case s.After != before.Last:
			f.add(FaultChain, s.name, "it continues after sequence %d, the one before it ends at %d", s.After, before.Last)
		}
	}
	if s.name != nameOf(s.Ledger, s.Day, s.After)+manifestSuffix {
		f.add(FaultManifest, s.name, "its name is not that of day %q after sequence %d", s.Day, s.After)
	}
	if s.Lost > 0 {
		f.add(FaultLost, s.name, "sequences %d to %d had left the ledger before they were archived", s.After+1, s.After+s.Lost)
	}
	if f.First == 0 {
		f.First = s.First
	}
	f.Last = s.Last
}

// file reads the file of a manifest.
func (v Verifier) file(ctx context.Context, s sealed, found *Verification) error {
	t, last := newTally(), s.After+s.Lost
	var held *comparison
	if v.Against != nil {
		held = compareWith(ctx, v.Against, s.Manifest)
		defer held.close()
	}
	for m, err := range readFile(ctx, v.Target, s.Manifest) {
		switch {
		case errors.Is(err, ErrNotFound):
			found.add(FaultMissing, s.File, "the manifest %s names it", s.name)
			return nil
		case errors.Is(err, errFile):
			found.add(FaultFile, s.File, "%v", err)
			return nil
		case err != nil:
			return err
		}
		if m.Sequence <= last || m.Sequence > s.Last {
			found.add(FaultSequence, s.File, "sequence %d comes after %d, in a file up to %d", m.Sequence, last, s.Last)
		}
		last = m.Sequence
		t.add(m)
		if held == nil {
			continue
		}
		differs, err := held.differs(m)
		if err != nil {
			return err
		}
		if differs {
			found.add(FaultEvent, s.File, "sequence %d is not the event that the ledger holds", m.Sequence)
		}
	}
	found.Events += t.Events
	if held != nil {
		found.Compared += held.n
	}
	if !sameCounts(t.Counts, s.Counts) || t.first != s.First || t.last != s.Last || s.Last-s.After != s.Lost+s.Absent+s.Events {
		found.add(FaultCounts, s.File, "it holds %d events (%d to %d) of %d trades, the manifest says %d (%d to %d) of %d, or they differ in types or money",
			t.Events, t.first, t.last, t.Trades, s.Events, s.First, s.Last, s.Trades)
	}
	return nil
}

func sameCounts(a, b Counts) bool {
	return a.Events == b.Events && a.Trades == b.Trades && a.Unreadable == b.Unreadable && maps.Equal(a.Types, b.Types) && maps.Equal(a.Captured, b.Captured)
}

// comparison reads the ledger beside a file of the archive.
type comparison struct {
	ledger *ledger.JetStream
	next   func() (*jetstream.RawStreamMsg, error, bool)
	stop   func()
	held   *jetstream.RawStreamMsg
	err    error
	n      uint64 // events compared
}

func compareWith(ctx context.Context, js jetstream.JetStream, m Manifest) *comparison {
	c := &comparison{ledger: ledger.NewJetStream(js, ledger.Options{Stream: m.Ledger})}
	c.next, c.stop = iter.Pull2(c.ledger.Messages(ctx, m.First, m.Last))
	c.advance()
	return c
}

func (c *comparison) advance() {
	var more bool
	if c.held, c.err, more = c.next(); !more {
		c.held = nil
	}
}

// differs reports whether the ledger holds another event of the sequence. What it
// does not hold has expired, and cannot differ.
func (c *comparison) differs(m *jetstream.RawStreamMsg) (bool, error) {
	for c.err == nil && c.held != nil && c.held.Sequence < m.Sequence {
		c.advance()
	}
	if c.err != nil || c.held == nil || c.held.Sequence > m.Sequence {
		return false, c.err
	}
	c.n++
	return !same(m, c.held), nil
}

func (c *comparison) close() {
	c.stop()
	_ = c.ledger.Close() // nothing was appended
}
