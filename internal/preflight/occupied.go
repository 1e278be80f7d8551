package preflight

import (
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/finding"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/ledger"
)

// Stream is a stream that run creates if it is missing.
type Stream struct {
	Key       string // the setting that names it
	Name      string
	Subjects  []string
	otherwise string // the other fix if another stream has them
}

// StreamsOf returns the streams of a worker in the order in which run creates them.
func StreamsOf(c config.Config) []Stream {
	all := []Stream{{"ledger.stream", c.Ledger.Stream, []string{ledger.Subject("*", "*")}, jobstream.TakeOut}}
	all = append(all, Stream{Key: "ledger.cases_stream", Name: c.Ledger.Cases}) // no subjects, but a source
	for _, s := range jobstream.Streams(jobstream.Config{
		Jobs: c.Jobs.Stream, Subjects: c.Jobs.Subjects, DLQ: c.Jobs.DLQStream, Acts: c.Jobs.ActsStream,
		Withdrawals: jobstream.Withdrawals{Stream: c.Withdrawals.Stream, Subjects: c.Withdrawals.Subjects},
	}) {
		all = append(all, Stream{s.Key, s.Config.Name, s.Config.Subjects, s.Otherwise})
	}
	return all
}

// StreamInError returns the one of our streams that an error names.
func StreamInError(c config.Config, err error) (Stream, bool) {
	for _, stream := range StreamsOf(c) {
		// With what follows: a name may be a prefix of another.
		if strings.Contains(err.Error(), "stream "+stream.Name+": ") {
			return stream, true
		}
	}
	return Stream{}, false
}

// Occupied returns why a missing stream cannot be created, and what to do about it:
// one of its subjects belongs to another stream. It returns nothing if none does,
// or if our user may not ask.
func (s Stream) Occupied(ctx context.Context, js jetstream.JetStream) (why, do string) {
	ctx, cancel := context.WithTimeout(ctx, userInfoWait)
	defer cancel()
	for _, subject := range s.Subjects {
		owner, err := js.StreamNameBySubject(ctx, subject)
		if err == nil && owner != s.Name {
			return fmt.Sprintf("%s belongs to stream %s", subject, owner), fmt.Sprintf("set %s to it, or %s", s.Key, s.otherwise)
		}
	}
	return "", ""
}

// CheckOwner returns an error if another stream is known to have a subject of the
// missing stream.
func (s Stream) CheckOwner(ctx context.Context, js jetstream.JetStream) error {
	why, do := s.Occupied(ctx, js)
	if why == "" {
		return nil
	}
	return fmt.Errorf("stream %s (%s) cannot be created: %s; %s", s.Name, s.Key, why, do)
}

// ExplainOverlap names the other stream in the error of a stream that cannot be
// created because its subjects overlap: mostly the name of ours is mistyped. It
// returns other errors as they are.
func ExplainOverlap(ctx context.Context, c config.Config, js jetstream.JetStream, err error) error {
	stream, named := StreamInError(c, err)
	if !named || !natsconn.IsSubjectOverlap(err) {
		return err
	}
	if err := stream.CheckOwner(ctx, js); err != nil {
		return err
	}
	return fmt.Errorf("stream %s (%s) cannot be created: another stream has one of its subjects (`nats stream ls --subject '%s'` names it); correct %s, if that one is meant: %w",
		stream.Name, stream.Key, stream.Subjects[0], stream.Key, err)
}

// occupied corrects the findings of missing streams that run cannot create.
func (c *Checker) occupied(ctx context.Context, js jetstream.JetStream) {
	if c.mine != nil && c.mine.publish(apiOf(js)+"STREAM.NAMES") != granted {
		return
	}
	for _, stream := range StreamsOf(c.Config) {
		at, gone := c.absent["stream "+stream.Name]
		if !gone {
			continue
		}
		if why, do := stream.Occupied(ctx, js); why != "" {
			f := &c.found[at]
			f.Severity, f.What, f.Fix = finding.Error, fmt.Sprintf("stream %s does not exist and cannot be created: %s", stream.Name, why), do
		}
	}
}
