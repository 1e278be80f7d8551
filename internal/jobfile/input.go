package jobfile

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

// inMemory is the size up to which an input that cannot be read twice is kept in
// memory. A larger one is copied to a temporary file, which needs a writable
// folder; a minimal container image has none.
const inMemory = 8 << 20

// maxWindow limits the memory for decompressing zstd. The default of `zstd --long`,
// 128 MiB, is above it.
const maxWindow = 64 << 20

// Input is a file that can be read several times: to check it and to send it. It is
// decompressed if it is compressed with gzip or zstd.
type Input struct {
	packed  io.ReadSeeker
	content io.Reader // since the last Rewind
	unpack  func(io.Reader) (io.Reader, func(), error)
	release func() // of the decompressor
	close   func() // and removes the copy
}

// Open opens the file at path, or stdin for "-". An input that cannot be read twice
// is copied first. The error for a workbook or an archive names its format.
func Open(ctx context.Context, path string, stdin io.Reader) (*Input, error) {
	in, err := open(ctx, path, stdin)
	if err != nil {
		return nil, err
	}
	if err := in.recognise(); err != nil {
		in.Close()
		return nil, fmt.Errorf("the input: %w", err)
	}
	return in, nil
}

func open(ctx context.Context, path string, stdin io.Reader) (*Input, error) {
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
		return &Input{packed: f, close: func() { f.Close() }}, nil
	}
	f.Close()
	return nil, fmt.Errorf("the input: %s: %w", path, err)
}

// forms lists formats by their first bytes.
var forms = []struct {
	start  string
	unpack func(io.Reader) (io.Reader, func(), error)
	no     string // why the format is not supported
}{
	{start: "\x1f\x8b", unpack: gunzip},
	{start: "\x28\xb5\x2f\xfd", unpack: unzstd},
	{start: "PK\x03\x04", no: "is a workbook (.xlsx, .ods) or a zip archive; save the sheet as CSV UTF-8"},
	{start: "\xd0\xcf\x11\xe0", no: "is a workbook of an old Excel (.xls); save the sheet as CSV UTF-8"},
	{start: "BZh", no: "is compressed with bzip2; use gzip or zstd"},
	{start: "\xfd7zXZ", no: "is compressed with xz; use gzip or zstd"},
	{start: "%PDF", no: "is a PDF"},
}

func (in *Input) recognise() error {
	start := make([]byte, 8)
	n, err := io.ReadFull(in.packed, start)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	for _, form := range forms {
		if !bytes.HasPrefix(start[:n], []byte(form.start)) {
			continue
		}
		if form.no != "" {
			return errors.New("it " + form.no)
		}
		in.unpack = form.unpack
	}
	return in.Rewind()
}

func gunzip(packed io.Reader) (io.Reader, func(), error) {
	r, err := gzip.NewReader(packed)
	return r, func() {}, err
}

func unzstd(packed io.Reader) (io.Reader, func(), error) {
	r, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, nil, err
	}
	return r, r.Close, nil
}

// Read reads the decompressed content.
func (in *Input) Read(p []byte) (int, error) {
	n, err := in.content.Read(p)
	if in.unpack == nil || err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, fmt.Errorf("unpacking: %w", err)
}

// Rewind continues at the start.
func (in *Input) Rewind() error {
	in.stopUnpacking()
	if _, err := in.packed.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading the input again: %w", err)
	}
	in.content = in.packed
	if in.unpack == nil {
		return nil
	}
	var err error
	if in.content, in.release, err = in.unpack(in.packed); err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	return nil
}

func (in *Input) stopUnpacking() {
	if in.release != nil {
		in.release()
	}
	in.release = nil
}

// Close closes the file, and removes the copy if there is one.
func (in *Input) Close() {
	in.stopUnpacking()
	in.close()
}

func spool(ctx context.Context, in io.Reader) (*Input, error) {
	in = &stoppable{ctx, in}
	var head bytes.Buffer
	if _, err := io.CopyN(&head, in, inMemory+1); errors.Is(err, io.EOF) {
		return &Input{packed: bytes.NewReader(head.Bytes()), close: func() {}}, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading the input: %w", err)
	}
	f, err := os.CreateTemp("", "capture-worker-publish-*")
	if err != nil {
		return nil, fmt.Errorf("copying the input, which has more than %d MiB, to a temporary file: %w; "+
			"set TMPDIR to a writable folder, or name a file instead of stdin", inMemory>>20, err)
	}
	s := &Input{packed: f, close: func() { f.Close(); os.Remove(f.Name()) }}
	_, err = io.Copy(f, io.MultiReader(&head, in))
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("copying the input to a temporary file: %w", err)
	}
	return s, nil
}

// stoppable is a reader that ends when ctx ends.
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
