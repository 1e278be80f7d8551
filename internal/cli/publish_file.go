package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/jobfile"
)

// fileFlags are the flags for the form of a file of jobs, which several commands
// share.
type fileFlags struct {
	format, decimal, columns, encoding string
}

func (f *fileFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.columns, "columns", "", "names of the columns of a CSV, as `field=column`,… or as the path of a YAML or JSON file")
	fs.StringVar(&f.decimal, "decimal", "point", "decimal `sign` of amounts in a CSV: point or comma")
	fs.StringVar(&f.encoding, "encoding", "", "`encoding` of a file that is neither UTF-8 nor has a byte order mark, such as windows-1252")
}

func (f *fileFlags) addFormat(fs *pflag.FlagSet) {
	fs.StringVar(&f.format, "format", jobfile.FormatAuto, "`format` of the input: auto, csv or ndjson (JSON in any arrangement)")
}

// options checks the flags. The extension of path may show the format.
func (f *fileFlags) options(path string, m capture.Mapping) (jobfile.Options, error) {
	o := jobfile.Options{Format: f.format, Encoding: f.encoding, Comma: f.decimal == "comma", Mapping: m}
	switch f.format {
	case jobfile.FormatAuto, "":
		o.Format = jobfile.FormatOf(path)
	case jobfile.FormatCSV, jobfile.FormatNDJSON:
	default:
		return o, usageError("--format is %q: must be auto, csv or ndjson", f.format)
	}
	if f.decimal != "point" && f.decimal != "comma" && f.decimal != "" {
		return o, usageError("--decimal is %q: must be point or comma", f.decimal)
	}
	var err error
	o.Columns, err = readColumns(f.columns)
	return o, err
}

// readColumns reads field=column,…, or the file with that path.
func readColumns(text string) (map[string]capture.Field, error) {
	if text == "" {
		return nil, nil
	}
	if !strings.Contains(text, "=") {
		return savedColumns(text)
	}
	columns := map[string]capture.Field{}
	for pair := range strings.SplitSeq(text, ",") {
		field, name, ok := strings.Cut(pair, "=")
		field, name = strings.TrimSpace(field), strings.TrimSpace(name)
		if _, twice := columns[field]; !ok || field == "" || name == "" || twice {
			return nil, usageError("--columns is %.80q: must be field=column,field=column with each field once, or the path of a file", text)
		}
		columns[field] = capture.At(name)
	}
	return columns, checkColumns(columns)
}

func savedColumns(path string) (map[string]capture.Field, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usageError("--columns: %w", err)
	}
	defer f.Close()
	columns, err := config.ReadFields(f)
	if err != nil {
		return nil, usageError("--columns: %s: %w", path, err)
	}
	return columns, checkColumns(columns)
}

// checkColumns checks fields, units and values with package capture. Names of
// columns are not paths and are not checked.
func checkColumns(columns map[string]capture.Field) error {
	fields := map[string]capture.Field{}
	for name, f := range columns {
		if len(f.Paths) > 0 {
			f.Paths = []string{"column_" + name}
		}
		fields[name] = f
	}
	if _, err := capture.NewDecoder(capture.Mapping{Fields: fields}); err != nil {
		text := strings.TrimPrefix(err.Error(), capture.ErrMapping.Error()+": ")
		return usageError("--columns: %s", fmt.Sprint(strings.TrimPrefix(text, "jobs.fields: ")))
	}
	return nil
}
