package jobfile

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
)

// What comes in a pipe can be read twice: a small one without a folder to put
// it in, as in the image, a large one from a file that is gone afterwards.
func TestInputReadTwice(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef"), inMemory/16+1)
	for name, c := range map[string]struct {
		text   []byte
		folder string
		kept   int // files while it is open
	}{
		"nothing":                   {nil, "/nowhere", 0},
		"small, without a folder":   {large[:100], "/nowhere", 0},
		"as much as memory is for":  {large[:inMemory], "/nowhere", 0},
		"large":                     {large, t.TempDir(), 1},
		"large by one byte, folder": {large[:inMemory+1], t.TempDir(), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", c.folder)
			in, err := Open(t.Context(), "-", bytes.NewReader(c.text))
			if err != nil {
				t.Fatal(err)
			}
			files := func() int {
				found, _ := os.ReadDir(c.folder) // a folder that is not there holds none
				return len(found)
			}
			if n := files(); n != c.kept {
				t.Errorf("%d files are kept, want %d", n, c.kept)
			}
			for range 2 {
				if got, err := io.ReadAll(in); err != nil || !bytes.Equal(got, c.text) {
					t.Errorf("%d bytes and %v, want the %d that came", len(got), err, len(c.text))
				}
				if err := in.Rewind(); err != nil {
					t.Fatal(err)
				}
			}
			in.Close()
			if n := files(); n != 0 {
				t.Errorf("%d files are left", n)
			}
		})
	}
}

func TestInputThatCannotBeKept(t *testing.T) {
	t.Setenv("TMPDIR", "/nowhere")
	_, err := Open(t.Context(), "-", io.LimitReader(endless{}, inMemory+1))
	if err == nil || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("%v, want what to do about it", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ended, "-", endless{}); err == nil {
		t.Error("an endless input is read although its reader has stopped")
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }
