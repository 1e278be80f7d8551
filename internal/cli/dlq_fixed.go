package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/jobfile"
)

// fixedJob is a corrected job.
type fixedJob struct{ body []byte }

// maxFixed limits the size of the file of corrected jobs.
const maxFixed = 64 << 20

// readFixed reads the file of corrected jobs: one for each named dead letter. A
// JSON object may have one line or several.
func readFixed(path string, dec *capture.Decoder, want int) ([]fixedJob, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the corrected jobs: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFixed+1))
	if err != nil {
		return nil, fmt.Errorf("reading the corrected jobs: %w", err)
	}
	if len(text) > maxFixed {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, maxFixed)
	}
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\uFEFF")))
	read := fixedJSON
	if !bytes.HasPrefix(text, []byte("{")) {
		read = func(text []byte) ([]fixedJob, error) { return fixedCSV(text) }
	}
	jobs, err := read(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(jobs) != want {
		return nil, fmt.Errorf("%s holds %d jobs for %d dead letters; it must hold one for each, in their order", path, len(jobs), want)
	}
	return jobs, nil
}

func fixedJSON(text []byte) ([]fixedJob, error) {
	var jobs []fixedJob
	in := json.NewDecoder(bytes.NewReader(text))
	for {
		var body json.RawMessage
		err := in.Decode(&body)
		if errors.Is(err, io.EOF) {
			return jobs, nil
		}
		if err != nil {
			return nil, fmt.Errorf("job %d is not JSON: %w", len(jobs)+1, err)
		}
		jobs = append(jobs, fixedJob{body})
	}
}

func fixedCSV(text []byte) ([]fixedJob, error) {
	rows, err := jobfile.Read(bytes.NewReader(text), jobfile.Options{Format: jobfile.FormatCSV})
	if err != nil {
		return nil, err
	}
	var jobs []fixedJob
	for r, err := range rows {
		if err != nil {
			return nil, err
		}
		if r.Err != nil {
			return nil, fmt.Errorf("%s: %s", r.Place(), jobfile.Reason(r.Err))
		}
		jobs = append(jobs, fixedJob{r.Body})
	}
	return jobs, nil
}
