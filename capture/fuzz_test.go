package capture_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/capture-worker/capture-worker/capture"
)

// FuzzDecode checks that every input gives a job that is equal after encoding and
// decoding, ErrNotOurs, or a MalformedError with a listed reason.
func FuzzDecode(f *testing.F) {
	bodies := []string{
		"", "{}", leastJob, jobWith("", nil), jobWith("amount", 24.99), "[" + leastJob + "]", leastJob + "x",
		structuredWith(`"data":` + leastJob), structuredWith(`"data_base64":"e30="`), shopEvent("", ""), shopEvent("24.90", "1e3"), pathEvent,
		`{"trade_id":"T1","amount":"5","currency":"EUR","am\u006funt":"50"}`, `{"AMOUNT":"5"}`, `{"a":"\ud800\"}{"}`,
	}
	for _, body := range bodies {
		f.Add([]byte(body), "", "")
		f.Add([]byte(body), "1.0", "application/json")
		f.Add([]byte(body), "", "application/cloudevents+json")
	}
	plain := decoderFor(f, capture.Mapping{})
	decoders := []*capture.Decoder{plain, decoderFor(f, shopMapping), decoderFor(f, pathMapping(nil))}
	f.Fuzz(func(t *testing.T, body []byte, version, contentType string) {
		header := map[string][]string{"Content-Type": {contentType}}
		if version != "" {
			header["cE-specVersion"] = []string{version}
		}
		before := bytes.Clone(body)
		for _, d := range decoders {
			job, err := d.Decode(header, body)
			if trade, _ := d.Hint(header, body); err == nil && trade != job.TradeID {
				t.Fatalf("a job for %q hints at %q", job.TradeID, trade)
			}
			if err == nil {
				checkJobSurvives(t, plain, job)
				if d == plain && version == "" && contentType == "" {
					checkSameAsStandardReader(t, job, body)
				}
			} else {
				checkDecodeError(t, err)
			}
			if !bytes.Equal(before, body) {
				t.Fatal("the message was changed")
			}
		}
	})
}

func checkDecodeError(t *testing.T, err error) {
	t.Helper()
	bad, ok := errors.AsType[*capture.MalformedError](err)
	if !ok {
		if !errors.Is(err, capture.ErrNotOurs) {
			t.Fatalf("an error of another kind: %v", err)
		}
		return
	}
	if !slices.Contains(capture.MalformedReasons(), bad.Reason) {
		t.Errorf("reason %q is not listed", bad.Reason)
	}
	if text := bad.Error(); len(text) > 600 || !utf8.ValidString(text) {
		t.Errorf("the error is too long or not text: %q", text)
	}
}

func checkJobSurvives(t *testing.T, d *capture.Decoder, job capture.Job) {
	t.Helper()
	if !capture.ValidTradeID(job.TradeID) || job.Amount.IsZero() || job.Description == "" {
		t.Fatalf("accepted an incomplete job %+v", job)
	}
	b, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	clean := job
	clean.Cleaned = "" // a text that was cleaned needs it no more
	again, err := d.Decode(nil, b)
	if err != nil || again != clean {
		t.Errorf("as a message: got %+v, %v\nwant %+v", again, err, job)
	}
	var stored capture.Job
	if err := json.Unmarshal(b, &stored); err != nil || stored != job {
		t.Errorf("in the ledger: got %+v, %v\nwant %+v", stored, err, job)
	}
}

// checkSameAsStandardReader holds our splitting of JSON to encoding/json's.
func checkSameAsStandardReader(t *testing.T, job capture.Job, body []byte) {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		t.Fatalf("accepted what encoding/json does not read: %v", err)
	}
	if _, event := members["specversion"]; event {
		return
	}
	var tradeID, amount, currency string
	for name, to := range map[string]*string{"trade_id": &tradeID, "amount": &amount, "currency": &currency} {
		if err := json.Unmarshal(members[name], to); err != nil {
			t.Fatalf("%s is %q to encoding/json: %v", name, members[name], err)
		}
	}
	if want, err := capture.ParseAmount(amount, currency); err != nil || job.Amount != want || job.TradeID != tradeID {
		t.Errorf("got %v of %s, encoding/json reads %s %s of %s", job.Amount, job.TradeID, amount, currency, tradeID)
	}
}

// FuzzAmount checks that an accepted amount is canonical, and that both readers
// agree on it.
func FuzzAmount(f *testing.F) {
	for _, number := range []string{"24.99", "1", "0.01", "1e3", "-1", "+1", " 1", "1.234", "0", "0.00", "1,00", ".5", "5.", "01", "999999999999999"} {
		for _, code := range []string{"EUR", "JPY", "KWD", "eur", ""} {
			f.Add(number, code)
		}
	}
	f.Fuzz(func(t *testing.T, number, code string) {
		a, err := capture.ParseAmount(number, code)
		if err != nil {
			if !errors.Is(err, capture.ErrAmount) || !a.IsZero() || len(err.Error()) > 600 {
				t.Fatalf("got %v with error %.700v", a, err)
			}
			return
		}
		again, err := capture.ParseAmount(a.Number(), a.Currency())
		if err != nil || again != a || again.Number() != a.Number() {
			t.Errorf("%q is not canonical: it reads as %v, %v", a, again, err)
		}
		if read, err := capture.ReadAmount(number, code); err != nil || read != a {
			t.Errorf("ReadAmount(%q, %q) = %v, %v; ParseAmount says %v", number, code, read, err, a)
		}
		if c, err := a.Cmp(a); err != nil || c != 0 {
			t.Errorf("%v compared with itself is %d, %v", a, c, err)
		}
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var back capture.Amount
		if err := json.Unmarshal(b, &back); err != nil || back != a {
			t.Errorf("%s became %v, %v", b, back, err)
		}
	})
}

// FuzzReadAmount checks with math/big that every amount read is within a millionth
// of a minor unit of the text.
func FuzzReadAmount(f *testing.F) {
	for _, number := range []string{
		"24.99", "2.499e1", "24.989999999999998", "1E-2", "0.0099999999", "999999999999999.99", "1e14", "00.10", "9.9999999999e-1", "24.99000001", "0.000000001e7",
	} {
		for _, code := range []string{"EUR", "JPY", "KWD"} {
			f.Add(number, code)
		}
	}
	f.Fuzz(func(t *testing.T, number, code string) {
		a, err := capture.ReadAmount(number, code)
		if err != nil {
			if !errors.Is(err, capture.ErrAmount) || !a.IsZero() || len(err.Error()) > 600 {
				t.Fatalf("got %v with error %.700v", a, err)
			}
			return
		}
		if again, err := capture.ParseAmount(a.Number(), a.Currency()); err != nil || again != a {
			t.Fatalf("%q became %v, which is not canonical: %v", number, a, err)
		}
		want, ok := new(big.Rat).SetString(strings.TrimSpace(number))
		got, _ := new(big.Rat).SetString(a.Number())
		if !ok {
			t.Fatalf("%q became %v, and is no number", number, a)
		}
		_, frac, _ := strings.Cut(a.Number(), ".")
		unit := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(len(frac)+6)), nil))
		if off := new(big.Rat).Sub(want, got); off.Abs(off).Cmp(unit) > 0 {
			t.Errorf("%q became %v", number, a)
		}
	})
}

// FuzzDecodeEvent checks that a decoded event keeps its id and its type, known or
// not, and is encoded in the same way every time.
func FuzzDecodeEvent(f *testing.F) {
	for _, kind := range append(capture.EventTypes(), "disputed") {
		b, err := sampleEvent(f, kind).Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(append([]byte(`{"new":{"x":[1,2]},`), b[1:]...))
	}
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"id":"E","type":"t","trade_id":"T","job":{"trade_id":"T","amount":"1.000","currency":"eur","authorized_at":"2026-11-02T10:00:00+02:00"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := capture.DecodeEvent(b)
		if err != nil {
			if !errors.Is(err, capture.ErrEvent) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		once, err := e.Encode()
		if err != nil {
			t.Fatalf("read, but cannot be written: %v", err)
		}
		back, err := capture.DecodeEvent(once)
		if err != nil {
			t.Fatalf("written, but cannot be read: %v\n%s", err, once)
		}
		if back.ID != e.ID || back.Type != e.Type || back.TradeID != e.TradeID {
			t.Errorf("became another event: %s", once)
		}
		twice, err := back.Encode()
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("written differently: %v\n%s\n%s", err, once, twice)
		}
	})
}
