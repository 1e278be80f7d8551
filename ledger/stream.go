package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
)

// DefaultMaxAge is how long events are kept: a year of disputes and a month.
const DefaultMaxAge = 400 * 24 * time.Hour

// Forever, as StreamConfig.MaxAge, is without an end.
const Forever time.Duration = -1

// StreamConfig says what stream the ledger wants. The zero value of a field is
// its default.
type StreamConfig struct {
	Stream   string        // DefaultStream
	Replicas int           // 1
	MaxAge   time.Duration // DefaultMaxAge; Forever: no event is ever dropped
	Log      *slog.Logger  // told where the stream is created; nil: nobody is
}

// Finding is something about the stream that does not fit the ledger.
type Finding struct {
	// Unfit: the ledger would lose events or its guard. Don't run on it.
	Unfit bool
	// Text says what is wrong and what to do, in plain words.
	Text string
}

// leastEvent is what a stream has to take: no event comes near it.
const leastEvent = 32 << 10

// EnsureStream creates the ledger's stream where it is missing. A stream that
// exists is never altered; what does not fit is told as findings.
func EnsureStream(ctx context.Context, js jetstream.JetStream, c StreamConfig) ([]Finding, error) {
	c = c.withDefaults()
	stream, err := js.Stream(ctx, c.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = create(ctx, js, c)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the ledger's stream %s: %w", c.Stream, err)
	}
	return inspect(stream.CachedInfo().Config, c), nil
}

func (c StreamConfig) withDefaults() StreamConfig {
	if c.Stream == "" {
		c.Stream = DefaultStream
	}
	if c.Replicas <= 0 {
		c.Replicas = 1
	}
	if c.MaxAge == 0 {
		c.MaxAge = DefaultMaxAge
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// create makes the stream; of two workers that start together, one finds what
// the other made.
func create(ctx context.Context, js jetstream.JetStream, c StreamConfig) (jetstream.Stream, error) {
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name:        c.Stream,
		Description: "capture-worker: what happened to every trade",
		Subjects:    []string{allSubjects},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Replicas:    c.Replicas,
		MaxAge:      max(c.MaxAge, 0), // 0 is for ever to JetStream
		// Full means refusing what is new, not forgetting what is true.
		Discard:     jetstream.DiscardNew,
		AllowDirect: true,
		DenyDelete:  true,
		DenyPurge:   true,
		Duplicates:  time.Second, // events carry no Nats-Msg-Id: the guard is stronger
		// Used where the server syncs every message, see way.
		AllowAtomicPublish: knowsBatches(js.Conn().ConnectedServerVersion()),
	})
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return js.Stream(ctx, c.Stream)
	}
	if err == nil {
		c.Log.InfoContext(ctx, "created a stream", "stream", c.Stream, "subjects", []string{allSubjects})
	}
	return stream, err
}

// knowsBatches: atomic batches came with nats-server 2.12.
func knowsBatches(version string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 2 || major == 2 && minor >= 12
}

// inspect compares a stream with what the ledger rests on.
func inspect(got jetstream.StreamConfig, c StreamConfig) []Finding {
	checks := []struct {
		bad, unfit bool
		text       string
	}{
		{!covers(got.Subjects), true, "it does not store the subjects " + allSubjects + "; add them to the stream"},
		{got.SubjectTransform != nil || got.Mirror != nil || len(got.Sources) > 0, true, "it is a mirror, has sources or renames subjects; the ledger needs a stream of its own"},
		{got.Retention != jetstream.LimitsPolicy, true, "its retention is " + got.Retention.String() + ", so events vanish once read; the ledger needs limits"},
		{got.MaxMsgsPerSubject > 0, true, fmt.Sprintf("it keeps only %d messages per subject, so earlier events of a trade vanish; set no such limit", got.MaxMsgsPerSubject)},
		{!got.AllowDirect, true, "it does not allow direct gets, which reading a trade needs; set allow_direct"},
		{got.Discard == jetstream.DiscardOld && (got.MaxMsgs > 0 || got.MaxBytes > 0), true, "when full it drops the oldest events, which are the truth about open trades; set discard to new, or lift the limits on messages and bytes"},
		{got.NoAck, true, "it does not acknowledge what is published, so no append can be relied on; lift no_ack"},
		{got.Storage != jetstream.FileStorage, true, "it keeps events in memory only; the ledger needs file storage"},
		{got.PersistMode == jetstream.AsyncPersistMode, true, "its persist mode is async, so the server confirms events that it has not written yet, and forgets them when its process dies; the ledger needs the default mode, which a stream is made with"},
		{got.AllowMsgCounter, true, "it holds counters and takes nothing else; the ledger needs a stream of its own"},
		{got.MaxMsgSize > 0 && got.MaxMsgSize < leastEvent, true, fmt.Sprintf("it takes no message over %d bytes, so a call could be announced and its outcome be refused; allow %d, or set no limit", got.MaxMsgSize, leastEvent)},
		{got.Sealed, true, "it is sealed and takes nothing new; the ledger needs a stream of its own"},
		{got.AllowRollup || got.AllowMsgTTL, false, "it allows rollups or messages with a time to live, which erase events; nothing here uses them, make sure that nothing else does"},
		{got.MaxAge >= capture.AuthorizationWindow && c.MaxAge < 0, false, fmt.Sprintf("it keeps events for %s, and not for ever, as ledger.max_age says", got.MaxAge)},
		// Who forgets a trade that can still be captured takes its next job for the first.
		{got.MaxAge > 0 && got.MaxAge < capture.AuthorizationWindow, true, fmt.Sprintf("it keeps events for %s only, so a trade is forgotten while it can still be captured, and its next job is taken for the first; keep them for %s at the very least", got.MaxAge, capture.AuthorizationWindow)},
		{got.MaxAge >= capture.AuthorizationWindow && got.MaxAge < c.MaxAge, false, fmt.Sprintf("it keeps events for %s, less than the %s of ledger.max_age", got.MaxAge, c.MaxAge)},
		{got.Replicas < c.Replicas, false, fmt.Sprintf("it has %d of the %d replicas that nats.replicas asks for; `nats stream edit %s --replicas %d`, or lower nats.replicas", got.Replicas, c.Replicas, got.Name, c.Replicas)},
		{!got.DenyDelete || !got.DenyPurge, false, "single events can be deleted or purged from it; set deny_delete and deny_purge for an audit trail that only grows"},
	}
	var found []Finding
	for _, check := range checks {
		if check.bad {
			found = append(found, Finding{check.unfit, fmt.Sprintf("stream %s: %s", got.Name, check.text)})
		}
	}
	return found
}

func covers(subjects []string) bool {
	for _, s := range subjects {
		switch s {
		case allSubjects, subjectPrefix + ">", "*.*.*", "*.>", ">":
			return true
		}
	}
	return false
}
