package capture_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
)

func TestParseAmount(t *testing.T) {
	tests := []struct{ number, code, want string }{
		{"24.99", "EUR", "24.99"}, {"24.9", "EUR", "24.90"}, {"24", "EUR", "24.00"}, {"0.01", "EUR", "0.01"},
		{"500", "JPY", "500"}, {"1.234", "KWD", "1.234"}, {"1.2", "KWD", "1.200"},
		{"999999999999999.99", "EUR", "999999999999999.99"},
	}
	for _, tt := range tests {
		t.Run(tt.number+" "+tt.code, func(t *testing.T) {
			a, err := capture.ParseAmount(tt.number, tt.code)
			if err != nil {
				t.Fatal(err)
			}
			if a.Number() != tt.want || a.Currency() != tt.code || a.String() != tt.want+" "+tt.code || a.IsZero() {
				t.Errorf("got %q in %q, printed %q", a.Number(), a.Currency(), a)
			}
		})
	}
}

func TestParseAmountRefuses(t *testing.T) {
	tests := []struct{ name, number, code string }{
		{"exponent", "1e3", "EUR"}, {"minus", "-1", "EUR"}, {"plus", "+1", "EUR"},
		{"space before", " 1", "EUR"}, {"space after", "1 ", "EUR"}, {"line end", "1\n", "EUR"},
		{"zero", "0", "EUR"}, {"zero cents", "0.00", "EUR"}, {"zero yen", "0", "JPY"},
		{"comma", "1,00", "EUR"}, {"grouping", "1,000.00", "EUR"}, {"two points", "1.0.0", "EUR"},
		{"no whole part", ".5", "EUR"}, {"no fraction after the point", "5.", "EUR"}, {"only a point", ".", "EUR"},
		{"empty", "", "EUR"}, {"leading zero", "01", "EUR"}, {"two zeros", "00.5", "EUR"},
		{"three decimals of two", "1.234", "EUR"}, {"three decimals, one of them zero", "1.230", "EUR"},
		{"decimals of yen", "500.0", "JPY"}, {"four decimals of dinars", "1.2345", "KWD"},
		{"huge", strings.Repeat("9", 16), "EUR"}, {"hexadecimal", "0x10", "EUR"}, {"full-width digit", "１", "EUR"},
		{"lower-case currency", "1", "eur"}, {"no currency", "1", ""}, {"unknown currency", "1", "ZZZ"}, {"currency with a space", "1", "EUR "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := capture.ParseAmount(tt.number, tt.code)
			if !errors.Is(err, capture.ErrAmount) || !a.IsZero() {
				t.Errorf("ParseAmount(%q, %q) = %v, %v; want ErrAmount", tt.number, tt.code, a, err)
			}
		})
	}
}

func TestReadAmount(t *testing.T) {
	tests := []struct{ number, code, want string }{
		{"1", "EUR", "1.00 EUR"}, {"1.0", "eur", "1.00 EUR"}, {" 1.000 ", " Eur ", "1.00 EUR"},
		{"24.9900", "EUR", "24.99 EUR"}, {"500.00", "JPY", "500 JPY"}, {"1.2340", "KWD", "1.234 KWD"},
		{"2.499e1", "EUR", "24.99 EUR"}, {"2.499E+1", "EUR", "24.99 EUR"}, {"2499e-2", "EUR", "24.99 EUR"},
		{"1e3", "EUR", "1000.00 EUR"}, {"1.0E+3", "JPY", "1000 JPY"}, {"5e-2", "EUR", "0.05 EUR"}, {"0.00001e+5", "EUR", "1.00 EUR"},
		{"007", "EUR", "7.00 EUR"}, {"00.50", "EUR", "0.50 EUR"}, {"24.99" + strings.Repeat("0", 100), "EUR", "24.99 EUR"},
		{"24.989999999999998", "EUR", "24.99 EUR"}, {"24.990000000000002", "EUR", "24.99 EUR"},
		{"0.30000000000000004", "EUR", "0.30 EUR"}, {"0.010000000000000000208", "EUR", "0.01 EUR"},
		{"9.99999999999", "EUR", "10.00 EUR"}, {"0.0099999999", "EUR", "0.01 EUR"}, {"0.99999999999", "JPY", "1 JPY"},
		{"24.99000001", "EUR", "24.99 EUR"}, {"24.98999999", "EUR", "24.99 EUR"}, // a millionth of a cent, and no more
		{"999999999999999.990000000", "EUR", "999999999999999.99 EUR"},
	}
	for _, tt := range tests {
		a, err := capture.ReadAmount(tt.number, tt.code)
		if err != nil || a.String() != tt.want {
			t.Errorf("ReadAmount(%q, %q) = %v, %v; want %s", tt.number, tt.code, a, err, tt.want)
		}
	}
	for _, number := range []string{
		"1.001", "-1", "+1", "0.00", "1,00", "1,000.00", "", "0.001", "-0", "0e5", "1e-9", "1e", "e1", "1e+", "1e1e1", "1e1.5",
		".5", "5.", ".", "0x10", "1e16", "1e32767", "1e99999", "1e-32768", "NaN", "INF", "Array", "24.990000011", "24.989999989",
		"24.995", "999999999999999.9999999999", "1000000000000000", "0.00000001", "1_000", "１",
	} {
		if a, err := capture.ReadAmount(number, "EUR"); !errors.Is(err, capture.ErrAmount) {
			t.Errorf("ReadAmount(%q, EUR) = %v, %v; want ErrAmount", number, a, err)
		}
	}
}

func TestAmountErrorsAreShort(t *testing.T) {
	for _, long := range []string{strings.Repeat("x", 1e6), "1." + strings.Repeat("1", 1e6), strings.Repeat("1", 1e6), strings.Repeat("0", 1e6), strings.Repeat("\x1b", 1e6)} {
		for name, err := range map[string]error{
			"number": second(capture.ParseAmount(long, "EUR")), "currency": second(capture.ParseAmount("1", long)),
			"read number": second(capture.ReadAmount(long, "EUR")), "read currency": second(capture.ReadAmount("1", long)),
		} {
			if err == nil || len(err.Error()) > 400 || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("%s of %.5q…: got %.500v", name, long, err)
			}
		}
	}
}

func second(_ capture.Amount, err error) error { return err }

func TestAmountEqualityAndCmp(t *testing.T) {
	if got := (capture.Amount{}).String(); got != "none" {
		t.Errorf("no amount prints as %q", got)
	}
	if euros(t, "1") != euros(t, "1.00") {
		t.Error("1 and 1.00 EUR differ")
	}
	kroner, err := capture.ParseAmount("1", "SEK")
	if err != nil {
		t.Fatal(err)
	}
	if euros(t, "1") == kroner {
		t.Error("1 EUR equals 1 SEK")
	}
	for _, tt := range []struct {
		a, b string
		want int
	}{{"1", "1.00", 0}, {"9", "10", -1}, {"10.01", "10", 1}, {"0.1", "0.09", 1}} {
		if got, err := euros(t, tt.a).Cmp(euros(t, tt.b)); err != nil || got != tt.want {
			t.Errorf("Cmp(%s, %s) = %d, %v; want %d", tt.a, tt.b, got, err, tt.want)
		}
	}
	if _, err := euros(t, "1").Cmp(kroner); !errors.Is(err, capture.ErrAmount) {
		t.Errorf("comparing currencies: got %v, want ErrAmount", err)
	}
	if _, err := euros(t, "1").Cmp(capture.Amount{}); !errors.Is(err, capture.ErrAmount) {
		t.Errorf("comparing with none: got %v, want ErrAmount", err)
	}
}

func TestAmountJSON(t *testing.T) {
	b, err := json.Marshal(euros(t, "24.9"))
	if err != nil || string(b) != `{"amount":"24.90","currency":"EUR"}` {
		t.Fatalf("got %s, %v", b, err)
	}
	for _, a := range []capture.Amount{euros(t, "24.9"), {}} {
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var back capture.Amount
		if err := json.Unmarshal(b, &back); err != nil || back != a {
			t.Errorf("%s became %v, %v; want %v", b, back, err, a)
		}
	}
	for _, bad := range []string{`{"amount":"-1","currency":"EUR"}`, `{"amount":"1"}`, `{"currency":"EUR"}`, `{"amount":1,"currency":"EUR"}`, `"1"`, `[]`} {
		a := euros(t, "7")
		if err := json.Unmarshal([]byte(bad), &a); !errors.Is(err, capture.ErrAmount) {
			t.Errorf("%s: got %v, want ErrAmount", bad, err)
		}
		if a != euros(t, "7") {
			t.Errorf("%s: the amount was changed to %v", bad, a)
		}
	}
}
