package cli

import (
	"os/user"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxNote limits the text that an operator writes into an event.
const maxNote = 500

// actor returns the name of the operator: the given one, or else the user of this
// machine.
func actor(by string) (string, error) {
	if by == "" {
		if u, err := user.Current(); err == nil {
			by = u.Username
		}
	}
	if by == "" {
		return "", usageError("the user of this machine is unknown; name the operator with --by")
	}
	return by, checkNote("--by", by)
}

// checkReason validates a reason: it is read in audits.
func checkReason(reason string) error {
	if strings.TrimSpace(reason) == "" {
		return usageError("--reason is required: it stays in the ledger, so no personal data")
	}
	return checkNote("--reason", reason)
}

func checkNote(flag, text string) error {
	if utf8.RuneCountInString(text) > maxNote {
		return usageError("%s has more than %d characters", flag, maxNote)
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return usageError("%s must be one line of plain text", flag)
	}
	return nil
}
