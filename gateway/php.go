package gateway

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What follows does as PHP does with the members of an array that was decoded
// from JSON: how it prints a number, which values it calls empty, and in which
// order ksort puts the names. The gateway signs in PHP.

// phpPrecision is PHP's default number of digits for a float ("precision").
const phpPrecision = 14

// phpNumber prints a JSON number as PHP prints it in a string.
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

// phpFloat prints 14 significant digits, without zeros at the end, and as
// 1.0E-7 what is too large or too small to be written out.
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

// phpEmpty reports whether PHP's empty() is true of a JSON value.
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

// phpKey is a name as PHP compares it: as an integer if it is written like one,
// else as text, which may still look like a number.
type phpKey struct {
	text    string
	integer bool
	kind    numberKind
	whole   int64
	float   float64
	beyond  int // -1 or +1: a whole number outside the range of integers
}

type numberKind int

const (
	noNumber numberKind = iota
	wholeNumber
	floatNumber
)

// numeric is what PHP calls a numeric string.
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

// compare is the order of ksort since PHP 8.2. Equal names keep their order.
// It is no order in the strict sense: 9 < 10 < "1b" < 9.
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

// phpSort sorts as ksort does, equal names staying in their order. Since the
// comparison is no strict order, the result hangs on who is compared with whom:
// from 6 to 16 names PHP inserts one after the other into those that are sorted
// already. With fewer or more, names that compare in a circle may end up in
// another order than PHP's; such a notification is not believed.
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

// placeByOnes goes down from a place that is above the new name.
func placeByOnes(place int, above func(int) bool) int {
	for place > 0 && above(place-1) {
		place--
	}
	return place
}

// placeByTwos does too, skipping every other place on its way.
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
