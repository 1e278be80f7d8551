package preflight

import (
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/internal/subject"
)

// permissions are the permissions of a user, as its server reports them. A nil list
// sets no limit.
type permissions struct {
	Publish   *subjectRules  `json:"publish"`
	Subscribe *subjectRules  `json:"subscribe"`
	Responses *responseRules `json:"responses"`
}

// subjectRules permits subjects that match an entry of Allow, or all if Allow is
// empty, except those that match an entry of Deny.
type subjectRules struct {
	Allow []string `json:"allow"`
	Deny  []string `json:"deny"`
}

// responseRules permits replies to received messages.
type responseRules struct {
	Max     int           `json:"max"` // per message; negative is no limit
	Expires time.Duration `json:"ttl"` // negative is never
}

// grant is how much of a subject with wildcards is permitted.
type grant int

const (
	refused grant = iota
	partly        // some matching subjects are denied
	granted
)

// publish returns how much of a subject may be published to. If only replies are
// permitted, the server permits nothing else.
func (p permissions) publish(subject string) grant {
	if p.Responses != nil && (p.Publish == nil || len(p.Publish.Allow) == 0) {
		return refused
	}
	return p.Publish.judge(subject)
}

func (p permissions) subscribe(subject string) grant { return p.Subscribe.judge(subject) }

// judge returns how much of a subject the rules permit. A subject that only several
// entries together permit counts as refused, because operators list all subjects of
// a kind or none. Entries for queue groups ("subject queue") are ignored, because
// we subscribe without one.
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
