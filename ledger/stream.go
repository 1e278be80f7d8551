package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/finding"
	"github.com/capture-worker/capture-worker/ledger/internal/appender"
)

// DefaultMaxAge is how long events are kept: the year in which a payment can be
// disputed, and a month.
const DefaultMaxAge = 400 * 24 * time.Hour

// Forever, as StreamConfig.MaxAge, keeps events without a limit.
const Forever time.Duration = -1

// StreamConfig describes the stream of a ledger. The zero value of each field is
// its default.
type StreamConfig struct {
	Stream   string        // default: DefaultStream
	Cases    string        // the stream of cases; default: DefaultCases
	Replicas int           // default: 1
	MaxAge   time.Duration // default: DefaultMaxAge; Forever keeps all events
	Log      *slog.Logger  // logs that the stream was created; nil: no log
}

// Finding is a setting of the stream that does not suit the ledger: What is wrong,
// and the Fix. With a Severity of "error" the ledger would lose events or its guard:
// do not run on the stream. The other Severity is "warning".
type Finding = finding.Finding

// minMsgSize is the size of message that a stream has to accept. Events are much
// smaller.
const minMsgSize = 32 << 10

// EnsureStream creates the ledger's stream if it does not exist. An existing
// stream is never changed; settings that do not suit the ledger are returned as
// findings.
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

// InspectStream returns the state of the ledger's stream and what does not suit
// the ledger. It creates and changes nothing. If the stream does not exist, the
// error wraps jetstream.ErrStreamNotFound.
func InspectStream(ctx context.Context, js jetstream.JetStream, c StreamConfig) (*jetstream.StreamInfo, []Finding, error) {
	c = c.withDefaults()
	stream, err := js.Stream(ctx, c.Stream)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the ledger's stream %s: %w", c.Stream, err)
	}
	info := stream.CachedInfo()
	return info, inspect(info.Config, c), nil
}

func (c StreamConfig) withDefaults() StreamConfig {
	if c.Stream == "" {
		c.Stream = DefaultStream
	}
	if c.Cases == "" {
		c.Cases = DefaultCases
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

// create creates the stream, or returns the one that another worker has created
// at the same time.
func create(ctx context.Context, js jetstream.JetStream, c StreamConfig) (jetstream.Stream, error) {
	stream, err := js.CreateStream(ctx, c.Settings(js))
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return js.Stream(ctx, c.Stream)
	}
	if err == nil {
		c.Log.InfoContext(ctx, "created a stream", "stream", c.Stream, "subjects", []string{allSubjects})
	}
	return stream, err
}

// Settings returns the settings with which the stream is created on the server
// that js is connected to.
func (c StreamConfig) Settings(js jetstream.JetStream) jetstream.StreamConfig {
	c = c.withDefaults()
	return jetstream.StreamConfig{
		Name:        c.Stream,
		Description: "capture-worker: what happened to every trade",
		Subjects:    []string{allSubjects},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Compression: jetstream.S2Compression,
		Replicas:    c.Replicas,
		MaxAge:      max(c.MaxAge, 0), // 0 means no limit to JetStream
		// A full ledger refuses new events; it must not drop old ones.
		Discard:     jetstream.DiscardNew,
		AllowDirect: true,
		DenyDelete:  true,
		DenyPurge:   true,
		Duplicates:  time.Second, // events carry no Nats-Msg-Id: the guard is stronger
		// Used if the server syncs every message, see package appender.
		AllowAtomicPublish: supportsBatches(js.Conn().ConnectedServerVersion()),
	}
}

// supportsBatches reports whether a server of this version has atomic batches.
func supportsBatches(version string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 2 || major == 2 && minor >= 12
}

// inspect returns the settings of a stream that do not suit the ledger.
func inspect(got jetstream.StreamConfig, c StreamConfig) []Finding {
	checks := []struct {
		bad       bool
		severity  finding.Severity
		what, fix string
	}{
		{!covers(got.Subjects), finding.Error, "it does not store the subjects " + allSubjects, "add them to the stream"},
		{got.SubjectTransform != nil || got.Mirror != nil || len(got.Sources) > 0, finding.Error, "it is a mirror, has sources or renames subjects", "the ledger needs a stream of its own"},
		{got.Retention != jetstream.LimitsPolicy, finding.Error, "its retention is " + got.Retention.String() + ", so events are removed once read", "the ledger needs limits"},
		{got.MaxMsgsPerSubject > 0, finding.Error, fmt.Sprintf("it keeps only %d messages per subject, so earlier events of a trade are removed", got.MaxMsgsPerSubject), "set no such limit"},
		{!got.AllowDirect, finding.Error, "it does not allow direct gets, which reading a trade needs", "set allow_direct"},
		{got.Discard == jetstream.DiscardOld && (got.MaxMsgs > 0 || got.MaxBytes > 0), finding.Error, "when full it drops the oldest events, which open trades depend on", "set discard to new, or lift the limits on messages and bytes"},
		{got.NoAck, finding.Error, "it does not acknowledge what is published, so no append can be relied on", "clear no_ack"},
		{got.Storage != jetstream.FileStorage, finding.Error, "it keeps events in memory only", "the ledger needs file storage"},
		{got.PersistMode == jetstream.AsyncPersistMode, finding.Error, "its persist mode is async, so the server confirms events before it has written them, and loses them if its process dies", "the ledger needs the default mode, which can only be set when a stream is created"},
		{got.AllowMsgCounter, finding.Error, "it stores counters and nothing else", "the ledger needs a stream of its own"},
		{got.MaxMsgSize > 0 && got.MaxMsgSize < minMsgSize, finding.Error, fmt.Sprintf("it refuses messages over %d bytes, so the intent of a call could be stored and its outcome refused", got.MaxMsgSize), fmt.Sprintf("allow %d, or set no limit", minMsgSize)},
		{got.Sealed, finding.Error, "it is sealed and refuses new events", "the ledger needs a stream of its own"},
		{got.AllowRollup || got.AllowMsgTTL, finding.Warning, "it allows rollups or messages with a time to live, which remove events", "make sure that no other program uses them"},
		{got.MaxAge >= capture.AuthorizationWindow && c.MaxAge < 0, finding.Warning, fmt.Sprintf("it keeps events for %s, but ledger.max_age sets no limit", got.MaxAge), "lift the max age of the stream, or set ledger.max_age"},
		// If a trade is forgotten that can still be captured, its next job looks like its first.
		{got.MaxAge > 0 && got.MaxAge < capture.AuthorizationWindow, finding.Error, fmt.Sprintf("it keeps events for %s only, so a trade is forgotten while it can still be captured, and its next job is treated as its first", got.MaxAge), fmt.Sprintf("keep them for at least %s", capture.AuthorizationWindow)},
		{got.MaxAge >= capture.AuthorizationWindow && got.MaxAge < c.MaxAge, finding.Warning, fmt.Sprintf("it keeps events for %s, less than the %s of ledger.max_age", got.MaxAge, c.MaxAge), "raise the max age of the stream, or lower ledger.max_age"},
		{got.Replicas < c.Replicas, finding.Warning, fmt.Sprintf("it has %d of the %d replicas that nats.replicas asks for", got.Replicas, c.Replicas), fmt.Sprintf("`nats stream edit %s --replicas %d`, or lower nats.replicas", got.Name, c.Replicas)},
		{got.Compression == jetstream.NoCompression, finding.Warning, "it is not compressed, and takes about five times the disk", fmt.Sprintf("`nats stream edit %s --compression s2`, which holds for what is written after the next restart of nats-server", got.Name)},
		{!got.DenyDelete || !got.DenyPurge, finding.Warning, "single events can be deleted or purged from it", "set deny_delete and deny_purge for an append-only audit trail"},
	}
	var found []Finding
	for _, check := range checks {
		if check.bad {
			found = append(found, Finding{Severity: check.severity, What: fmt.Sprintf("stream %s: %s", got.Name, check.what), Fix: check.fix})
		}
	}
	return found
}

func covers(subjects []string) bool {
	for _, s := range subjects {
		switch s {
		case allSubjects, appender.SubjectPrefix + ">", "*.*.*", "*.>", ">":
			return true
		}
	}
	return false
}
