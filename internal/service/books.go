package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/records"
	"github.com/capture-worker/capture-worker/ledger"
)

// HasRecords reports whether the configuration names a database of the records.
func HasRecords(c config.Config) bool { return c.Records.DSN != "" && c.Records.DSN != config.RecordsOff }

// TemporaryRecords fills records from the ledger for one question, in a database
// in dir that remove closes and deletes. It needs memory for a few batches, and
// some kilobytes of disk for a trade.
func TemporaryRecords(ctx context.Context, c config.Config, js jetstream.JetStream, dir string) (store *records.Store, remove func() error, err error) {
	l := ledger.NewJetStream(js, ledger.Options{Stream: c.Ledger.Stream})
	defer func() { err = errors.Join(err, l.Close()) }()
	stream, err := js.Stream(ctx, c.Ledger.Stream)
	if err != nil {
		return nil, nil, fmt.Errorf("stream %s: %w", c.Ledger.Stream, err)
	}
	info := stream.CachedInfo()
	place := records.Place{Stream: info.Config.Name, Created: info.Created, First: info.State.FirstSeq, Applied: max(info.State.FirstSeq, 1) - 1}
	own, err := os.MkdirTemp(dir, ".capture-worker-records-*")
	if err != nil {
		return nil, nil, fmt.Errorf("creating temporary records: %w", err)
	}
	remove = func() error {
		var closed error
		if store != nil {
			closed = store.Close()
		}
		return errors.Join(closed, os.RemoveAll(own))
	}
	store, err = records.Open(ctx, filepath.Join(own, recordsFile), records.Options{Window: c.Gateway.Window})
	if err == nil {
		err = store.Fill(ctx, place, l.Messages(ctx, 0, info.State.LastSeq))
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("reading the ledger into temporary records: %w", err), remove())
	}
	return store, remove, nil
}
