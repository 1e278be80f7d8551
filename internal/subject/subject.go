// Package subject compares subjects of NATS and patterns of them.
package subject

import "strings"

// Takes reports whether a pattern takes everything that wanted names, a subject
// or a pattern itself.
func Takes(pattern, wanted string) bool {
	parts, tokens := strings.Split(pattern, "."), strings.Split(wanted, ".")
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

// Overlap reports whether some subject is taken by both patterns.
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
