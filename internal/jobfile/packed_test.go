package jobfile

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func packed(t *testing.T, with string, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	if with == "zst" {
		var err error
		if w, err = zstd.NewWriter(&b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What is packed can be read twice too, whatever its name is.
func TestPackedInput(t *testing.T) {
	text := []byte(header + strings.Repeat("t-1,1.00,EUR,tea\n", 5000))
	for _, with := range []string{"gz", "zst"} {
		t.Run(with, func(t *testing.T) {
			pack := packed(t, with, text)
			path := filepath.Join(t.TempDir(), "orders.csv."+with)
			if err := os.WriteFile(path, pack, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{path, "-"} {
				in, err := Open(t.Context(), name, bytes.NewReader(pack))
				if err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if got, err := io.ReadAll(in); err != nil || !bytes.Equal(got, text) {
						t.Fatalf("%s: %d bytes, %v", name, len(got), err)
					}
					if err := in.Rewind(); err != nil {
						t.Fatal(err)
					}
				}
				in.Close()
			}
			if FormatOf(path) != FormatCSV {
				t.Errorf("%s is not known as a CSV", path)
			}
			in, err := Open(t.Context(), "-", bytes.NewReader(pack[:len(pack)/2]))
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			if got, err := io.ReadAll(in); err == nil || !strings.Contains(err.Error(), "unpacking") {
				t.Errorf("half a file is read as %d bytes, %v", len(got), err)
			}
		})
	}
}

func TestWhatIsNoTextIsNamed(t *testing.T) {
	for start, says := range map[string]string{
		"PK\x03\x04": "save the sheet as CSV", "\xd0\xcf\x11\xe0": "old Excel", "BZh9": "bzip2", "\xfd7zXZ\x00": "xz", "%PDF-1.7": "PDF",
	} {
		if _, err := Open(t.Context(), "-", strings.NewReader(start)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", start, err)
		}
	}
	if _, err := Read(strings.NewReader("\xff\xfe\x00\x00a\x00\x00\x00"), Options{}); err == nil || !strings.Contains(err.Error(), "UTF-32") {
		t.Errorf("%v", err)
	}
}
