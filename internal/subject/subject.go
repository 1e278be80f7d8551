// Package subject compares NATS subjects and subject patterns.
package subject

import "strings"

// Covers reports whether pattern matches every subject that other matches.
// other is a subject or a pattern.
func Covers(pattern, other string) bool {
	parts, tokens := strings.Split(pattern, "."), strings.Split(other, ".")
	for i, part := range parts {
		switch {
		case part == ">":
			return len(tokens) > i
		case i >= len(tokens), tokens[i] == ">", part != "*" && part != tokens[i]:
			return false
		}
	}
	return len(tokens) == len(parts)
}

// Overlap reports whether there is a subject that both patterns match.
func Overlap(one, other string) bool {
	a, b := strings.Split(one, "."), strings.Split(other, ".")
	for i := range min(len(a), len(b)) {
		switch {
		case a[i] == ">" || b[i] == ">":
			return true
		case a[i] != b[i] && a[i] != "*" && b[i] != "*":
			return false
		}
	}
	return len(a) == len(b)
}
