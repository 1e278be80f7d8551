package checkup

import (
	"slices"
	"strings"
	"time"
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
// subjects one by one lists all of one kind.
func (r *subjectRules) judge(subject string) grant {
	if r == nil {
		return granted
	}
	takes := func(pattern string) bool { return takesAll(pattern, subject) }
	if len(r.Allow) > 0 && !slices.ContainsFunc(r.Allow, takes) || slices.ContainsFunc(r.Deny, takes) {
		return refused
	}
	if slices.ContainsFunc(r.Deny, func(pattern string) bool { return takesSome(pattern, subject) }) {
		return partly
	}
	return granted
}

// takesAll reports whether a pattern takes every subject that another one
// takes. An entry for a queue group ("subject queue") is none for us: we
// subscribe without one.
func takesAll(pattern, subject string) bool {
	parts, tokens := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, part := range parts {
		switch {
		case part == ">":
			return len(tokens) > i
		case i >= len(tokens) || tokens[i] == ">" || part != "*" && part != tokens[i]:
			return false
		}
	}
	return len(parts) == len(tokens)
}

// takesSome reports whether two patterns have a subject in common.
func takesSome(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		switch {
		case as[i] == ">" || bs[i] == ">":
			return true
		case as[i] != "*" && bs[i] != "*" && as[i] != bs[i]:
			return false
		}
	}
	return len(as) == len(bs)
}
