package jobfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
)

// byteOrderMark is at the start of texts that spreadsheets write.
const byteOrderMark = "\uFEFF"

// asText returns the content as UTF-8 without a byte order mark, with \n at the end
// of each line. A byte order mark overrides the given encoding.
func asText(in io.Reader, name string) (io.Reader, error) {
	buf := bufio.NewReaderSize(in, 64<<10)
	start, err := buf.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading the input: %w", err)
	}
	var enc encoding.Encoding
	switch {
	case bytes.HasPrefix(start, []byte(byteOrderMark)):
		_, _ = buf.Discard(len(byteOrderMark)) // it is in the buffer, so this cannot fail, so this cannot fail
	case bytes.HasPrefix(start, []byte("\xff\xfe\x00\x00")), bytes.HasPrefix(start, []byte("\x00\x00\xfe\xff")):
		return nil, errors.New("the input is UTF-32; save it as UTF-8")
	case bytes.HasPrefix(start, []byte("\xff\xfe")), looksUTF16(start, 1):
		enc = unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
		if start[0] != 0xff {
			enc = unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
		}
	case bytes.HasPrefix(start, []byte("\xfe\xff")), looksUTF16(start, 0):
		enc = unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
		if start[0] == 0xfe {
			enc = unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
		}
	case name != "":
		if enc, err = htmlindex.Get(name); err != nil {
			return nil, fmt.Errorf("the encoding %.40q is not known; common ones are utf-8, windows-1252, iso-8859-15, macintosh, utf-16le, gbk, shift_jis", name)
		}
	}
	if enc == nil || enc == unicode.UTF8 {
		return &lineEnds{in: buf}, nil
	}
	return &lineEnds{in: enc.NewDecoder().Reader(buf)}, nil
}

// looksUTF16 reports whether every second byte of the start is zero: ASCII in 16
// bits, without a byte order mark.
func looksUTF16(start []byte, zero int) bool {
	return len(start) == 4 && start[zero] == 0 && start[zero+2] == 0 && start[1-zero] != 0 && start[3-zero] != 0
}

// lineEnds converts line ends to \n. On old Macs a line end is \r alone, and a file
// with these would be read as one line.
type lineEnds struct {
	in          io.Reader
	afterReturn bool // the last byte was \r, and a \n of the same line end may follow
}

func (l *lineEnds) Read(p []byte) (int, error) {
	for {
		n, err := l.in.Read(p)
		n = l.convert(p[:n])
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
}

// convert converts p in place and returns the result.
func (l *lineEnds) convert(p []byte) int {
	if !l.afterReturn && bytes.IndexByte(p, '\r') < 0 {
		return len(p)
	}
	out := 0
	for _, c := range p {
		after := l.afterReturn
		l.afterReturn = c == '\r'
		switch {
		case c == '\r':
			c = '\n'
		case c == '\n' && after:
			continue // it belongs to the preceding \r
		}
		p[out] = c
		out++
	}
	return out
}
