package preflight

import (
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/internal/subject"
)

// permissions are those of a user, as its server tells them. A nil list sets no
// limit.
type permissions struct {
	Publish   *subjectRules  `json:"publish"`
	Subscribe *subjectRules  `json:"subscribe"`
	Responses *responseRules `json:"responses"`
}

// subjectRules allow what any of Allow takes, all where Allow is empty, but for
// what Deny takes.
type subjectRules struct {
	Allow []string `json:"allow"`
	Deny  []string `json:"deny"`
}

// responseRules allow answers to messages that came in.
type responseRules struct {
	Max     int           `json:"max"` // for each message; negative is no limit
	Expires time.Duration `json:"ttl"` // negative is never
}

// grant is how much of a subject with wildcards is permitted.
type grant int

const (
	refused grant = iota
	partly        // some subjects that it stands for are denied
	granted
)

// publish says how much of a subject may be published to. Where answers are
// allowed and nothing else is named, the server allows nothing else.
func (p permissions) publish(subject string) grant {
	if p.Responses != nil && (p.Publish == nil || len(p.Publish.Allow) == 0) {
		return refused
	}
	return p.Publish.judge(subject)
}

func (p permissions) subscribe(subject string) grant { return p.Subscribe.judge(subject) }

// judge takes what several entries allow only together for refused: who lists
// subjects one by one lists all of one kind. An entry for a queue group ("subject
// queue") is none for us: we subscribe without one.
func (r *subjectRules) judge(name string) grant {
	if r == nil {
		return granted
	}
	takes := func(pattern string) bool { return subject.Covers(pattern, name) }
	if len(r.Allow) > 0 && !slices.ContainsFunc(r.Allow, takes) || slices.ContainsFunc(r.Deny, takes) {
		return refused
	}
	if slices.ContainsFunc(r.Deny, func(pattern string) bool { return subject.Overlap(pattern, name) }) {
		return partly
	}
	return granted
}
