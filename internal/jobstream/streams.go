// Package jobstream owns the stream of jobs: it creates the stream, its consumers
// and the streams of dead letters, withdrawals and acts, checks existing ones, and
// reads the waiting and the finished jobs.
package jobstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/acts"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/finding"
)

// Ages of the streams that are created: jobs outlive the longest authorization
// and the delays around it, dead letters wait for an operator.
const (
	jobsMaxAge = 45 * 24 * time.Hour
	dlqMaxAge  = 400 * 24 * time.Hour
	// jobsDuplicates is how long a repeated Nats-Msg-Id is recognised, so that a
	// publisher may repeat a batch.
	jobsDuplicates = 10 * time.Minute
)

// Config names the streams and consumers of a worker.
type Config struct {
	Jobs      string           // stream of jobs
	Subjects  []string         // the subjects of the jobs in it
	Consumers []ConsumerConfig // one for each lane
	// After names a consumer that new ones continue if it exists: they start at its
	// first unfinished job.
	After         string
	DLQ           string // stream of dead letters
	Withdrawals   Withdrawals
	Acts          string // stream of operators' acts; "" is acts.Stream
	Replicas      int
	AckWait       time.Duration
	MaxAckPending int
	// Mapping is noted in the metadata of the consumers, for commands that do not
	// have the configuration of the workers; nil: it is not.
	Mapping *capture.Mapping
	Log     *slog.Logger // logs created streams and consumers; nil: no log
}

// Withdrawals names the stream of withdrawals. The zero value is none.
type Withdrawals struct {
	Stream   string
	Subjects []string
	Consumer string // durable, shared by the workers
}

// ConsumerConfig names a durable consumer and its filter subjects.
type ConsumerConfig struct {
	Name     string
	Subjects []string
}

// Ensure finds or creates the streams and the consumers, which it
// returns in order. It never alters what it finds, but for the mapping in the
// metadata of consumers that it created: Check reports what does not fit.
func Ensure(ctx context.Context, js jetstream.JetStream, cfg Config) ([]jetstream.Consumer, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	streams := map[string]jetstream.Stream{}
	for _, wanted := range Streams(cfg) {
		stream, err := ensureStream(ctx, js, wanted.Config, cfg.Log)
		if err != nil {
			return nil, err
		}
		streams[wanted.Config.Name] = stream
	}
	var err error
	consumers := make([]jetstream.Consumer, len(cfg.Consumers))
	for i, wanted := range cfg.Consumers {
		if consumers[i], err = ensureConsumer(ctx, streams[cfg.Jobs], cfg, wanted); err != nil {
			return nil, fmt.Errorf("finding or creating consumer %s of stream %s: %w", wanted.Name, cfg.Jobs, err)
		}
	}
	if w := cfg.Withdrawals; w.Stream != "" {
		cfg.After, cfg.Mapping = "", nil // they are of the jobs
		if _, err := ensureConsumer(ctx, streams[w.Stream], cfg, w.consumer()); err != nil {
			return nil, fmt.Errorf("finding or creating consumer %s of stream %s: %w", w.Consumer, w.Stream, err)
		}
	}
	return consumers, nil
}

// shared reports whether jobs and withdrawals are in one stream.
func (c Config) shared() bool { return c.Withdrawals.Stream == c.Jobs }

func (w Withdrawals) consumer() ConsumerConfig {
	return ConsumerConfig{Name: w.Consumer, Subjects: w.Subjects}
}

// ensureConsumer finds a consumer or creates it; another worker may create it at
// the same time.
func ensureConsumer(ctx context.Context, stream jetstream.Stream, cfg Config, c ConsumerConfig) (jetstream.Consumer, error) {
	consumer, err := stream.Consumer(ctx, c.Name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		consumer, err = createConsumer(ctx, stream, cfg, c)
	}
	if errors.Is(err, jetstream.ErrConsumerExists) {
		consumer, err = stream.Consumer(ctx, c.Name)
	}
	if err != nil {
		return nil, err
	}
	return noteMapping(ctx, stream, cfg, consumer), nil
}

func createConsumer(ctx context.Context, stream jetstream.Stream, cfg Config, c ConsumerConfig) (jetstream.Consumer, error) {
	wanted := jetstream.ConsumerConfig{
		Durable: c.Name, FilterSubjects: c.Subjects,
		Description: ownDescription,
		AckPolicy:   jetstream.AckExplicitPolicy, AckWait: cfg.AckWait,
		MaxDeliver: -1, MaxAckPending: cfg.MaxAckPending,
	}
	if text := cfg.mappingText(); text != "" {
		wanted.Metadata = map[string]string{mappingKey: text}
	}
	if cfg.After != "" && cfg.After != c.Name {
		before, err := stream.Consumer(ctx, cfg.After)
		switch {
		case err == nil:
			wanted.DeliverPolicy = jetstream.DeliverByStartSequencePolicy
			wanted.OptStartSeq = before.CachedInfo().AckFloor.Stream + 1
		case !errors.Is(err, jetstream.ErrConsumerNotFound):
			return nil, err
		}
	}
	consumer, err := stream.CreateConsumer(ctx, wanted)
	if err == nil {
		// Logged because the name may be mistyped.
		begins := "with the first message of the stream"
		if wanted.OptStartSeq > 1 {
			begins = fmt.Sprintf("at the position of %s, sequence %d", cfg.After, wanted.OptStartSeq)
		}
		cfg.Log.InfoContext(ctx, "created a consumer", "stream", stream.CachedInfo().Config.Name, "consumer", c.Name, "subjects", c.Subjects, "begins", begins)
	}
	return consumer, err
}

// ensureStream finds a stream or creates it; another worker may create it at the
// same time.
func ensureStream(ctx context.Context, js jetstream.JetStream, cfg jetstream.StreamConfig, log *slog.Logger) (jetstream.Stream, error) {
	stream, err := js.Stream(ctx, cfg.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if stream, err = js.CreateStream(ctx, cfg); err == nil {
			log.InfoContext(ctx, "created a stream", "stream", cfg.Name, "subjects", cfg.Subjects)
		}
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		stream, err = js.Stream(ctx, cfg.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", cfg.Name, err)
	}
	return stream, nil
}

// Stream is a stream that the worker needs beside the ledger. Ensure creates it
// if it is missing, Inspect checks it.
type Stream struct {
	Key    string // the setting that names it
	Config jetstream.StreamConfig
	// Otherwise is what to do, other than to correct the setting, if another stream
	// has one of its subjects.
	Otherwise string
	// Vital means that a running worker cannot continue without the stream.
	Vital bool

	check func(jetstream.StreamConfig, Config, Limits) []finding.Finding
}

// Streams lists the streams that the worker needs beside the ledger, the stream
// of jobs first. A stream that is added here is created, checked, watched and
// permitted like the others.
func Streams(cfg Config) []Stream {
	all := []Stream{jobsStream(cfg), dlqStream(cfg), actsStream(cfg)}
	if cfg.Withdrawals.Stream != "" && !cfg.shared() {
		all = append(all, withdrawalsStream(cfg))
	}
	return all
}

// TakeOut is the Otherwise for a stream with fixed subjects.
const TakeOut = "take the subject out of it"

// jobsStream keeps jobs by age, not until they are acked: removing each acked
// message costs the broker a write, and the jobs stay readable beside their
// outcomes.
func jobsStream(cfg Config) Stream {
	subjects := cfg.Subjects
	if cfg.shared() {
		subjects = slices.Concat(subjects, cfg.Withdrawals.Subjects)
	}
	return Stream{Key: "jobs.stream", Otherwise: "correct jobs.subjects", Vital: true, check: checkJobs, Config: jetstream.StreamConfig{
		Name: cfg.Jobs, Subjects: subjects, Replicas: cfg.Replicas,
		Description: "capture jobs, for capture-worker",
		Storage:     jetstream.FileStorage, Retention: jetstream.LimitsPolicy, Compression: jetstream.S2Compression,
		MaxAge: jobsMaxAge, Duplicates: jobsDuplicates,
	}}
}

func dlqStream(cfg Config) Stream {
	return Stream{Key: "jobs.dlq_stream", Otherwise: TakeOut, check: checkDLQ, Config: jetstream.StreamConfig{
		Name: cfg.DLQ, Subjects: []string{deadletter.SubjectPrefix + ">"}, Replicas: cfg.Replicas,
		Description: "jobs that capture-worker could not process, with the reason",
		Storage:     jetstream.FileStorage, Retention: jetstream.LimitsPolicy, Compression: jetstream.S2Compression,
		MaxAge: dlqMaxAge, Duplicates: jobsDuplicates,
	}}
}

func withdrawalsStream(cfg Config) Stream {
	return Stream{Key: "withdrawals.stream", Otherwise: "correct withdrawals.subjects", Vital: true, check: checkWithdrawals, Config: jetstream.StreamConfig{
		Name: cfg.Withdrawals.Stream, Subjects: cfg.Withdrawals.Subjects, Replicas: cfg.Replicas,
		Description: "trades and orders that are not to be captured any more, for capture-worker",
		Storage:     jetstream.FileStorage, Retention: jetstream.LimitsPolicy, Compression: jetstream.S2Compression,
		MaxAge: jobsMaxAge, Duplicates: jobsDuplicates,
	}}
}

// actsStream holds the record of operators' acts. Nothing removes one before its
// time.
func actsStream(cfg Config) Stream {
	return Stream{Key: "jobs.acts_stream", Otherwise: TakeOut, check: checkActs, Config: jetstream.StreamConfig{
		Name: cmp.Or(cfg.Acts, acts.Stream), Subjects: []string{acts.SubjectPrefix + "*"}, Replicas: cfg.Replicas,
		Description: "what operators of capture-worker did, who and why",
		Storage:     jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		MaxAge: acts.MaxAge, Duplicates: jobsDuplicates, AllowDirect: true, DenyDelete: true, DenyPurge: true,
	}}
}
