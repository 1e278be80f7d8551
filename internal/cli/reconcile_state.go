package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/reconcile"
)

// stateAge is the age up to which the findings of an interrupted run are used: the
// gateway's state may have changed since. A daily run never uses those of the day
// before.
const stateAge = 12 * time.Hour

// journal stores the finished rows of a run in a file, one per line. An interrupted
// run continues with it, and the report reads the rows from it in the order of the
// input. In memory it holds a few bytes per row.
type journal struct {
	path   string
	file   *os.File
	header journalHeader
	cursor reconcile.Cursor
	at     []place // by position in the input
	rows   int
}

// journalHeader is the first line.
type journalHeader struct {
	Question string    `json:"question"` // identifies the flags and the input
	Begun    time.Time `json:"begun"`
	Since    time.Time `json:"since,omitzero"`
}

type place struct {
	offset int64
	length int32 // 0 if there is no row at this position
}

// openJournal continues the file if it belongs to the same question, and starts a
// new one otherwise, or if restart is set.
func openJournal(path string, h journalHeader, restart bool) (*journal, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("creating the folder for the progress (--state): %w", err)
	}
	s := &journal{path: path, header: h}
	going, err := s.goOn(restart)
	if err != nil {
		return nil, err
	}
	if going {
		return s, nil
	}
	*s = journal{path: path, header: h}
	s.remove() // another run that still writes to the old file keeps it
	if s.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600); err != nil {
		return nil, fmt.Errorf("writing the progress (--state): %w", err)
	}
	if _, err := s.line(h); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// goOn reads the progress of an earlier run. It returns false if there is none to
// continue.
func (s *journal) goOn(restart bool) (bool, error) {
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the progress of an earlier run (--state): %w", err)
	}
	in := bufio.NewReader(f)
	first, _ := in.ReadBytes('\n') // the error means that the header cannot be read
	var h journalHeader
	if json.Unmarshal(first, &h) != nil || h.Question == "" {
		f.Close()
		if info, err := os.Stat(s.path); err == nil && info.Size() > 0 {
			return false, fmt.Errorf("%s: %w; name another with --state, or remove it", s.path, errNoState)
		}
		return false, nil
	}
	if restart || h.Question != s.header.Question || time.Since(h.Begun) > stateAge {
		f.Close()
		return false, nil
	}
	s.file, s.header = f, h
	if err := s.replay(in, int64(len(first))); err != nil {
		s.close()
		return false, err
	}
	return true, nil
}

var errNoState = errors.New("this is not a file that reconcile wrote")

// replay reads the rows. An incomplete last line is removed: that trade is asked
// about again.
func (s *journal) replay(in *bufio.Reader, offset int64) error {
	for {
		line, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("reading the progress (--state): %w", err)
		}
		var row reconcileRow
		if err != nil || json.Unmarshal(line, &row) != nil {
			return s.file.Truncate(offset)
		}
		if row.Finding != reconcile.KindUnknown { // asked about again
			s.note(row, place{offset, int32(len(line))})
		}
		offset += int64(len(line))
	}
}

// add appends a row to the file.
func (s *journal) add(row reconcileRow) error {
	at, err := s.line(row)
	if err == nil {
		s.note(row, at)
	}
	return err
}

func (s *journal) line(v any) (place, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return place{}, fmt.Errorf("writing the progress (--state): %w", err)
	}
	b = append(b, '\n')
	if _, err := s.file.Write(b); err != nil {
		return place{}, fmt.Errorf("writing the progress to %s: %w", s.path, err)
	}
	// Another run with the same question may append to the file too.
	end, err := s.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return place{}, fmt.Errorf("writing the progress to %s: %w", s.path, err)
	}
	return place{end - int64(len(b)), int32(len(b))}, nil
}

func (s *journal) note(row reconcileRow, at place) {
	for int64(len(s.at)) <= row.Position {
		s.at = append(s.at, place{})
	}
	if !row.Unasked {
		s.rows++
	}
	s.cursor.Done(reconcile.Verdict{Item: reconcile.Item{TradeID: row.TradeID}, Position: row.Position})
	if row.Finding != reconcile.KindSkipped {
		s.at[row.Position] = at
	}
}

// done returns the number of finished trades.
func (s *journal) done() int { return s.rows }

// each reads the rows in the order of the input.
func (s *journal) each(do func(reconcileRow) error) error {
	for _, p := range s.at {
		if p.length == 0 {
			continue
		}
		line := make([]byte, p.length)
		var row reconcileRow
		if _, err := s.file.ReadAt(line, p.offset); err != nil {
			return fmt.Errorf("reading the progress (--state): %w", err)
		}
		if err := json.Unmarshal(line, &row); err != nil {
			return fmt.Errorf("reading the progress (--state): %w", err)
		}
		if err := do(row); err != nil {
			return err
		}
	}
	return nil
}

func (s *journal) close() { _ = s.file.Close() }

// remove removes the file. The open file can still be read.
func (s *journal) remove() { _ = os.Remove(s.path) }

// reconcileRow is a verdict in the form in which it is stored and printed.
type reconcileRow struct {
	Position      int64          `json:"position"`
	TradeID       string         `json:"trade_id"`
	OrderID       string         `json:"order_id,omitempty"`
	Line          int            `json:"line,omitempty"` // of the input
	Finding       reconcile.Kind `json:"finding"`
	Expected      capture.Amount `json:"expected,omitzero"`
	Ledger        string         `json:"ledger,omitempty"` // "" if the ledger does not know the trade
	LedgerAmount  capture.Amount `json:"ledger_amount,omitzero"`
	Gateway       string         `json:"gateway,omitempty"`
	GatewayAmount capture.Amount `json:"gateway_amount,omitzero"`
	CaptureBefore time.Time      `json:"capture_before,omitzero"`
	Written       bool           `json:"written,omitempty"`
	Mended        bool           `json:"corrected,omitempty"` // written, and agreed since
	Unasked       bool           `json:"unasked,omitempty"`   // the run had given up on the gateway
	Why           string         `json:"why"`
}

func rowOf(v reconcile.Verdict) reconcileRow {
	row := reconcileRow{
		Position: v.Position, TradeID: v.TradeID, Finding: v.Kind, Expected: v.Expected,
		CaptureBefore: v.Deadline, Written: v.Written, Unasked: v.Unasked, Why: v.Why,
	}
	if b, ok := v.Tag.(books); ok {
		row.Line, row.OrderID = b.line, b.orderID
	}
	s := v.State
	if s.Events > 0 {
		row.Ledger, row.LedgerAmount = phaseText(s), s.Job.Amount
		if s.Outcome != nil {
			row.LedgerAmount = s.Outcome.Sum()
		}
	}
	if row.OrderID == "" {
		row.OrderID = s.Job.OrderID
	}
	row.CaptureBefore = row.CaptureBefore.UTC() // books may use another time zone
	switch {
	case v.Answer.NoSuchTrade():
		row.Gateway = "no such trade"
	case v.Answer.Order != nil:
		row.Gateway, row.GatewayAmount = string(v.Answer.Order.State), v.Answer.Order.Amount
	case v.Answer.Kind != "":
		row.Gateway = "no answer"
	}
	row.Mended = v.Written && (v.Kind == reconcile.KindNotInLedger || v.Expected.IsZero() && v.Event.Type == capture.Failed)
	return row
}

func phaseText(s capture.State) string {
	switch {
	case s.Outcome == nil:
		return "open"
	case s.Dismissed:
		return "dismissed"
	case s.Outcome.Reason != "":
		return fmt.Sprintf("%s (%s)", s.Outcome.Type, s.Outcome.Reason)
	}
	return string(s.Outcome.Type)
}
