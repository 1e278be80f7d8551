package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/capture-worker/capture-worker/internal/acts"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/history"
	"github.com/capture-worker/capture-worker/internal/records"
)

// lettersOf has the list of dead letters about a trade or an order read from the
// records, if there are any: the stream has no index. close ends the use of them.
func (d *dlqCmd) lettersOf(ctx context.Context, f letterFilter, warn func(string)) (close func()) {
	if f.trade == "" && f.order == "" {
		return func() {}
	}
	found := openLookup(ctx, d.js, d.c, warn)
	if found.store == nil {
		return found.close
	}
	lag, err := found.store.Lag(ctx, d.js, records.SourceDeadLetters, d.c.Jobs.DLQStream)
	if err != nil {
		warn(fmt.Sprintf("the records (records.dsn) are not used: %v", err))
		return found.close
	}
	stream := d.letters
	d.letters = func(ctx context.Context, q letterQuery, each func(history.DeadLetter) error) error {
		if err := found.letters(ctx, q, each); err != nil {
			return err
		}
		if lag.Messages == 0 {
			return nil
		}
		q.After = max(q.After, lag.Applied) // what the records do not hold yet
		return stream(ctx, q, each)
	}
	text := fmt.Sprintf("as of sequence %d of stream %s, from the records in %s", lag.Applied, d.c.Jobs.DLQStream, found.store.Where())
	if lag.Messages > 0 {
		text += fmt.Sprintf(": what operators did in the last %s (%s) is not shown", counted(lag.Messages, "message"), lag.Behind.Round(time.Millisecond))
	}
	warn(text)
	return found.close
}

// letters yields the dead letters of the records that a query selects.
func (l *lookup) letters(ctx context.Context, q letterQuery, each func(history.DeadLetter) error) error {
	page := records.Page{Limit: records.MaxLimit}
	for {
		got, err := l.store.DeadLetters(ctx, records.LetterQuery{Trade: q.Trade, Order: q.Order, Reason: q.Reason}, page)
		if err != nil {
			return err
		}
		for _, letter := range got.Items {
			if letter.Seq <= q.After {
				continue
			}
			d := history.DeadLetter{
				Seq: letter.Seq, Time: letter.Stored, Reason: letter.Reason, Trade: letter.Trade, Order: letter.OrderID, Subject: letter.Subject,
				Detail: history.Detail(deadletter.Message{Reason: letter.Reason, Detail: letter.Detail, Part: letter.Part}),
				Amount: letter.Asked.Number(), Currency: letter.Asked.Currency(),
			}
			if !letter.Waiting {
				if err := l.resolution(ctx, &d); err != nil {
					return err
				}
			}
			if err := each(d); err != nil {
				return err
			}
		}
		if page.Cursor = got.Next; page.Cursor == "" {
			return nil
		}
	}
}

// resolution completes a dead letter with the newest notes about it.
func (l *lookup) resolution(ctx context.Context, d *history.DeadLetter) error {
	done, err := l.store.Acts(ctx, records.ActQuery{Letter: d.Seq}, records.Page{Limit: records.MaxLimit})
	if err != nil {
		return err
	}
	for _, act := range done.Items { // the newest first
		switch {
		case act.Act == acts.Republish && d.Republished == nil:
			err = json.Unmarshal(act.Raw, &d.Republished)
		case act.Act == acts.DismissDeadLetter && d.Dismissed == nil:
			err = json.Unmarshal(act.Raw, &d.Dismissed)
		}
		if err != nil {
			return fmt.Errorf("reading the note about dead letter %d: %w", d.Seq, err)
		}
	}
	return nil
}
