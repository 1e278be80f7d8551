package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// input is a file that can be read twice: once to check it, once to send it.
type input struct {
	file *os.File
	gone func() // removes what was made for it
}

// openInput opens the file at path, or stdin for "-". What cannot be read
// twice is first copied to a temporary file.
func openInput(ctx context.Context, path string, stdin io.Reader) (*input, error) {
	if path == "-" {
		return spool(ctx, stdin)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the input: %w", err)
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
		return &input{f, func() {}}, nil
	}
	f.Close()
	return nil, fmt.Errorf("opening the input %s: %w", path, err)
}

func spool(ctx context.Context, in io.Reader) (*input, error) {
	f, err := os.CreateTemp("", "capture-worker-publish-*")
	if err != nil {
		return nil, fmt.Errorf("making a copy of the input: %w", err)
	}
	s := &input{f, func() { os.Remove(f.Name()) }}
	if _, err := io.Copy(f, &stoppable{ctx, in}); err != nil {
		s.close()
		return nil, fmt.Errorf("making a copy of the input: %w", err)
	}
	return s, nil
}

// rewind goes back to the start.
func (s *input) rewind() error {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading the input again: %w", err)
	}
	return nil
}

func (s *input) close() {
	s.file.Close()
	s.gone()
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
