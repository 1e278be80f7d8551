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

// inMemory is how much of an input that cannot be read twice is kept in memory.
// What is larger goes to a temporary file, which an image of nothing but the
// program has no place for.
const inMemory = 8 << 20

// maxWindow bounds what unpacking zstd keeps in memory: its own default of
// `zstd --long`, 128 MiB, is above it.
const maxWindow = 64 << 20

// Input is a file that can be read several times: once to check it, once to
// send it. What is packed with gzip or zstd is unpacked on the way.
type Input struct {
	packed  io.ReadSeeker
	content io.Reader // since the last Rewind
	unpack  func(io.Reader) (io.Reader, func(), error)
	release func() // of what unpacks
	close   func() // and removes what was made for it
}

// Open opens the file at path, or stdin for "-". What cannot be read twice is
// first copied. A workbook or an archive is refused by its name.
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

// forms are files that are known by their first bytes.
var forms = []struct {
	start  string
	unpack func(io.Reader) (io.Reader, func(), error)
	no     string // why the form is not read
}{
	{start: "\x1f\x8b", unpack: gunzip},
	{start: "\x28\xb5\x2f\xfd", unpack: unzstd},
	{start: "PK\x03\x04", no: "is a workbook (.xlsx, .ods) or a zip archive; save the sheet as CSV UTF-8"},
	{start: "\xd0\xcf\x11\xe0", no: "is a workbook of an old Excel (.xls); save the sheet as CSV UTF-8"},
	{start: "BZh", no: "is packed with bzip2; gzip and zstd are read"},
	{start: "\xfd7zXZ", no: "is packed with xz; gzip and zstd are read"},
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

// Read reads what the file holds, unpacked.
func (in *Input) Read(p []byte) (int, error) {
	n, err := in.content.Read(p)
	if in.unpack == nil || err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, fmt.Errorf("unpacking: %w", err)
}

// Rewind goes back to the start.
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

// Close lets go of the file, and removes the copy if one was made.
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
		return nil, fmt.Errorf("making a copy of the input, of which more than %d MiB are not kept in memory: %w; "+
			"name a folder that can be written to in TMPDIR, or publish a file", inMemory>>20, err)
	}
	s := &Input{packed: f, close: func() { f.Close(); os.Remove(f.Name()) }}
	_, err = io.Copy(f, io.MultiReader(&head, in))
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("making a copy of the input: %w", err)
	}
	return s, nil
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
