package jobfile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/capture-worker/capture-worker/capture"
)

// jsonRows reads one object per line, the elements of an array, or objects over
// several lines, depending on the start of the file.
func jsonRows(buf *bufio.Reader, bounded *rowLimit, start []byte, o Options) (Rows, error) {
	jobs, err := capture.NewDecoder(o.Mapping)
	if err != nil {
		return nil, err
	}
	dec := decoder{jobs, o.Enveloped}
	array := bytes.HasPrefix(start, []byte("["))
	if first, _, more := bytes.Cut(start, []byte("\n")); array || more && goesOn(first) {
		return (&values{in: buf, bounded: bounded, line: 1, array: array}).rows(dec), nil
	}
	return lineRows(buf, bounded, dec), nil
}

// decoder decodes rows of JSON.
type decoder struct {
	jobs      *capture.Decoder
	enveloped bool
}

func (d decoder) decode(r *Row) {
	header, body := d.open(r.Body)
	r.Job, r.Err = d.jobs.Decode(header, body)
	if d.enveloped && r.Err == nil {
		r.Unread = d.jobs.Unread(header, body)
	}
}

// open returns the message in {"headers": …, "body": …}, and any other text
// unchanged.
func (d decoder) open(row []byte) (map[string][]string, []byte) {
	if !d.enveloped {
		return nil, row
	}
	var members map[string]json.RawMessage
	var headers map[string]string
	if json.Unmarshal(row, &members) != nil || len(members) != 2 || members["body"] == nil || json.Unmarshal(members["headers"], &headers) != nil {
		return nil, row
	}
	out := map[string][]string{}
	for name, value := range headers {
		out[name] = []string{value}
	}
	return out, members["body"]
}

// goesOn reports whether a line ends inside an object or array.
func goesOn(line []byte) bool {
	if len(line) == 0 || line[0] != '{' || json.Valid(line) {
		return false
	}
	depth, text := 0, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
	}
	return depth > 0 && !text
}

// lineRows reads one JSON object per line and skips empty lines.
func lineRows(buf *bufio.Reader, bounded *rowLimit, dec decoder) Rows {
	return func(yield func(Row, error) bool) {
		for line := 1; ; line++ {
			bounded.reset()
			text, err := buf.ReadSlice('\n')
			r := Row{Line: line, Lines: 1}
			switch {
			case errors.Is(err, bufio.ErrBufferFull):
				r.Err = fmt.Errorf("the line is longer than %d bytes", maxRow)
				err = skipLine(buf, bounded)
			default:
				r.Body = slices.Clone(bytes.TrimSpace(text))
			}
			if err != nil && !errors.Is(err, io.EOF) {
				yield(Row{}, fmt.Errorf("line %d: %w", line, err))
				return
			}
			if r.Err == nil && len(r.Body) > 0 {
				dec.decode(&r)
			}
			if (r.Err != nil || len(r.Body) > 0) && !yield(r, nil) {
				return
			}
			if err != nil {
				return
			}
		}
	}
}

func skipLine(buf *bufio.Reader, bounded *rowLimit) error {
	for {
		bounded.reset()
		if _, err := buf.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// values reads JSON values at any place: in an array, or over several lines.
type values struct {
	in      *bufio.Reader
	bounded *rowLimit
	array   bool
	line    int // line of the next byte
	items   int
	text    []byte
	long    bool // text is longer than a row may be
}

var errCutOff = errors.New("the JSON ends inside a value or array: the file is incomplete")

func (v *values) rows(dec decoder) Rows {
	return func(yield func(Row, error) bool) {
		if v.array {
			if _, err := v.skipTo('['); err != nil {
				yield(Row{}, err)
				return
			}
		}
		for {
			more, err := v.begin()
			if err != nil {
				yield(Row{}, fmt.Errorf("line %d: %w", v.line, err))
				return
			}
			if !more {
				return
			}
			v.items++
			r := Row{Line: v.line, Item: v.items}
			if err := v.value(); err != nil {
				yield(Row{}, fmt.Errorf("%s: %w", r.Place(), err))
				return
			}
			r.Lines = v.line - r.Line + 1
			v.decode(dec, &r)
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (v *values) decode(dec decoder, r *Row) {
	if v.long {
		r.Err = fmt.Errorf("it is longer than %d bytes", maxRow)
		return
	}
	var body bytes.Buffer
	if json.Compact(&body, v.text) != nil {
		body.Reset()
		body.Write(v.text) // the decoder reports the error
	}
	r.Body = body.Bytes()
	dec.decode(r)
}

// next returns the next byte.
func (v *values) next() (byte, error) {
	c, err := v.in.ReadByte()
	if c == '\n' && err == nil {
		v.line++
	}
	return c, err
}

func (v *values) back(c byte) {
	if v.in.UnreadByte() == nil && c == '\n' {
		v.line--
	}
}

func (v *values) skipTo(want byte) (byte, error) {
	for {
		if c, err := v.next(); err != nil || c == want {
			return c, err
		}
	}
}

// begin skips to the start of the next value; more is false at the end.
func (v *values) begin() (more bool, err error) {
	v.bounded.reset()
	comma := v.items == 0 || !v.array
	for {
		c, err := v.next()
		switch {
		case errors.Is(err, io.EOF) && v.array:
			return false, errCutOff
		case errors.Is(err, io.EOF):
			return false, nil
		case err != nil:
			return false, err
		case c == ' ' || c == '\t' || c == '\n':
		case c == ',' && !comma:
			comma = true
		case c == ']' && v.array && (v.items == 0 || !comma):
			return false, v.atEnd()
		case !comma, c == ',' || c == ']' || c == '}' || c == ':':
			return false, fmt.Errorf("%.10q instead of a value or the end: the input is not one JSON array, and the rest cannot be read", c)
		default:
			v.back(c)
			return true, nil
		}
	}
}

// atEnd returns an error if there is text after the array.
func (v *values) atEnd() error {
	for {
		switch c, err := v.next(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case c != ' ' && c != '\t' && c != '\n':
			return fmt.Errorf("%.10q after the end of the array", c)
		}
	}
}

// value reads one value into v.text. The decoder checks whether it is JSON.
func (v *values) value() error {
	v.text, v.long = v.text[:0], false
	depth, quoted := 0, false
	for {
		c, err := v.next()
		if errors.Is(err, io.EOF) && (depth > 0 || quoted) {
			return errCutOff
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if depth == 0 && !quoted && len(v.text) > 0 && (c == ',' || c == ']' || c == '}' || c == ' ' || c == '\t' || c == '\n') {
			v.back(c)
			return nil
		}
		v.keep(c)
		switch {
		case quoted && c == '\\':
			if c, err = v.next(); err == nil {
				v.keep(c)
			}
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth <= 0 {
				return nil
			}
		}
	}
}

func (v *values) keep(c byte) {
	if len(v.text) < maxRow {
		v.text = append(v.text, c)
		return
	}
	v.long = true
	v.bounded.reset()
}
