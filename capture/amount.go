package capture

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/bojanz/currency"
)

// ErrAmount is wrapped by every error about an amount or a currency.
var ErrAmount = errors.New("not an amount")

// maxIntegerDigits is far above any card authorization, and small enough that
// amounts are cheap to compare.
const maxIntegerDigits = 15

// Amount is a sum of money: a decimal number with exactly as many decimals as
// its ISO 4217 currency has. Two amounts are equal (==) when number and
// currency are. The zero Amount means "none".
type Amount struct {
	number   string
	currency string
}

// ParseAmount reads a plain positive decimal ("24.99") in a currency ("EUR",
// upper case). It refuses signs, exponents, spaces, grouping, a missing digit
// on either side of the point, zero, leading zeros, more decimals than the
// currency has and more than 15 digits before the point. Errors wrap
// ErrAmount.
func ParseAmount(number, code string) (Amount, error) {
	digits, err := currencyDigits(code)
	if err != nil {
		return Amount{}, err
	}
	whole, frac, err := splitDecimal(number)
	if err != nil {
		return Amount{}, err
	}
	if len(frac) > digits {
		return Amount{}, fmt.Errorf("%w: %s has %d decimals, %s has %d", ErrAmount, quoted(number), len(frac), code, digits)
	}
	return newAmount(number, whole, frac, code, digits)
}

func currencyDigits(code string) (int, error) {
	// bojanz takes "" as a valid currency, meaning none.
	if code == "" || !currency.IsValid(code) {
		return 0, fmt.Errorf("%w: %s is not an ISO 4217 currency code", ErrAmount, quoted(code))
	}
	digits, ok := currency.GetDigits(code)
	if !ok {
		return 0, fmt.Errorf("%w: the decimals of %s are not known", ErrAmount, quoted(code))
	}
	return int(digits), nil
}

func splitDecimal(number string) (whole, frac string, err error) {
	whole, frac, point := strings.Cut(number, ".")
	if !allDigits(whole) || (point && !allDigits(frac)) {
		return "", "", fmt.Errorf("%w: %s is not a plain positive decimal like 24.99", ErrAmount, quoted(number))
	}
	if len(whole) > 1 && whole[0] == '0' {
		return "", "", fmt.Errorf("%w: %s has leading zeros", ErrAmount, quoted(number))
	}
	if len(whole) > maxIntegerDigits {
		return "", "", fmt.Errorf("%w: more than %d digits", ErrAmount, maxIntegerDigits)
	}
	return whole, frac, nil
}

func newAmount(number, whole, frac, code string, digits int) (Amount, error) {
	if whole == "0" && strings.Trim(frac, "0") == "" {
		return Amount{}, fmt.Errorf("%w: %s is not above zero", ErrAmount, quoted(number))
	}
	if digits > 0 {
		whole += "." + frac + strings.Repeat("0", digits-len(frac))
	}
	return Amount{number: whole, currency: code}, nil
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// Number returns the decimal with the currency's own number of decimals, as it
// is sent to the gateway: "24.90", or "500" for JPY.
func (a Amount) Number() string { return a.number }

// Currency returns the ISO 4217 code.
func (a Amount) Currency() string { return a.currency }

// IsZero reports whether there is no amount.
func (a Amount) IsZero() bool { return a == Amount{} }

// String returns "24.90 EUR", or "none".
func (a Amount) String() string {
	if a.IsZero() {
		return "none"
	}
	return a.number + " " + a.currency
}

// Cmp compares two amounts of one currency: -1, 0 or +1. Amounts of different
// currencies cannot be compared; the error wraps ErrAmount.
func (a Amount) Cmp(b Amount) (int, error) {
	x, err := a.decimal()
	if err != nil {
		return 0, err
	}
	y, err := b.decimal()
	if err != nil {
		return 0, err
	}
	c, err := x.Cmp(y)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrAmount, err)
	}
	return c, nil
}

// less reports whether a is the smaller of two amounts of one currency.
func (a Amount) less(b Amount) bool {
	order, err := a.Cmp(b)
	return err == nil && order < 0
}

func (a Amount) decimal() (currency.Amount, error) {
	d, err := currency.NewAmount(a.number, a.currency)
	if err != nil {
		return d, fmt.Errorf("%w: %w", ErrAmount, err)
	}
	return d, nil
}

type amountJSON struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

// MarshalJSON writes {"amount":"24.90","currency":"EUR"}.
func (a Amount) MarshalJSON() ([]byte, error) {
	return json.Marshal(amountJSON{a.number, a.currency})
}

// UnmarshalJSON reads what MarshalJSON writes; errors wrap ErrAmount.
func (a *Amount) UnmarshalJSON(b []byte) error {
	var w amountJSON
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("%w: %w", ErrAmount, err)
	}
	if w == (amountJSON{}) {
		*a = Amount{}
		return nil
	}
	parsed, err := ReadAmount(w.Amount, w.Currency)
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}
