package jobstream

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/acts"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/finding"
	"github.com/capture-worker/capture-worker/internal/subject"
)

// Limits holds the settings of the worker with which those of the broker must
// agree.
type Limits struct {
	CallTimeout time.Duration // of one gateway call
	MaxInFlight int           // jobs one worker works on at a time
	Horizon     time.Duration // how long a job may be retried
}

// Check is Inspect with an error if a stream or consumer does not exist.
func Check(ctx context.Context, js jetstream.JetStream, cfg Config, l Limits) ([]finding.Finding, error) {
	found, err := Inspect(ctx, js, cfg, l)
	if err == nil {
		err = found.missing(cfg)
	}
	return found.Findings, err
}

func checkConsumer(c jetstream.ConsumerConfig, l Limits) []finding.Finding {
	var found []finding.Finding
	name := "consumer " + c.Durable
	add := func(s finding.Severity, fix, what string, args ...any) {
		found = append(found, finding.Finding{Severity: s, What: name + ": " + fmt.Sprintf(what, args...), Fix: fix})
	}
	if c.AckPolicy != jetstream.AckExplicitPolicy {
		add(finding.Error, "make it explicit, or let capture-worker create a consumer of another name (jobs.consumer)",
			"its ack policy is %s, so jobs count as done without an outcome", c.AckPolicy)
	}
	if c.MaxDeliver > 0 {
		add(finding.Error, "set max deliver to -1 (unlimited)",
			"after %d deliveries the broker drops a job silently", c.MaxDeliver)
	}
	if len(c.BackOff) > 0 {
		add(finding.Error, "remove the backoff from the consumer", "its backoff overrides the delays that the worker asks for")
	}
	if c.HeadersOnly {
		add(finding.Error, "let it deliver whole messages", "it delivers headers only, so that every job would be a dead letter")
	}
	if c.MaxRequestBatch > 0 || c.MaxRequestMaxBytes > 0 {
		add(finding.Warning, "lift its limits on pull requests", "it limits the size of a pull, so that pulls of the worker may be refused silently")
	}
	if c.AckWait <= l.CallTimeout {
		add(finding.Warning, "set nats.ack_wait well above gateway.timeout",
			"ack wait %s is not longer than one gateway call may take (%s); jobs of a worker that pauses briefly are redelivered", c.AckWait, l.CallTimeout)
	}
	if c.MaxAckPending > 0 && c.MaxAckPending < l.MaxInFlight {
		add(finding.Error, "raise max ack pending, to 50000 if possible: jobs that wait for redelivery count too",
			"max ack pending is %d, fewer than the %d jobs one worker holds", c.MaxAckPending, l.MaxInFlight)
	} else if c.MaxAckPending > 0 && c.MaxAckPending < 10*l.MaxInFlight {
		add(finding.Warning, "raise max ack pending to 50000",
			"max ack pending is %d; jobs that wait for redelivery keep their place in it and may starve new ones", c.MaxAckPending)
	}
	return found
}

// checkFilter compares the filter of a consumer with the configured subjects.
// Without a filter a consumer takes everything that the stream holds.
func checkFilter(c jetstream.ConsumerConfig, wanted ConsumerConfig) []finding.Finding {
	filters := c.FilterSubjects
	if c.FilterSubject != "" {
		filters = []string{c.FilterSubject}
	}
	want := slices.Sorted(slices.Values(wanted.Subjects))
	if got := slices.Sorted(slices.Values(filters)); len(got) > 0 && !slices.Equal(got, want) {
		return []finding.Finding{{Severity: finding.Warning, What: fmt.Sprintf("consumer %s takes %s, but the configuration says %s", c.Durable, strings.Join(got, ","), strings.Join(want, ",")),
			Fix: "make jobs.subjects (or jobs.lanes) and the consumer's filter the same"}}
	}
	return nil
}

// checkSubjects returns a finding if the stream does not store all of the subjects. A
// stream that copies others may have other subjects or none. key is the setting that
// names them, noun what is published there.
func checkSubjects(s jetstream.StreamConfig, subjects []string, key, noun string) []finding.Finding {
	if s.Mirror != nil || len(s.Sources) > 0 {
		return nil
	}
	var lost []string
	for _, wanted := range subjects {
		if !slices.ContainsFunc(s.Subjects, func(pattern string) bool { return subject.Covers(pattern, wanted) }) {
			lost = append(lost, wanted)
		}
	}
	if len(lost) == 0 {
		return nil
	}
	return []finding.Finding{{Severity: finding.Warning, What: fmt.Sprintf("stream %s takes %s, not %s: %s published there are stored nowhere",
		s.Name, strings.Join(s.Subjects, ","), strings.Join(lost, ","), noun),
		Fix: "add the subjects to the stream, or correct " + key}}
}

func checkJobs(s jetstream.StreamConfig, cfg Config, l Limits) []finding.Finding {
	found := append(checkSubjects(s, cfg.Subjects, "jobs.subjects", "jobs"), checkKept(s, l, "job")...)
	if cfg.shared() {
		found = append(found, checkSubjects(s, cfg.Withdrawals.Subjects, "withdrawals.subjects", "withdrawals")...)
	}
	return found
}

func checkWithdrawals(s jetstream.StreamConfig, cfg Config, l Limits) []finding.Finding {
	return append(checkSubjects(s, cfg.Withdrawals.Subjects, "withdrawals.subjects", "withdrawals"), checkKept(s, l, "withdrawal")...)
}

// checkKept reports a stream that may lose a message that still waits.
func checkKept(s jetstream.StreamConfig, l Limits, noun string) []finding.Finding {
	var found []finding.Finding
	name := "stream " + s.Name
	if s.MaxAge > 0 && s.MaxAge < l.Horizon {
		found = append(found, finding.Finding{Severity: finding.Warning, What: fmt.Sprintf(
			"%s: messages are removed after %s, but a %s may be retried for %s", name, s.MaxAge, noun, l.Horizon),
			Fix: "raise the max age of the stream, or " + noun + "s that wait are removed"})
	}
	if s.Discard == jetstream.DiscardOld && (s.MaxMsgs > 0 || s.MaxBytes > 0 || s.MaxMsgsPerSubject > 0) {
		found = append(found, finding.Finding{Severity: finding.Warning, What: name + ": it drops the oldest messages when it is full, " + noun + "s that wait included",
			Fix: "set its discard policy to new, so that publishers get an error when it is full"})
	}
	if s.Storage == jetstream.MemoryStorage {
		found = append(found, finding.Finding{Severity: finding.Warning, What: name + ": it is kept in memory, so " + noun + "s do not survive a restart of the broker",
			Fix: "use file storage"})
	}
	return found
}

// CheckReplicas returns a finding if a stream has fewer replicas than wanted: the
// stream stops, or is lost, with the servers that hold its replicas.
func CheckReplicas(s jetstream.StreamConfig, wanted int) []finding.Finding {
	if s.Replicas >= wanted {
		return nil
	}
	return []finding.Finding{{Severity: finding.Warning, What: fmt.Sprintf("stream %s: it has %d of the %d replicas that nats.replicas asks for", s.Name, s.Replicas, wanted),
		Fix: fmt.Sprintf("`nats stream edit %s --replicas %d`, or lower nats.replicas", s.Name, wanted)}}
}

func checkDLQ(s jetstream.StreamConfig, _ Config, _ Limits) []finding.Finding {
	for _, subject := range s.Subjects {
		switch subject {
		case deadletter.SubjectPrefix + ">":
			return nil
		case deadletter.SubjectPrefix + "*":
			return []finding.Finding{{Severity: finding.Warning, What: fmt.Sprintf(
				"stream %s: it takes dead letters, but no notes of what operators did about them, so dlq republish and dlq dismiss fail", s.Name),
				Fix: "let the stream take " + deadletter.SubjectPrefix + ">"}}
		}
	}
	return []finding.Finding{{Severity: finding.Error, What: fmt.Sprintf(
		"stream %s: it does not take the subjects %s>, so dead letters cannot be stored", s.Name, deadletter.SubjectPrefix),
		Fix: "add the subject to the stream, or name another stream with jobs.dlq_stream"}}
}

func checkActs(s jetstream.StreamConfig, _ Config, _ Limits) []finding.Finding {
	var found []finding.Finding
	if !slices.ContainsFunc(s.Subjects, func(pattern string) bool { return subject.Covers(pattern, acts.SubjectPrefix+"*") }) {
		found = append(found, finding.Finding{Severity: finding.Error, What: fmt.Sprintf(
			"stream %s: it does not take the subjects %s*, so that operators cannot act", s.Name, acts.SubjectPrefix),
			Fix: "add the subjects to the stream, or name another stream with jobs.acts_stream"})
	}
	if s.Storage == jetstream.MemoryStorage || !s.AllowDirect {
		found = append(found, finding.Finding{Severity: finding.Warning, What: fmt.Sprintf(
			"stream %s: it loses what operators did when the broker restarts, or cannot be read by `acts list`", s.Name),
			Fix: "use file storage, and allow direct access"})
	}
	return found
}
