package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/capture-worker/capture-worker/internal/records"
)

// Format is a format of exports.
type Format string

// The formats.
const (
	CSV     Format = "csv"
	XLSX    Format = "xlsx"
	Parquet Format = "parquet"
)

// Formats lists the formats.
func Formats() []Format { return []Format{CSV, XLSX, Parquet} }

// Write writes an export. A workbook holds the totals; the other formats write
// them to totals, or not at all if that is nil. tmpDir is where a workbook keeps
// its sheets until it is finished.
func Write(ctx context.Context, store *records.Store, o Options, format Format, rows, totals io.Writer, tmpDir string) (Result, error) {
	shown := columns
	if o.Clearing != nil {
		shown = append(shown[:len(shown):len(shown)], clearingColumns...)
	}
	switch format {
	case CSV:
		w, err := newCSV(rows, totals, shown)
		if err != nil {
			return Result{}, err
		}
		return write(ctx, store, o, w)
	case XLSX:
		w, err := newXLSX(rows, tmpDir, shown)
		if err != nil {
			return Result{}, err
		}
		r, err := write(ctx, store, o, w)
		return r, errors.Join(err, w.close())
	case Parquet:
		return write(ctx, store, o, newParquet(rows, totals, o.Clearing != nil))
	}
	return Result{}, fmt.Errorf("no format is named %.20q", format)
}

// Files returns the files that ToFiles writes for a path.
func Files(format Format, path string) []string {
	if format == XLSX {
		return []string{path}
	}
	extension := filepath.Ext(path)
	return []string{path, strings.TrimSuffix(path, extension) + ".totals" + extension}
}

// ToFiles writes an export to the files that Files names. They get their names
// when all are complete; until then there is nothing, or what was there before.
func ToFiles(ctx context.Context, store *records.Store, o Options, format Format, path string) (r Result, err error) {
	paths := Files(format, path)
	var files []*os.File
	defer func() {
		for _, f := range files { // no-ops after a success
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	outs := make([]io.Writer, 2)
	for i, name := range paths {
		f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
		if err != nil {
			return Result{}, fmt.Errorf("creating %s: %w", name, err)
		}
		files, outs[i] = append(files, f), f
	}
	if r, err = Write(ctx, store, o, format, outs[0], outs[1], filepath.Dir(path)); err != nil {
		return Result{}, fmt.Errorf("writing %s: %w", path, err)
	}
	for i, f := range files {
		if err := errors.Join(f.Chmod(0o640), f.Sync(), f.Close()); err != nil {
			return Result{}, fmt.Errorf("writing %s: %w", paths[i], err)
		}
	}
	for i, f := range files {
		if err := os.Rename(f.Name(), paths[i]); err != nil {
			return Result{}, err
		}
	}
	return r, nil
}
