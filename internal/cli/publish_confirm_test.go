package cli

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/internal/jobfile"
)

func TestAskWantsAWholeYes(t *testing.T) {
	for answer, sends := range map[string]bool{"yes\n": true, " yes ": true, "y\n": false, "\n": false, "": false, "no\n": false, "yesterday\n": false} {
		var out strings.Builder
		err := ask(strings.NewReader(answer), &out, "Send? ")
		if sends != (err == nil) || !sends && !errors.Is(err, errDeclined) || out.String() != "Send? " {
			t.Errorf("%q: %v, asked %q", answer, err, out.String())
		}
	}
}

func TestSumsAboveTheirLimits(t *testing.T) {
	found, err := jobfile.NewTrades(false).CheckAll(func() (jobfile.Rows, error) {
		return jobfile.Read(strings.NewReader("trade_id,amount,currency\na-1,60.00,EUR\na-2,40.01,EUR\na-3,500,JPY\n"), jobfile.Options{})
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		limits map[string]string
		want   []string
	}{
		{nil, nil},
		{map[string]string{"eur": "100"}, []string{"more than 100.00 EUR"}}, // as viper leaves the name
		{map[string]string{"EUR": "100.01", "JPY": "499", "USD": "1"}, []string{"more than 499 JPY"}},
	} {
		above, err := sumsAbove("publish.ask_above", tt.limits, &found.Sums)
		if err != nil || !slices.Equal(above, tt.want) {
			t.Errorf("%v: %q, %v; want %q", tt.limits, above, err, tt.want)
		}
	}
}
