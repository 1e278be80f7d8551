package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// inMemory is how much of an input that cannot be read twice is kept in memory.
// What is larger goes to a temporary file, which an image of nothing but the
// program has no place for.
const inMemory = 8 << 20

// input can be read twice: once to check it, once to send it.
type input struct {
	io.ReadSeeker
	close func() // and removes what was made for it
}

// openInput opens the file at path, or stdin for "-". What cannot be read
// twice is first copied.
func openInput(ctx context.Context, path string, stdin io.Reader) (*input, error) {
	if path == "-" {
		return spool(ctx, stdin)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the input: %w", err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		err = errors.New("it is a folder")
	case !info.Mode().IsRegular():
		defer f.Close()
		return spool(ctx, f)
	default:
		return &input{f, func() { f.Close() }}, nil
	}
	f.Close()
	return nil, fmt.Errorf("the input: %s: %w", path, err)
}

func spool(ctx context.Context, in io.Reader) (*input, error) {
	in = &stoppable{ctx, in}
	var head bytes.Buffer
	if _, err := io.CopyN(&head, in, inMemory+1); errors.Is(err, io.EOF) {
		return &input{bytes.NewReader(head.Bytes()), func() {}}, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading the input: %w", err)
	}
	f, err := os.CreateTemp("", "capture-worker-publish-*")
	if err != nil {
		return nil, fmt.Errorf("making a copy of the input, of which more than %d MiB are not kept in memory: %w; "+
			"name a folder that can be written to in TMPDIR, or publish a file", inMemory>>20, err)
	}
	s := &input{f, func() { f.Close(); os.Remove(f.Name()) }}
	_, err = io.Copy(f, io.MultiReader(&head, in))
	if err == nil {
		err = s.rewind()
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("making a copy of the input: %w", err)
	}
	return s, nil
}

// rewind goes back to the start.
func (s *input) rewind() error {
	if _, err := s.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading the input again: %w", err)
	}
	return nil
}

// stoppable ends between two reads when ctx does.
type stoppable struct {
	ctx context.Context
	in  io.Reader
}

func (s *stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.in.Read(p)
}
