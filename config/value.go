package config

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
)

// kind has the functions to read and write values of one type. The text form is for
// flags and the environment; a file may have lists and maps.
type kind struct {
	name   string
	parse  func(string) (any, error)
	format func(any) string
}

var (
	textKind = &kind{"text",
		func(s string) (any, error) { return s, nil },
		func(v any) string { return v.(string) }}
	urlKind = &kind{"address",
		func(s string) (any, error) { return s, nil },
		func(v any) string { return hideUserinfo(v.(string)) }}
	secretKind = &kind{"secret",
		func(s string) (any, error) { return gateway.Secret(s), nil },
		func(v any) string { return v.(gateway.Secret).String() }}
	listenKind   = &kind{"address", parseListen, func(v any) string { return v.(string) }}
	boolKind     = &kind{"bool", parseBool, func(v any) string { return strconv.FormatBool(v.(bool)) }}
	intKind      = &kind{"number", parseInt, func(v any) string { return strconv.Itoa(v.(int)) }}
	rateKind     = &kind{"number", parseRate, func(v any) string { return strconv.FormatFloat(v.(float64), 'g', -1, 64) }}
	durationKind = &kind{"duration", parseDuration, func(v any) string { return FormatDuration(v.(time.Duration)) }}
	listKind     = &kind{"list", parseList, func(v any) string { return strings.Join(v.([]string), ",") }}
	mapKind      = &kind{"name=value list", parseMap, formatMap}
	fieldsKind   = &kind{"field=path list", parseFields, formatFields}
	matchKind    = &kind{"path=value list", parseMatch, formatMatch}
)

func kindOf(f reflect.StructField) *kind {
	switch f.Tag.Get("kind") {
	case "listen":
		return listenKind
	case "url":
		return urlKind
	}
	return map[reflect.Type]*kind{
		reflect.TypeFor[string]():                   textKind,
		reflect.TypeFor[gateway.Secret]():           secretKind,
		reflect.TypeFor[bool]():                     boolKind,
		reflect.TypeFor[int]():                      intKind,
		reflect.TypeFor[float64]():                  rateKind,
		reflect.TypeFor[time.Duration]():            durationKind,
		reflect.TypeFor[[]string]():                 listKind,
		reflect.TypeFor[map[string]string]():        mapKind,
		reflect.TypeFor[map[string]capture.Field](): fieldsKind,
		reflect.TypeFor[[]capture.Match]():          matchKind,
	}[f.Type]
}

// valueError is the requirement that a value does not meet.
type valueError string

func (e valueError) Error() string { return string(e) }

// hidden replaces a secret.
const hidden = "[hidden]"

// parseListen also reads "off", for places where an empty value is hard to write.
func parseListen(s string) (any, error) {
	if s == "off" {
		return "", nil
	}
	return s, nil
}

func parseBool(s string) (any, error) {
	switch s {
	case "true", "false":
		return s == "true", nil
	}
	return nil, valueError("must be true or false")
}

func parseInt(s string) (any, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return nil, valueError("must be an integer such as 64")
	}
	return n, nil
}

func parseRate(s string) (any, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != f || f-f != 0 { // neither NaN nor infinite
		return nil, valueError("must be a number such as 20 or 0.5")
	}
	return f, nil
}

const day = 24 * time.Hour

// ParseDuration reads the forms of time.ParseDuration, and days of 24 hours:
// "400d". The error describes the forms.
func ParseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err == nil {
			return time.Duration(n) * day, nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil {
		return d, nil
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return 0, valueError("has no unit; write one of ms, s, m, h or d after it, such as 30s")
	}
	return 0, valueError("must be a duration with a unit, such as 500ms, 30s, 15m, 72h or 400d")
}

func parseDuration(s string) (any, error) { return ParseDuration(s) }

// FormatDuration writes the shortest form that ParseDuration reads back:
// "1m" for "1m0s", and days from a week on.
func FormatDuration(d time.Duration) string {
	if d >= 7*day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

func parseList(s string) (any, error) {
	var list []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list, nil
}

func parseMap(s string) (any, error) {
	m := map[string]string{}
	err := eachPair(s, func(name, value string) error {
		if _, twice := m[name]; twice {
			return valueError("names " + strconv.Quote(name) + " twice")
		}
		m[name] = value
		return nil
	})
	if len(m) == 0 {
		m = nil
	}
	return m, err
}

// eachPair reads "a=b,c=d". Everything after the first = belongs to the value.
func eachPair(s string, add func(name, value string) error) error {
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		if name, value = strings.TrimSpace(name), strings.TrimSpace(value); !ok || name == "" || value == "" {
			return valueError("must be a list such as name=value,name=value")
		}
		if err := add(name, value); err != nil {
			return err
		}
	}
	return nil
}

func formatMap(v any) string {
	m := v.(map[string]string)
	parts := make([]string, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, name+"="+m[name])
	}
	return strings.Join(parts, ",")
}

// hideUserinfo removes user, password and token from addresses. Validate refuses
// such addresses, and must not show them.
func hideUserinfo(s string) string {
	parts := strings.Split(s, ",")
	for i, part := range parts {
		at := strings.LastIndex(part, "@")
		if at < 0 {
			continue
		}
		scheme := ""
		if n := strings.Index(part[:at], "://"); n >= 0 {
			scheme = part[:n+3]
		}
		parts[i] = scheme + hidden + part[at:]
	}
	return strings.Join(parts, ",")
}
