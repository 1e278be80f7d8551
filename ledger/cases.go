package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/finding"
)

// DefaultCases is the name of the stream of cases.
const DefaultCases = "CAPTURE_CASES"

// CaseTypes returns the types of the events that the stream of cases holds: those
// that open or change the case of a trade that needs an operator.
func CaseTypes() []capture.EventType {
	return []capture.EventType{
		capture.Parked, capture.Released, capture.Retried, capture.Withdrawn, capture.Dismissed, capture.Notified,
	}
}

// Cases reads the stream of cases, into which JetStream copies the events of
// CaseTypes from the ledger. It is small where the ledger is large: whether
// trades need an operator is looked up here, because a search in the ledger holds
// up every append while it lasts. The copy lags behind the ledger, see Lag, so
// that the state of a listed trade is read from the trade's last event.
type Cases struct {
	ledger *JetStream
	copied *JetStream // reads the stream of cases; nothing is appended to it
}

// Cases returns the cases of the ledger, in the stream of this name ("" is
// DefaultCases).
func (l *JetStream) Cases(stream string) *Cases {
	if stream == "" {
		stream = DefaultCases
	}
	copied := &JetStream{}
	if l.js != nil {
		copied = NewJetStream(l.js, Options{Stream: stream, Timeout: l.o.Timeout, Bound: l.o.Bound})
	}
	return &Cases{ledger: l, copied: copied}
}

// TradesSince returns the trades of the next events of a type after a sequence of
// the stream of cases, at most one page of them, and the sequence to continue
// from. If there are no such events, that is the last sequence of the stream, so
// that the same range is not searched twice.
func (c *Cases) TradesSince(ctx context.Context, t capture.EventType, after uint64) (trades []string, upTo uint64, err error) {
	start, end, err := c.copied.span(ctx, Filter{})
	if err != nil || after >= end {
		return nil, max(after, end), wrap(err, "searching the cases for events "+string(t))
	}
	msgs, err := c.copied.page(ctx, Subject("*", t), max(after+1, start))
	if err != nil {
		return nil, after, wrap(err, "searching the cases for events "+string(t))
	}
	if len(msgs) == 0 {
		return nil, end, nil
	}
	for _, msg := range msgs {
		if trade, ok := tradeOf(msg.Subject); ok {
			trades = append(trades, trade)
		}
	}
	return trades, msgs[len(msgs)-1].Sequence, nil
}

// Parked yields the trades that have a parked event and may still be parked, each
// once, in the order of the first one, starting after a sequence of the stream of
// cases, and with each the sequence to continue after. It leaves out those whose
// last event in the ledger says that they are not parked, at one short request for
// each, and remembers the trades that it has met. An error ends it.
func (c *Cases) Parked(ctx context.Context, after uint64) iter.Seq2[CaseTrade, error] {
	return func(yield func(CaseTrade, error) bool) {
		start, end, err := c.copied.span(ctx, Filter{})
		if err != nil {
			yield(CaseTrade{}, fmt.Errorf("listing parked trades: %w", err))
			return
		}
		seen := map[string]bool{}
		for msg, err := range c.copied.messages(ctx, Subject("*", capture.Parked), max(start, after+1), end) {
			if err != nil {
				yield(CaseTrade{}, fmt.Errorf("listing parked trades: %w", err))
				return
			}
			trade, ok := tradeOf(msg.Subject)
			if !ok || seen[trade] {
				continue
			}
			seen[trade] = true
			last, found, err := c.ledger.Last(ctx, trade)
			if err == nil && (!found || left(last.Event.Type)) {
				continue
			}
			if !yield(CaseTrade{TradeID: trade, Seq: msg.Sequence}, err) || err != nil {
				return
			}
		}
	}
}

// left reports whether a trade with this last event is not parked, whatever came
// before.
func left(last capture.EventType) bool {
	switch last {
	case capture.Captured, capture.Failed, capture.Released, capture.Retried, capture.Attempted:
		return true
	}
	return false
}

// CaseTrade is a trade that the stream of cases names.
type CaseTrade struct {
	TradeID string
	Seq     uint64 // of its event in the stream of cases
}

// CasesLag is how far the stream of cases is behind the ledger, as the server
// that copies knows.
type CasesLag struct {
	Events uint64        // of the ledger that are to be copied
	Silent time.Duration // since the server heard of the ledger; negative if it never did
	Reason string        // why the server cannot copy, "" if it can
}

// casesSilent is the silence from which on the copy counts as behind: the server
// sends a heartbeat every second.
const casesSilent = 5 * time.Second

// Behind reports whether events of the ledger may be missing.
func (l CasesLag) Behind() bool {
	return l.Events > 0 || l.Reason != "" || l.Silent < 0 || l.Silent > casesSilent
}

// String says how far the copy is behind.
func (l CasesLag) String() string {
	switch {
	case l.Reason != "":
		return "the server cannot copy: " + l.Reason
	case l.Silent < 0:
		return "the server has not begun to copy"
	case l.Events > 0:
		return fmt.Sprintf("%d events of the ledger are not copied yet", l.Events)
	case l.Silent > casesSilent:
		return fmt.Sprintf("the server has not heard of the ledger for %s", l.Silent.Round(time.Second))
	}
	return "nothing is missing"
}

// Lag returns how far the stream of cases is behind the ledger.
func (c *Cases) Lag(ctx context.Context) (lag CasesLag, err error) {
	err = c.copied.retry(ctx, func(ctx context.Context) error {
		stream, err := c.copied.js.Stream(ctx, c.copied.o.Stream)
		if err != nil {
			return fmt.Errorf("reading the state of stream %s: %w", c.copied.o.Stream, err)
		}
		lag = lagOf(stream.CachedInfo())
		return nil
	})
	return lag, err
}

func lagOf(info *jetstream.StreamInfo) CasesLag {
	if len(info.Sources) == 0 {
		return CasesLag{Silent: -1}
	}
	source := info.Sources[0]
	lag := CasesLag{Events: source.Lag, Silent: source.Active}
	if source.Error != nil {
		lag.Reason = source.Error.Description
	}
	return lag
}

// EnsureCases creates the stream of cases if it does not exist; it fills itself
// from the whole ledger. An existing stream is never changed; what does not suit
// is returned.
func EnsureCases(ctx context.Context, js jetstream.JetStream, c StreamConfig) ([]Finding, error) {
	c = c.withDefaults()
	stream, err := js.Stream(ctx, c.Cases)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = createCases(ctx, js, c)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", c.Cases, err)
	}
	return inspectCases(ctx, js, stream, c)
}

// InspectCases returns the state of the stream of cases and what does not suit.
// It creates and changes nothing. If the stream does not exist, the error wraps
// jetstream.ErrStreamNotFound.
func InspectCases(ctx context.Context, js jetstream.JetStream, c StreamConfig) (*jetstream.StreamInfo, []Finding, error) {
	c = c.withDefaults()
	stream, err := js.Stream(ctx, c.Cases)
	if err != nil {
		return nil, nil, fmt.Errorf("stream %s: %w", c.Cases, err)
	}
	findings, err := inspectCases(ctx, js, stream, c)
	return stream.CachedInfo(), findings, err
}

func createCases(ctx context.Context, js jetstream.JetStream, c StreamConfig) (jetstream.Stream, error) {
	// Transforms without a destination are filters, of which a source may have one
	// only by its other means.
	var filters []jetstream.SubjectTransformConfig
	for _, t := range CaseTypes() {
		filters = append(filters, jetstream.SubjectTransformConfig{Source: Subject("*", t)})
	}
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name:        c.Cases,
		Description: "capture-worker: what opened or changed the case of a trade, copied from " + c.Stream,
		Sources:     []*jetstream.StreamSource{{Name: c.Stream, SubjectTransforms: filters}},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Compression: jetstream.S2Compression,
		Replicas:    c.Replicas,
		MaxAge:      max(c.MaxAge, 0), // as the ledger's: no case outlives its trade for long
		AllowDirect: true,
	})
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return js.Stream(ctx, c.Cases)
	}
	if err == nil {
		c.Log.InfoContext(ctx, "created a stream", "stream", c.Cases, "source", c.Stream)
	}
	return stream, err
}

// inspectCases returns what keeps the stream from being a copy of the ledger's
// cases.
func inspectCases(ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, c StreamConfig) ([]Finding, error) {
	got := stream.CachedInfo().Config
	again := fmt.Sprintf("remove it (`nats stream rm %s`): capture-worker creates it when it starts, and it fills itself", got.Name)
	checks := []struct {
		bad       bool
		what, fix string
	}{
		{len(got.Sources) != 1 || got.Sources[0].Name != c.Stream, "it is not sourced from " + c.Stream + " alone, so parked trades are not listed or counted", again},
		{missesCases(got, c.Stream), "it does not copy all events that it needs (" + strings.Join(caseNames(), ", ") + "), so parked trades are not listed or counted", again},
		{!got.AllowDirect, "it does not allow direct gets, by which it is read", again},
		{
			got.MaxAge > 0 && (c.MaxAge < 0 || got.MaxAge < c.MaxAge), fmt.Sprintf("it keeps events for %s, less than ledger.max_age, so older cases are not listed or counted", got.MaxAge),
			fmt.Sprintf("`nats stream edit %s --max-age`", got.Name),
		},
		{
			got.Replicas < c.Replicas, fmt.Sprintf("it has %d of the %d replicas that nats.replicas asks for", got.Replicas, c.Replicas),
			fmt.Sprintf("`nats stream edit %s --replicas %d`, or lower nats.replicas", got.Name, c.Replicas),
		},
	}
	var found []Finding
	for _, check := range checks {
		if check.bad {
			found = append(found, Finding{Severity: finding.Warning, What: fmt.Sprintf("stream %s: %s", got.Name, check.what), Fix: check.fix})
		}
	}
	ahead, err := aheadOfLedger(ctx, js, stream, c.Stream)
	if err != nil {
		return nil, err
	}
	if ahead {
		found = append(found, Finding{
			Severity: finding.Warning, Fix: again,
			What: fmt.Sprintf("stream %s: it holds events that stream %s does not: a backup of the ledger was restored, and new cases are not copied", got.Name, c.Stream),
		})
	}
	return found, nil
}

func caseNames() (names []string) {
	for _, t := range CaseTypes() {
		names = append(names, string(t))
	}
	return names
}

// missesCases reports whether the filters of the source leave out a type.
func missesCases(got jetstream.StreamConfig, ledgerStream string) bool {
	for _, source := range got.Sources {
		if source.Name != ledgerStream {
			continue
		}
		filters := map[string]bool{source.FilterSubject: source.FilterSubject != ""}
		for _, t := range source.SubjectTransforms {
			filters[t.Source] = t.Destination == "" || t.Destination == t.Source
		}
		for _, t := range CaseTypes() {
			if !filters[Subject("*", t)] && !filters[allSubjects] {
				return true
			}
		}
	}
	return false
}

// aheadOfLedger reports whether the last copied event has a sequence that the
// ledger has not reached: the server would copy nothing until it does.
func aheadOfLedger(ctx context.Context, js jetstream.JetStream, cases jetstream.Stream, ledgerStream string) (bool, error) {
	last := cases.CachedInfo().State.LastSeq
	if last == 0 {
		return false, nil
	}
	msg, err := cases.GetMsg(ctx, last)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil // expired
	}
	if err != nil {
		return false, fmt.Errorf("stream %s: reading its last event: %w", cases.CachedInfo().Config.Name, err)
	}
	from, copied, ok := copiedFrom(msg.Header.Get("Nats-Stream-Source"))
	if !ok || from != ledgerStream {
		return false, nil
	}
	stream, err := js.Stream(ctx, ledgerStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, nil // which is a finding of its own
	}
	if err != nil {
		return false, fmt.Errorf("stream %s: %w", ledgerStream, err)
	}
	return stream.CachedInfo().State.LastSeq < copied, nil
}

// copiedFrom reads the header of a copied message: the stream's name and the
// sequence there are its first two words.
func copiedFrom(header string) (stream string, seq uint64, ok bool) {
	words := strings.Fields(header)
	if len(words) < 2 {
		return "", 0, false
	}
	seq, err := strconv.ParseUint(words[1], 10, 64)
	return words[0], seq, err == nil
}
