package config

import (
	"maps"
	"slices"
	"strings"
)

// didYouMean returns advice for an unknown name.
func didYouMean(name string, known []string) string {
	if near := nearest(name, known); near != "" {
		return "did you mean " + near + "?"
	}
	return "capture-worker config lists them all"
}

// nearest returns the known name with the smallest edit distance, "" if none is
// near. A name without its section is near to the one with it.
func nearest(name string, known []string) string {
	best, least := "", max(2, len(name)/4)+1
	for _, k := range known {
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return best
	}
	last := name[strings.LastIndex(name, ".")+1:]
	for _, k := range known {
		if strings.HasSuffix(k, "."+last) {
			return k
		}
	}
	return ""
}

// maxCompared is the length in bytes up to which an unknown name is compared with
// the known ones, to suggest one.
const maxCompared = 100

// distance counts the characters to insert, remove or change (Levenshtein).
func distance(a, b string) int {
	if len(a) > maxCompared || len(b) > maxCompared {
		return maxCompared
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func keyNames() []string {
	var names []string
	for _, k := range allKeys() {
		names = append(names, k.Name)
	}
	return names
}

func sortedNames(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
