package capture

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// amountText is an amount as it was written, and whether it is a JSON integer.
type amountText struct {
	text    string
	integer bool
}

func (r *jobReader) amountText(field int) amountText {
	if field == fieldAmount {
		return amountText{r.required(field), r.integer(field)}
	}
	return amountText{r.optional(field), r.integer(field)}
}

func (r *jobReader) integer(field int) bool {
	raw := r.raw[field]
	return r.cells == nil && !isNull(raw) && isNumber(raw) && !bytes.ContainsAny(raw, ".eE")
}

func (r *jobReader) currency() string {
	code := r.required(fieldCurrency)
	if r.mapped(fieldCurrency) {
		code = strings.ToUpper(strings.TrimSpace(code))
	}
	return code
}

// amount reads a sum in the unit that the mapping declares. The JSON integer 24 may
// mean 24 euros or 24 cents, so it needs a declared unit if the currency has
// decimals.
func (r *jobReader) amount(field int, number amountText, code string) Amount {
	if r.err != nil {
		return Amount{}
	}
	digits, err := currencyDigits(code)
	if err != nil {
		r.fail(MalformedCurrency, fieldCurrency, quoted(code)+" is not an ISO 4217 code in upper case, like EUR")
		return Amount{}
	}
	unit, text := r.d.fields.fields[field].unit, number.text
	switch {
	case unit == UnitMinor:
		if text, err = fromMinor(text, digits); err != nil {
			r.fail(MalformedAmount, field, err.Error())
			return Amount{}
		}
	case number.integer && unit == "" && digits > 0:
		r.fail(MalformedAmount, field, fmt.Sprintf("%s is a JSON integer, which may mean %s or %s. "+
			"Declare unit: major or unit: minor for jobs.fields.%s", quoted(text), quoted(text+" "+code), quoted(minorText(text, digits)+" "+code), fieldNames[field]))
		return Amount{}
	case r.mapped(field):
		text = withoutNoughts(strings.TrimSpace(text), digits)
	}
	a, err := ParseAmount(text, code)
	if err != nil {
		r.fail(MalformedAmount, field, strings.TrimPrefix(err.Error(), ErrAmount.Error()+": "))
	}
	return a
}

// fromMinor converts a number of minor units to a decimal.
func fromMinor(text string, digits int) (string, error) {
	text = strings.TrimSpace(text)
	if !allDigits(text) || len(text) > 1 && text[0] == '0' || len(text) > maxIntegerDigits+digits {
		return "", fmt.Errorf("%s is not an integer of minor units like 2499", quoted(text))
	}
	return minorText(text, digits), nil
}

func minorText(text string, digits int) string {
	if digits == 0 {
		return text
	}
	if short := digits + 1 - len(text); short > 0 {
		text = strings.Repeat("0", short) + text
	}
	return text[:len(text)-digits] + "." + text[len(text)-digits:]
}

// withoutNoughts removes zeros after the last decimal that a currency has, as in
// 24.9900 EUR or 500.00 JPY.
func withoutNoughts(text string, digits int) string {
	whole, frac, point := strings.Cut(text, ".")
	if !point || len(frac) <= digits || strings.Trim(frac[digits:], "0") != "" {
		return text
	}
	if digits == 0 {
		return whole
	}
	return whole + "." + frac[:digits]
}

func (r *jobReader) time(field int) time.Time {
	text := r.optional(field)
	if text == "" {
		return time.Time{}
	}
	t, err := r.readTime(field, text)
	if err != nil {
		r.fail(MalformedTime, field, err.Error())
		return time.Time{}
	}
	t = t.UTC()
	if t.Year() < firstYear || t.Year() > lastYear {
		r.fail(MalformedTime, field, fmt.Sprintf("%s is not within the years %d to %d", quoted(text), firstYear, lastYear))
	}
	return t
}

func (r *jobReader) readTime(field int, text string) (time.Time, error) {
	unit := r.d.fields.fields[field].unit
	if unit != "" {
		return sinceEpoch(strings.TrimSpace(text), unit)
	}
	if r.mapped(field) {
		text = withColon(strings.TrimSpace(text))
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil && rfc3339.MatchString(text) {
		return t, nil
	}
	if r.mapped(field) && allDigits(text) {
		return time.Time{}, fmt.Errorf("%s is a number; declare unit: seconds or unit: milliseconds for jobs.fields.%s", quoted(text), fieldNames[field])
	}
	return time.Time{}, fmt.Errorf("%s is not RFC 3339 with a zone, like 2026-11-02T10:00:00Z", quoted(text))
}

// sinceEpoch reads a Unix time in seconds or milliseconds.
func sinceEpoch(text string, unit Unit) (time.Time, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || !allDigits(text) {
		return time.Time{}, fmt.Errorf("%s is not a Unix time in %s", quoted(text), unit)
	}
	if unit == UnitMillis {
		return time.UnixMilli(n), nil
	}
	const end = 1 << 40 // far after the last year that is accepted
	return time.Unix(min(n, end), 0), nil
}

// withColon returns a time with its zone as in RFC 3339: +0100 becomes +01:00.
func withColon(text string) string {
	n := len(text)
	if n < 6 || text[n-5] != '+' && text[n-5] != '-' || !allDigits(text[n-4:]) || !strings.Contains(text, "T") {
		return text
	}
	return text[:n-2] + ":" + text[n-2:]
}
