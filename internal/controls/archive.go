package controls

import (
	"context"
	"time"
)

// ArchiveMark is how far the archive of the ledger is.
type ArchiveMark struct {
	Through uint64    `json:"through"` // every event up to this sequence is archived
	Stored  time.Time `json:"stored"`  // when the ledger stored that one
	Day     string    `json:"day"`
	Head    string    `json:"head"` // SHA-256 of the newest manifest
	Where   string    `json:"where"`
	At      time.Time `json:"at"` // when an archiver found it so
}

// Archive returns how far the archive is, nil if there is none.
func (c *Store) Archive(ctx context.Context) (*ArchiveMark, error) {
	mark, found, err := read[ArchiveMark](ctx, c.kv, c.archive)
	if err != nil || !found {
		return nil, err
	}
	return &mark, nil
}

// NoteArchive stores how far the archive is, for all workers.
func (c *Store) NoteArchive(ctx context.Context, mark ArchiveMark) error {
	return change(ctx, c.kv, c.archive, func(stored *ArchiveMark, _ bool) error {
		*stored = mark
		return nil
	})
}
