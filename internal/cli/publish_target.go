package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/subject"
)

// lookTimeout bounds the look for the stream: longer than a leader's election.
const lookTimeout = 40 * time.Second

var errNoTarget = errors.New("start `capture-worker run` once, which creates it")

// target is where jobs are published.
type target struct {
	stream  string
	subject string
	// memory is how long the stream recognizes a repeated message.
	memory time.Duration
}

// checkSubject refuses a subject that no worker would read.
func checkSubject(name string, jobs config.Jobs) error {
	return checkCovered(name, "jobs.subjects", jobs.Subjects)
}

// checkCovered is checkSubject for the subjects of any setting.
func checkCovered(name, key string, subjects []string) error {
	if name == "" || strings.ContainsAny(name, "*>") || strings.ContainsFunc(name, unicode.IsSpace) ||
		slices.Contains(strings.Split(name, "."), "") {
		return usageError("--subject is %q: must be one subject without wildcards, such as capture.jobs.batch", name)
	}
	for _, pattern := range subjects {
		if subject.Covers(pattern, name) {
			return nil
		}
	}
	return usageError("--subject is %q: no worker reads it; choose one of %s: %s", name, key, strings.Join(subjects, ","))
}

// findTarget returns the stream of the jobs.
func findTarget(ctx context.Context, js jetstream.JetStream, c config.Config, name string) (target, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	stream, err := js.Stream(ctx, c.Jobs.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return target{}, fmt.Errorf("there is no stream %s; %w", c.Jobs.Stream, errNoTarget)
	}
	if err != nil {
		return target{}, fmt.Errorf("looking for stream %s: %w", c.Jobs.Stream, err)
	}
	found := stream.CachedInfo().Config
	if !slices.ContainsFunc(found.Subjects, func(pattern string) bool { return subject.Covers(pattern, name) }) {
		return target{}, fmt.Errorf("stream %s takes %s, not %s; choose another --subject or jobs.stream", found.Name, strings.Join(found.Subjects, ","), name)
	}
	return target{found.Name, name, found.Duplicates}, nil
}
