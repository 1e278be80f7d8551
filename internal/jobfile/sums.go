package jobfile

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/capture-worker/capture-worker/capture"
)

// Sums holds a sum of money per currency. The zero Sums is empty.
type Sums struct {
	of      map[string]*sum
	scratch big.Int
}

type sum struct {
	minor  big.Int
	digits int
}

// Add adds an amount times a number, which may be negative.
func (s *Sums) Add(a capture.Amount, times int) {
	if a.IsZero() || times == 0 {
		return
	}
	whole, frac, _ := strings.Cut(a.Number(), ".")
	to := s.of[a.Currency()]
	if to == nil {
		if s.of == nil {
			s.of = map[string]*sum{}
		}
		to = &sum{digits: len(frac)}
		s.of[a.Currency()] = to
	}
	s.scratch.SetInt64(minorUnits(whole, frac))
	if times != 1 {
		s.scratch.Mul(&s.scratch, big.NewInt(int64(times)))
	}
	to.minor.Add(&to.minor, &s.scratch)
}

// at most 15 digits and 3 decimals, which fit
func minorUnits(whole, frac string) int64 {
	n := int64(0)
	for _, part := range [2]string{whole, frac} {
		for i := range len(part) {
			n = n*10 + int64(part[i]-'0')
		}
	}
	return n
}

// Empty reports whether all sums are zero.
func (s *Sums) Empty() bool { return s.String() == "" }

// Currencies returns the currencies with a sum.
func (s *Sums) Currencies() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.of)), func(code string) bool { return s.of[code].minor.Sign() == 0 })
}

// Number returns the sum in a currency as a decimal, "" if there is none.
func (s *Sums) Number(code string) string {
	sum := s.of[code]
	if sum == nil {
		return ""
	}
	text := sum.minor.String()
	if sum.digits == 0 {
		return text
	}
	if short := sum.digits + 1 - len(text); short > 0 {
		text = strings.Repeat("0", short) + text
	}
	return text[:len(text)-sum.digits] + "." + text[len(text)-sum.digits:]
}

// Above reports whether the sum is above a limit in its currency.
func (s *Sums) Above(limit capture.Amount) bool {
	var other Sums
	other.Add(limit, 1)
	sum := s.of[limit.Currency()]
	return sum != nil && sum.minor.Cmp(&other.of[limit.Currency()].minor) > 0
}

// String lists the sums: "29.99 EUR, 500 JPY".
func (s *Sums) String() string {
	var list []string
	for _, code := range s.Currencies() {
		list = append(list, fmt.Sprintf("%s %s", s.Number(code), code))
	}
	return strings.Join(list, ", ")
}
