package main

import (
	"bytes"
	"path/filepath"

	"github.com/capture-worker/capture-worker/bench/internal/result"
)

// report writes a run into its part of the documentation: tables into
// performance.md, and the plot of the matrix beside it.
func report(file, docs string) error {
	r, err := result.Read(file)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	r.WriteReport(&text)
	if err := result.FillFile(filepath.Join(docs, "performance.md"), r.Part(), text.Bytes()); err != nil {
		return err
	}
	if r.Part() != result.MatrixPart {
		return nil
	}
	return r.WritePlot(filepath.Join(docs, "performance.svg"))
}
