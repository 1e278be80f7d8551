package cli

import (
	"os/user"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxNote bounds what a person may write into an event.
const maxNote = 500

// actor says who acts: the name given, else the user of this machine.
func actor(by string) (string, error) {
	if by == "" {
		if u, err := user.Current(); err == nil {
			by = u.Username
		}
	}
	if by == "" {
		return "", usageError("who acts is not known; say it with --by")
	}
	return by, checkNote("--by", by)
}

// checkReason holds a reason to being one: it is read in an audit.
func checkReason(reason string) error {
	if strings.TrimSpace(reason) == "" {
		return usageError("--reason is required: say why, for whoever reads the ledger later; nothing personal in it")
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
