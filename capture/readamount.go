package capture

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	// maxAmountText is the greatest length of a number. The longest amount that
	// JSON or PHP prints has about thirty characters.
	maxAmountText = 128
	// noiseDigits is the precision to which a number must be an integer of minor
	// units: six decimals, a millionth.
	noiseDigits = 6
)

// ReadAmount reads an amount as a gateway writes it, in every form in which JSON or
// PHP prints a number: "1", "1.0", "01.000", "1e0" and "1.0E+0" are the same
// amount, and the noise of a binary fraction is removed: "24.989999999999998" is
// 24.99. It never moves an amount by more than a millionth of a minor unit;
// "24.991" is not an amount in euros. Negative, zero and grouped ("1,000.00")
// numbers and those with more than 15 digits before the point are refused too. The
// arithmetic is decimal. Errors wrap ErrAmount.
func ReadAmount(number, code string) (Amount, error) {
	code = strings.ToUpper(strings.TrimSpace(code))
	digits, err := currencyDigits(code)
	if err != nil {
		return Amount{}, err
	}
	number = strings.TrimSpace(number)
	if whole, frac, err := splitDecimal(number); err == nil && len(frac) <= digits {
		return newAmount(number, whole, frac, code, digits)
	}
	d, err := readDecimal(number)
	if err != nil {
		return Amount{}, err
	}
	minor, ok := d.minorUnits(digits)
	if !ok {
		return Amount{}, fmt.Errorf("%w: %s has more decimals than %s", ErrAmount, quoted(number), code)
	}
	if len(minor) > maxIntegerDigits+digits {
		return Amount{}, fmt.Errorf("%w: more than %d digits", ErrAmount, maxIntegerDigits)
	}
	minor = strings.Repeat("0", max(0, digits+1-len(minor))) + minor
	point := len(minor) - digits
	return newAmount(number, minor[:point], minor[point:], code, digits)
}

// decimal is the number 0.digits times ten to the power of point. Its digits
// neither begin nor end with a zero; the number zero has no digits.
type decimal struct {
	digits string
	point  int
}

func readDecimal(text string) (decimal, error) {
	bad := func(why string) (decimal, error) {
		return decimal{}, fmt.Errorf("%w: %s %s", ErrAmount, quoted(text), why)
	}
	if len(text) > maxAmountText {
		return bad("is too long for a number")
	}
	mantissa, exponent := text, 0
	if e := strings.IndexAny(text, "eE"); e >= 0 {
		n, err := strconv.ParseInt(text[e+1:], 10, 16)
		if err != nil {
			return bad("has an exponent that cannot be read")
		}
		mantissa, exponent = text[:e], int(n)
	}
	whole, frac, point := strings.Cut(mantissa, ".")
	if !allDigits(whole) || point && !allDigits(frac) {
		return bad("is not a positive decimal like 24.99")
	}
	digits := strings.TrimLeft(whole+frac, "0")
	leading := len(whole) + len(frac) - len(digits)
	return decimal{strings.TrimRight(digits, "0"), len(whole) - leading + exponent}, nil
}

// minorUnits returns the number in minor units of a currency with that many
// decimals, without leading zeros. It returns false if the number is not an integer
// of minor units within the noise.
func (d decimal) minorUnits(decimals int) (text string, ok bool) {
	point := d.point + decimals
	if d.digits == "" || point < -noiseDigits {
		return "0", true
	}
	if point > maxIntegerDigits+decimals {
		return strings.Repeat("9", point), true // the caller refuses it because of its length
	}
	digits := strings.Repeat("0", max(0, -point)) + d.digits
	point = max(0, point)
	digits += strings.Repeat("0", max(0, point-len(digits)))
	units, rest := digits[:point], digits[point:]
	switch below := rest + strings.Repeat("0", max(0, noiseDigits-len(rest))); {
	case strings.Trim(below[:noiseDigits], "9") == "":
		return increment(units), true
	case strings.Trim(below[:noiseDigits], "0") == "",
		strings.TrimRight(below, "0") == strings.Repeat("0", noiseDigits-1)+"1":
		return units, true
	}
	return "", false
}

// increment adds one to a number in decimal digits; "" is zero.
func increment(digits string) string {
	b := []byte(digits)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != '9' {
			b[i]++
			return string(b)
		}
		b[i] = '0'
	}
	return "1" + string(b)
}
