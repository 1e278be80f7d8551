package archive

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"math/big"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/records"
	"github.com/capture-worker/capture-worker/ledger"
)

// maxLine bounds a line that is read: far above what a message may hold.
const maxLine = 64 << 20

// line is an event in a file: one line of JSON, so that other programs can read it
// too. Data holds the bytes as the ledger does.
type line struct {
	Seq     uint64      `json:"seq"`
	Stored  time.Time   `json:"stored"`
	Subject string      `json:"subject"`
	Header  nats.Header `json:"header,omitempty"`
	Data    string      `json:"data"`
	// Bytes has the bytes if they are not valid UTF-8.
	Bytes []byte `json:"bytes,omitempty"`
}

func lineOf(m *jetstream.RawStreamMsg) line {
	l := line{Seq: m.Sequence, Stored: m.Time.UTC(), Subject: m.Subject, Header: m.Header}
	if utf8.Valid(m.Data) {
		l.Data = string(m.Data)
	} else {
		l.Bytes = m.Data
	}
	return l
}

func (l *line) message() *jetstream.RawStreamMsg {
	m := &jetstream.RawStreamMsg{Subject: l.Subject, Sequence: l.Seq, Header: l.Header, Data: []byte(l.Data), Time: l.Stored}
	if l.Bytes != nil {
		m.Data = l.Bytes
	}
	return m
}

// tally adds up the events of a file.
type tally struct {
	Counts
	first, last uint64
	money       map[string]*big.Int // minor units
}

func newTally() *tally {
	return &tally{Counts: Counts{Types: map[string]uint64{}, Captured: map[string]string{}}, money: map[string]*big.Int{}}
}

func (t *tally) add(m *jetstream.RawStreamMsg) {
	if t.first == 0 {
		t.first = m.Sequence
	}
	t.last = m.Sequence
	t.Events++
	if ledger.After(m.Header) < t.first {
		t.Trades++
	}
	e, err := capture.DecodeEvent(m.Data)
	if err != nil {
		t.Unreadable++
		return
	}
	t.Types[string(e.Type)]++
	sum := e.Sum()
	if e.Type != capture.Captured || sum.IsZero() {
		return
	}
	minor, ok := new(big.Int).SetString(strings.Replace(sum.Number(), ".", "", 1), 10)
	if !ok {
		return // not reached: an Amount is a decimal
	}
	total := t.money[sum.Currency()]
	if total == nil {
		total = new(big.Int)
		t.money[sum.Currency()] = total
	}
	total.Add(total, minor)
	t.Captured[sum.Currency()] = records.Decimal(total, sum.Currency())
}

// fileWriter writes a file: lines of JSON, compressed.
type fileWriter struct {
	tally *tally
	hash  hash.Hash
	size  int64
	out   io.Writer
	zip   *zstd.Encoder
	lines *json.Encoder
}

func newFileWriter(out io.Writer) (*fileWriter, error) {
	w := &fileWriter{tally: newTally(), hash: sha256.New(), out: out}
	zip, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, err
	}
	w.zip, w.lines = zip, json.NewEncoder(zip)
	w.lines.SetEscapeHTML(false)
	return w, nil
}

// Write takes the compressed bytes.
func (w *fileWriter) Write(p []byte) (int, error) {
	w.hash.Write(p)
	w.size += int64(len(p))
	return w.out.Write(p)
}

func (w *fileWriter) add(m *jetstream.RawStreamMsg) error {
	w.tally.add(m)
	return w.lines.Encode(lineOf(m))
}

func (w *fileWriter) close() error { return w.zip.Close() }

func (w *fileWriter) sum() string { return hex.EncodeToString(w.hash.Sum(nil)) }

// errFile is wrapped if a file of the archive is not as it was written.
var errFile = errors.New("the file is not as it was written")

// readFile yields the events of a day's file. At its end the file is held against
// its manifest: a file that is not the one of the manifest ends with an error that
// wraps errFile, after events that may not be trusted.
func readFile(ctx context.Context, t Target, m Manifest) iter.Seq2[*jetstream.RawStreamMsg, error] {
	return func(yield func(*jetstream.RawStreamMsg, error) bool) {
		fail := func(err error) { yield(nil, fmt.Errorf("reading %s of the archive: %w", m.File, err)) }
		r, err := t.Open(ctx, m.File)
		if err != nil {
			fail(err)
			return
		}
		defer r.Close()
		sum := sha256.New()
		raw := io.TeeReader(r, sum)
		zip, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			fail(err)
			return
		}
		defer zip.Close()
		lines := bufio.NewScanner(zip)
		lines.Buffer(make([]byte, 64<<10), maxLine)
		for lines.Scan() {
			var l line
			if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
				fail(fmt.Errorf("%w: %w", errFile, err))
				return
			}
			if !yield(l.message(), nil) {
				return
			}
		}
		err = lines.Err()
		if err == nil {
			_, err = io.Copy(io.Discard, raw)
		}
		switch {
		case ctx.Err() != nil:
			fail(ctx.Err())
		case err != nil:
			fail(fmt.Errorf("%w: %w", errFile, err))
		case hex.EncodeToString(sum.Sum(nil)) != m.SHA256:
			fail(fmt.Errorf("%w: its SHA-256 is not that of its manifest", errFile))
		}
	}
}
