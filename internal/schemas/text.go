package schemas

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// The patterns use only what ECMAScript, Go, Python and PCRE read alike: no \p, no \d
// (Python's includes more), no lookahead, characters outside ASCII unescaped.
const (
	tradeIDPattern = `^[A-Za-z0-9_-]{1,64}$`
	// amountPattern accepts zero, which zeroPattern excludes.
	amountPattern = `^(0|[1-9][0-9]{0,14})(\.[0-9]+)?$`
	zeroPattern   = `^0(\.0+)?$`
	// timePattern excludes most invalid dates. Years are 2000 to 2199 in UTC, so a time with
	// a zone may be in 1999 or 2200.
	timePattern = `^(2[01][0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])` + clockPattern + `(Z|[+-]` + zonePattern + `)` +
		`|1999-12-31` + clockPattern + `-` + zonePattern + `|2200-01-01` + clockPattern + `[+]` + zonePattern + `)$`
	clockPattern = `T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?`
	zonePattern  = `([01][0-9]|2[0-3]):[0-5][0-9]`
	// eventTimePattern is the form of the times that this program writes.
	eventTimePattern = `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$`
	// urlPattern matches https URLs, or http to this machine, with a host without
	// user and password and a numeric port.
	urlPattern = `^([Hh][Tt][Tt][Pp][Ss]://([^/?#@:\[][^/?#@:]*|\[[^\]/?#@]*\])` +
		`|[Hh][Tt][Tt][Pp]://([Ll][Oo][Cc][Aa][Ll][Hh][Oo][Ss][Tt]|127(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]+\]))(:[0-9]*)?([/?#].*)?$`
	// parameterPattern matches &name= of a parameter of the gateway's call, which
	// the signature cannot distinguish from that parameter.
	parameterPattern = `&(amount|currency|description|method|notify_url|request_id|time|trade_id|user)=`
	asciiPattern     = `^[!-~]*$`
	wordPattern      = `^[A-Za-z0-9_-]{1,64}$`
)

// linePattern excludes unprintable characters: controls, invisible characters, line ends,
// and U+FFFD, which replaces damaged text.
func linePattern() string {
	ranges := [][2]rune{
		{0x00, 0x1f}, {0x7f, 0x9f}, {0xad, 0xad}, {0x200b, 0x200f}, {0x2028, 0x202e},
		{0x2060, 0x206f}, {0xe000, 0xf8ff}, {0xfeff, 0xfeff}, {0xfffd, 0xfffd},
	}
	return "^[^" + class(ranges) + "]*$"
}

// blankPattern matches text of white space only.
func blankPattern() string {
	var ranges [][2]rune
	for _, r := range unicode.White_Space.R16 {
		if r.Stride != 1 && r.Lo != r.Hi {
			for c := rune(r.Lo); c <= rune(r.Hi); c += rune(r.Stride) {
				ranges = append(ranges, [2]rune{c, c})
			}
			continue
		}
		ranges = append(ranges, [2]rune{rune(r.Lo), rune(r.Hi)})
	}
	return "^[" + class(ranges) + "]*$"
}

func class(ranges [][2]rune) string {
	var b strings.Builder
	for _, r := range ranges {
		b.WriteString(literal(r[0]))
		if r[1] > r[0] {
			b.WriteString("-" + literal(r[1]))
		}
	}
	return b.String()
}

func literal(r rune) string {
	if r <= 0xff {
		return fmt.Sprintf(`\x%02x`, r)
	}
	return string(r)
}

// anyCasePattern matches the names of members in any letter case, which some JSON parsers
// treat as equal.
func anyCasePattern(members []string) string {
	var names []string
	for _, name := range members {
		var b strings.Builder
		for _, r := range name {
			b.WriteString(folds(r))
		}
		names = append(names, b.String())
	}
	return "^(" + strings.Join(names, "|") + ")$"
}

// folds returns the class of a character's case variants, including the Kelvin sign for k.
func folds(r rune) string {
	all := []rune{r}
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		all = append(all, f)
	}
	if len(all) == 1 {
		return string(r)
	}
	slices.Sort(all)
	return "[" + string(all) + "]"
}
