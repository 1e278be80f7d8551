package gateway

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// This file imitates PHP, in which the gateway signs: how the members of an array
// decoded from JSON are printed, which values are empty, and how ksort orders names.

// phpPrecision is PHP's default number of digits for a float ("precision").
const phpPrecision = 14

// phpNumber returns a JSON number as PHP converts it to a string.
func phpNumber(raw string) string {
	if !strings.ContainsAny(raw, ".eE") {
		if _, err := strconv.ParseInt(raw, 10, 64); err == nil {
			return raw
		}
	}
	// An overflow is an infinity, as it is in PHP.
	f, _ := strconv.ParseFloat(raw, 64)
	return phpFloat(f)
}

// phpFloat returns 14 significant digits without trailing zeros, in the form 1.0E-7 if
// the number is very large or small.
func phpFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "INF"
	case math.IsInf(f, -1):
		return "-INF"
	case f == 0 && math.Signbit(f):
		return "-0"
	case f == 0:
		return "0"
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', phpPrecision-1, 64), "e")
	power, _ := strconv.Atoi(exponent)
	if power >= -4 && power < phpPrecision {
		text := strconv.FormatFloat(f, 'f', phpPrecision-1-power, 64)
		if strings.Contains(text, ".") {
			text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
		}
		return text
	}
	mantissa = strings.TrimRight(mantissa, "0")
	if strings.HasSuffix(mantissa, ".") {
		mantissa += "0"
	}
	sign := "+"
	if power < 0 {
		sign, power = "-", -power
	}
	return mantissa + "E" + sign + strconv.Itoa(power)
}

// phpEmpty reports whether PHP's empty() is true for a JSON value.
func phpEmpty(raw []byte) bool {
	switch raw[0] {
	case 'n', 'f':
		return true
	case 't':
		return false
	case '"':
		text := unquote(raw)
		return len(text) == 0 || string(text) == "0"
	case '{', '[':
		return len(strings.Trim(string(raw[1:len(raw)-1]), " \t\r\n")) == 0
	}
	f, _ := strconv.ParseFloat(string(raw), 64)
	return f == 0
}

// phpKey is an array key as PHP compares it: an integer if it is written like one, else
// a string, which may be numeric.
type phpKey struct {
	text    string
	integer bool
	kind    numberKind
	whole   int64
	float   float64
	beyond  int // -1 or +1: an integer outside the range of int64
}

type numberKind int

const (
	noNumber numberKind = iota
	wholeNumber
	floatNumber
)

// numeric matches a numeric string of PHP.
var numeric = regexp.MustCompile(`^[ \t\n\r\v\f]*([+-]?(?:[0-9]+(\.[0-9]*)?|(\.[0-9]+))([eE][+-]?[0-9]+)?)[ \t\n\r\v\f]*$`)

func newPHPKey(name string) phpKey {
	k := phpKey{text: name}
	parts := numeric.FindStringSubmatch(name)
	if parts == nil {
		return k
	}
	k.kind = wholeNumber
	if parts[2] != "" || parts[3] != "" || parts[4] != "" {
		k.kind = floatNumber
		k.float, _ = strconv.ParseFloat(parts[1], 64)
		return k
	}
	n, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		k.kind, k.beyond = floatNumber, 1
		if parts[1][0] == '-' {
			k.beyond = -1
		}
		k.float, _ = strconv.ParseFloat(parts[1], 64)
		return k
	}
	k.whole, k.float = n, float64(n)
	k.integer = strconv.FormatInt(n, 10) == name
	return k
}

// compare is the comparison of ksort since PHP 8.2. It is not transitive:
// 9 < 10 < "1b" < 9.
func (k phpKey) compare(o phpKey) int {
	bothNumbers := k.kind != noNumber && o.kind != noNumber
	switch {
	case !bothNumbers, k.beyond != 0 && k.beyond == o.beyond:
		return strings.Compare(k.text, o.text)
	case k.kind == wholeNumber && o.kind == wholeNumber:
		return cmp.Compare(k.whole, o.whole)
	case k.integer || o.integer:
		return cmp.Compare(k.float, o.float)
	case k.kind == wholeNumber && o.beyond != 0:
		return -o.beyond
	case o.kind == wholeNumber && k.beyond != 0:
		return k.beyond
	case k.float == o.float && math.IsInf(k.float, 0):
		return strings.Compare(k.text, o.text)
	}
	return cmp.Compare(k.float, o.float)
}

// phpSort sorts like ksort, and is stable. Because the comparison is not transitive, the
// result depends on the algorithm: for 6 to 16 names PHP uses the insertion sort below.
// With fewer or more names, those that compare in a circle may be ordered differently
// than by PHP; such a notification fails the check of its signature.
func phpSort[T any](list []T, key func(T) phpKey) {
	const least, most = 6, 16
	compare := func(a, b T) int { return key(a).compare(key(b)) }
	if len(list) < least || len(list) > most {
		slices.SortStableFunc(list, compare)
		return
	}
	for i := 1; i < len(list); i++ {
		next := list[i]
		above := func(at int) bool { return compare(list[at], next) > 0 }
		place := i
		switch {
		case !above(i - 1):
		case i < least:
			place = placeByOnes(i-1, above)
		default:
			place = placeByTwos(i-1, above)
		}
		copy(list[place+1:i+1], list[place:i])
		list[place] = next
	}
}

// placeByOnes searches downwards from a place whose name is above the new one.
func placeByOnes(place int, above func(int) bool) int {
	for place > 0 && above(place-1) {
		place--
	}
	return place
}

// placeByTwos does the same in steps of two.
func placeByTwos(place int, above func(int) bool) int {
	for place >= 2 {
		if !above(place - 2) {
			if above(place - 1) {
				return place - 1
			}
			return place
		}
		place -= 2
	}
	return placeByOnes(place, above)
}
