// Package wording holds the words and forms that comments, messages and
// documents of this repository avoid, each with a plain replacement.
package wording

import (
	"fmt"
	"regexp"
	"strings"
)

// rule is a form to avoid. Each space in pattern matches any white space, so
// that a phrase is found across line breaks.
type rule struct {
	pattern string
	instead string
	unless  string // a match that this follows is allowed
}

var rules = []rule{
	// Archaic or literary words.
	{`seldom(er)?`, "rarely, less often", ""},
	{`anew`, "again, from the start", ""},
	{`surely`, "leave it out", ""},
	{`in vain`, "without result", ""},
	{`for ?ever`, "without end, permanently", ""},
	{`whoever`, "the operator who, the caller that", ""},
	{`mend(s|ed|ing)?`, "fix, repair", "[`\"]|,omitempty"},
	{`lest|hitherto|henceforth|whence|thereupon|ere`, "plain words", ""},
	{`deeds?`, "action", ""},
	{`(hostile )?little world`, "simulated environment", ""},
	{`whole numbers?`, "integer", ""},
	{`(took|taken|takes|take) up`, "reload, read", `\s+to\b`},

	// Roles.
	{`a person|persons?|people|somebody|someone`, "operator, or the role", ""},
	{`nobody|nobodys`, "no one, none, or the role", ""},
	{`everybody|anybody`, "every reader, any caller, or the role", ""},
	{`neighbours?|neighbouring`, "other services, adjacent", ""},
	{`strangers?`, "untrusted clients", ""},

	// Private names of things that the field has a word for.
	{`turnstiles?`, "limiter", ""},
	{`crews?`, "pool", ""},
	{`letter ?box(es)?`, "dead-letter store", ""},
	{`(the|a|its|this|each|one|another|which) letters?`, "dead letter", `\s+(case|of)`},
	{`the gate|gates?|shut gate`, "intake, limiter or circuit breaker", ""},
	{`(free|spare|no|some) hands?|in hand|hands? back|handed back|handing back`, "in flight, in-flight limit, requeue", ""},
	{`clerks?|brakes?|keepers?`, "recorder, circuit breaker, ack extender", ""},

	// Tells and says of programs.
	{`(is|are|was|were) told`, "reported, logged", `\s+(apart|from)`},
	{`(tells?|told) of`, "reports", ""},

	// Phrases of which a reader has to guess the noun or the verb.
	{`(goes|went|going) on`, "continue", `\s+to\b`},
	{`(stand|stands|stood|standing) still`, "pause, stop", ""},
	{`now and then`, "sometimes, at intervals", ""},
	{`at hand`, "name which one: of the delivery, of the call", ""},
	{`told (us|nothing)`, "showed, answered", ""},
	{`(is|are|be) there twice`, "occurs twice", ""},
	{`sees? to it`, "makes sure", ""},
	{`what (becomes|became|comes|came) of`, "the result of, the disposition of", ""},
	{`asks? the same|asks? for something else`, "has the same request, has another request", ""},

	// Inversions and "where" for "if".
	{`where (nobody|none|no|that is|it is|there is|there are)`, "if, when", ""},
	{`who (asks|comes|adds|waits|really)`, "name the role first", ""},
}

type matcher struct {
	rule
	find, unless *regexp.Regexp
}

var matchers = compile(rules)

func compile(rules []rule) []matcher {
	all := make([]matcher, len(rules))
	for i, r := range rules {
		find := `(?i)\b(?:` + strings.ReplaceAll(r.pattern, " ", `\s+`) + `)\b`
		all[i] = matcher{rule: r, find: regexp.MustCompile(find)}
		if r.unless != "" {
			all[i].unless = regexp.MustCompile("^(?:" + r.unless + ")")
		}
	}
	return all
}

// check returns "line: words: replacement" for each form to avoid in text,
// which begins at the given line of its file.
func check(line int, text string) []string {
	var found []string
	for _, m := range matchers {
		for _, at := range m.find.FindAllStringIndex(text, -1) {
			qualified := at[0] > 0 && text[at[0]-1] == '.' // as ledger.Forever
			if qualified || m.unless != nil && m.unless.MatchString(text[at[1]:]) {
				continue
			}
			words := strings.Join(strings.Fields(text[at[0]:at[1]]), " ")
			found = append(found, fmt.Sprintf("%d: %q: write %s", line+strings.Count(text[:at[0]], "\n"), words, m.instead))
		}
	}
	return found
}
