package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// formatOne is the present form of files and manifests.
const formatOne = 1

// maxManifest bounds a manifest that is read.
const maxManifest = 1 << 20

// Manifest says what a day's file holds. The manifests are a chain: each names the
// SHA-256 of the one before it, so that the newest one vouches for all.
type Manifest struct {
	Format   int       `json:"format"`
	Ledger   string    `json:"ledger"`          // the stream
	Created  time.Time `json:"ledger_created"`  // with the name, its identity
	Day      string    `json:"day"`             // 2026-11-02, in UTC, by the ledger's clock
	Previous string    `json:"previous"`        // name of the manifest before, "" for the first
	Chain    string    `json:"previous_sha256"` // of that one
	File     string    `json:"file"`
	SHA256   string    `json:"sha256"` // of the file
	Size     int64     `json:"size"`   // of the file, in bytes

	// The file holds every event with a sequence above After up to Last, but for
	// those in Lost, which had left the ledger before they were archived, and
	// those in Absent, which an administrator had removed from it.
	After  uint64 `json:"after"`
	First  uint64 `json:"first"` // of its events
	Last   uint64 `json:"last"`
	Lost   uint64 `json:"lost,omitempty"`   // sequences After+1 to After+Lost
	Absent uint64 `json:"absent,omitempty"` // how many between First and Last
	Counts
}

// Counts are what the events of a file add up to.
type Counts struct {
	Events uint64 `json:"events"`
	// Trades counts those whose event before is not in the file.
	Trades     uint64            `json:"trades"`
	Types      map[string]uint64 `json:"types"`      // events by type
	Captured   map[string]string `json:"captured"`   // money of the captured events, by currency
	Unreadable uint64            `json:"unreadable"` // events that cannot be read; they are kept
}

// sealed is a manifest as it is stored.
type sealed struct {
	Manifest
	name string
	hash string // SHA-256 of its bytes
}

// manifestSuffix ends the names of manifests.
const manifestSuffix = ".manifest.json"

// folderOf is what the names of a ledger's objects begin with.
func folderOf(ledger string) string { return ledger + "/" }

// nameOf is what the names of a day's objects begin with. The first sequence keeps
// them apart if a day is archived in two parts.
func nameOf(ledger, day string, after uint64) string {
	return fmt.Sprintf("%s%s/%s-%020d", folderOf(ledger), day[:7], day, after)
}

func (m Manifest) encode() (sealed, []byte, error) {
	body, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return sealed{}, nil, fmt.Errorf("encoding the manifest of %s: %w", m.Day, err)
	}
	body = append(body, '\n')
	return sealed{Manifest: m, name: nameOf(m.Ledger, m.Day, m.After) + manifestSuffix, hash: hashOf(body)}, body, nil
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// manifests returns the names of a ledger's manifests, the oldest first.
func manifests(ctx context.Context, t Target, ledger string) ([]string, error) {
	all, err := t.List(ctx, folderOf(ledger))
	if err != nil {
		return nil, fmt.Errorf("listing the archive in %s: %w", t.Where(), err)
	}
	var names []string
	for _, name := range all {
		if strings.HasSuffix(name, manifestSuffix) {
			names = append(names, name)
		}
	}
	return names, nil
}

// errManifest is wrapped if an object is no manifest of the present form.
var errManifest = errors.New("not a manifest")

func readManifest(ctx context.Context, t Target, name string) (sealed, error) {
	r, err := t.Open(ctx, name)
	if err != nil {
		return sealed{}, fmt.Errorf("reading manifest %s: %w", name, err)
	}
	body, err := io.ReadAll(io.LimitReader(r, maxManifest))
	if err := errors.Join(err, r.Close()); err != nil {
		return sealed{}, fmt.Errorf("reading manifest %s: %w", name, err)
	}
	s := sealed{name: name, hash: hashOf(body)}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&s.Manifest); err != nil {
		return s, fmt.Errorf("reading manifest %s: %w: %w", name, errManifest, err)
	}
	if _, err := time.Parse(time.DateOnly, s.Day); err != nil {
		return s, fmt.Errorf("reading manifest %s: %w: %w", name, errManifest, err)
	}
	if s.Format != formatOne {
		return s, fmt.Errorf("reading manifest %s: %w: it has format %d, this program reads %d", name, errManifest, s.Format, formatOne)
	}
	return s, nil
}

// newest returns the last manifest of a ledger, the zero one if there is none.
func newest(ctx context.Context, t Target, ledger string) (sealed, error) {
	names, err := manifests(ctx, t, ledger)
	if err != nil || len(names) == 0 {
		return sealed{}, err
	}
	return readManifest(ctx, t, names[len(names)-1])
}
