package schemas_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/internal/schemas"
	"github.com/capture-worker/capture-worker/internal/schemas/schematest"
)

var update = flag.Bool("update", false, "rewrite docs/schemas and the code in docs/integration.md")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, processtest.Leftovers()) }

func TestPublishedSchemasAreCurrent(t *testing.T) {
	for name, generate := range map[string]func() ([]byte, error){
		"job.schema.json": schemas.Job, "withdrawal.schema.json": schemas.Withdrawal, "event.schema.json": schemas.Event,
	} {
		t.Run(name, func(t *testing.T) {
			want, err := generate()
			if err != nil {
				t.Fatal(err)
			}
			schematest.Compile(t, name, want)
			file := filepath.Join(schematest.Root(t), "docs", "schemas", name)
			if *update {
				if err := os.WriteFile(file, want, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("docs/schemas/%s is not what the Go types say; rewrite it with: go test ./internal/schemas -update", name)
			}
			for i, c := range got {
				if c > '~' || c < ' ' && c != '\n' {
					t.Errorf("byte %d is %#x: invisible characters must be escaped", i, c)
					break
				}
			}
		})
	}
}

// job is a good job with one member replaced, in JSON; "" takes it out.
func job(name, value string) string {
	members := []string{
		`"trade_id":"160899f3"`, `"amount":"24.99"`, `"currency":"EUR"`, `"order_id":"A-1001"`, `"description":"order A-1001"`,
		`"authorized_at":"2026-11-02T10:00:00Z"`, `"authorized_amount":"30.00"`, `"capture_before":"2026-12-01T10:00:00Z"`,
		`"notify_url":"https://shop.example/notify"`,
	}
	var kept []string
	for _, m := range members {
		if !strings.HasPrefix(m, `"`+name+`":`) {
			kept = append(kept, m)
		}
	}
	if value != "" {
		kept = append(kept, `"`+name+`":`+value)
	}
	return "{" + strings.Join(kept, ",") + "}"
}

// The tables of the decoder's own tests are held against the schema there.
// These are the corners of the patterns.
func TestJobSchemaAgreesWithTheDecoder(t *testing.T) {
	corners := map[string][]string{
		"trade_id":          {`"a"`, `"A_b-9"`, `"T1\n"`, `"` + strings.Repeat("x", 64) + `"`, `"` + strings.Repeat("x", 65) + `"`},
		"amount":            {`"0.01"`, `"0.001"`, `"24"`, `"24.9"`, `"0.0"`, `"9999999999999999"`, `""`, `" "`},
		"authorized_amount": {`"999999999999999.99"`, `"24.99"`, `"00"`, `""`, `" "`, `"1e9"`},
		"currency":          {`"JPY"`, `"KWD"`, `"CLF"`, `"XXX"`, `"HRK"`, `"EUR\n"`},
		"order_id":          {`"` + strings.Repeat("é", 128) + `"`, `"\u00a0"`, `"\u2028"`, `" \t\n"`, `"\u0085"`, `"a\u00a0b"`, `"a\ufeffb"`, `"a\u0000b"`},
		"authorized_at": {
			`"1999-12-31T23:30:00-01:00"`, `"1999-12-31T23:30:00Z"`, `"1999-12-31T23:30:00+01:00"`, `"2026-11-02T10:00:00.123456789012Z"`,
			`"2026-11-02T10:00:60Z"`, `"2026-11-02T10:00:00-00:00"`, `"2026-11-02T10:00:00+23:59"`, `"\t"`,
		},
		"capture_before": {`"2200-01-01T00:30:00+01:00"`, `"2200-01-01T00:30:00-01:00"`, `"2026-12-01T10:00:00+02:00"`},
		"notify_url": {
			`"HTTPS://shop.example"`, `"http://[::1]:80/?@"`, `"https://shop.example?u=a@b"`, `"https://shop.example#@"`,
			`"https://@shop.example"`, `"https://shop.example:99999/"`, `"https://a/` + strings.Repeat("x", 502) + `"`, `"https://a/` + strings.Repeat("x", 503) + `"`,
		},
		"AUTHORIZED_AT": {`"x"`}, "order_\u0131d": {`"x"`}, "order": {`"x"`}, "": {`{"amount":[]}`},
	}
	decoder, schema := newDecoder(t), schematest.Job(t)
	said := map[bool]int{}
	for name, values := range corners {
		for _, value := range values {
			body := job(name, value)
			_, refused := decoder.Decode(nil, []byte(body))
			said[refused == nil]++
			if err := schema.Check([]byte(body)); (err == nil) != (refused == nil) {
				t.Errorf("%s %s: the decoder says %v, the schema %v", name, value, refused, err)
			}
		}
	}
	if said[true] < 10 || said[false] < 10 {
		t.Errorf("%d taken and %d refused: the table has become one-sided", said[true], said[false])
	}
}

func newDecoder(t testing.TB) *capture.Decoder {
	t.Helper()
	d, err := capture.NewDecoder(capture.Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Every currency has its decimals in the schema, no more and no fewer.
func TestJobSchemaKnowsTheDecimalsOfEachCurrency(t *testing.T) {
	schema := schematest.Job(t)
	text, err := schemas.Job()
	if err != nil {
		t.Fatal(err)
	}
	var published struct {
		Defs map[string]struct{ Enum []string } `json:"$defs"`
	}
	if err := json.Unmarshal(text, &published); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for name, def := range published.Defs {
		if !strings.HasPrefix(name, "currency_") {
			continue
		}
		for _, code := range def.Enum {
			seen++
			for _, number := range []string{"1", "1.2", "1.23", "1.234", "1.2345", "1.23456"} {
				_, refused := capture.ParseAmount(number, code)
				err := schema.Check([]byte(`{"trade_id":"T1","amount":"` + number + `","currency":"` + code + `"}`))
				if (refused == nil) != (err == nil) {
					t.Errorf("%s %s: the decoder says %v, the schema %v", number, code, refused, err)
				}
			}
		}
	}
	if seen < 150 {
		t.Errorf("only %d currencies were looked at", seen)
	}
}

// No character is refused by the schema and taken by the decoder.
func TestJobSchemaRefusesNoCharacterThatTheDecoderTakes(t *testing.T) {
	decoder, schema := newDecoder(t), schematest.Job(t)
	refusals := 0
	for r := rune(0); r <= 0xffff; r++ {
		if unicode.Is(unicode.Cs, r) || unicode.Is(unicode.Lo, r) {
			continue
		}
		text, err := json.Marshal(map[string]string{"trade_id": "T1", "amount": "5", "currency": "EUR", "order_id": "a" + string(r)})
		if err != nil {
			t.Fatal(err)
		}
		if schema.Check(text) == nil {
			continue
		}
		refusals++
		if _, err := decoder.Decode(nil, text); err == nil {
			t.Errorf("%U is taken by the decoder and refused by the schema", r)
		}
	}
	if refusals != 1 {
		t.Errorf("%d characters are refused; the sign of damaged text should be, and no other", refusals)
	}
}

// FuzzJob looks for a job that the decoder takes and the schema refuses.
func FuzzJob(f *testing.F) {
	for _, body := range []string{job("", ""), job("order_id", "null"), job("x", `{"AMOUNT":1}`), job("notify_url", `"http://a:1?#"`)} {
		f.Add([]byte(body))
	}
	decoder, schema := newDecoder(f), schematest.Job(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		var plain struct {
			Envelope any `json:"specversion"`
		}
		if json.Unmarshal(body, &plain) != nil || plain.Envelope != nil || bytes.Contains(bytes.ToLower(body), []byte("specversion")) {
			t.Skip("a CloudEvent: the schema is that of its data")
		}
		if _, err := decoder.Decode(nil, body); err != nil {
			return
		}
		if err := schema.Check(body); err != nil {
			t.Errorf("the decoder takes what the schema refuses: %v\n%s", err, body)
		}
	})
}

func TestEventSchemaRefuses(t *testing.T) {
	const good = `{"id":"E2","type":"captured","trade_id":"T1","time":"2026-11-22T16:00:00.5Z","worker":"w","rule":"paid","attempt":1,"call":1,
		"via":"query","answer":{"kind":"done","code":"200","order":{"state":"paid","amount":{"amount":"24.90","currency":"EUR"}}},"amount":"24.90","currency":"EUR","corrects":"E1"}`
	schema := schematest.Event(t)
	if err := schema.Check([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, old, new string }{
		{"no id", `"id":"E2",`, ""}, {"empty id", `"E2"`, `""`}, {"no type", `"type":"captured",`, ""}, {"no trade", `"trade_id":"T1",`, ""},
		{"no worker", `"worker":"w",`, ""}, {"no time", `"time":"2026-11-22T16:00:00.5Z",`, ""}, {"time without a zone", "00.5Z", "00.5"},
		{"a day that is none", "2026-11-22", "2026-02-30"}, {"a trade that cannot be a subject", `"T1"`, `"T.1"`}, {"type that cannot be a subject", `"captured"`, `"a.b"`},
		{"captured without amount", `"amount":"24.90","currency":"EUR","corrects"`, `"corrects"`}, {"captured without evidence", `"via":"query",`, ""},
		{"amount as a number", `"amount":"24.90","currency":"EUR","corrects"`, `"amount":24.90,"currency":"EUR","corrects"`},
		{"more decimals than euros have", `"amount":"24.90","currency":"EUR","corrects"`, `"amount":"24.901","currency":"EUR","corrects"`},
		{"nothing captured", `"amount":"24.90","currency":"EUR","corrects"`, `"amount":"0.00","currency":"EUR","corrects"`},
		{"no currency of the world", `"currency":"EUR","corrects"`, `"currency":"ZZZ","corrects"`},
		{"attempt as text", `"attempt":1`, `"attempt":"1"`}, {"attempt zero", `"attempt":1`, `"attempt":0`}, {"order without state", `"state":"paid",`, ""},
		{"money without currency", `"amount":"24.90","currency":"EUR"}}`, `"amount":"24.90"}}`}, {"answer without kind", `"kind":"done",`, ""},
		{"an intent without a job", `"captured"`, `"attempted"`}, {"failed without a reason", `"captured"`, `"failed"`},
		{"released without a name", `"captured"`, `"released"`}, {"retried without a name", `"captured"`, `"retried"`}, {"excused as text", `"attempt":1`, `"attempt":1,"excused":"yes"`}, {"answered by a query", `"captured"`, `"answered"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad := strings.Replace(good, tt.old, tt.new, 1)
			if bad == good {
				t.Fatal("the case changes nothing")
			}
			if schema.Check([]byte(bad)) == nil {
				t.Errorf("the schema takes %s", bad)
			}
		})
	}
}

// A consumer that validates must not stumble over tomorrow's events.
func TestEventSchemaTakesWhatANewerProgramWrites(t *testing.T) {
	const later = `{"id":"E1","type":"disputed","trade_id":"T1","time":"2026-11-22T16:00:00Z","worker":"w","colour":"red","via":"telephone",
		"evidence":{"deep":[1,{"er":null}]},"answer":{"kind":"foreseen","score":0.5,"order":{"state":"frozen","shelf":1}},"job":{"trade_id":"T1","amount":"5.00","currency":"EUR","colour":"red"}}`
	if err := schematest.Event(t).Check([]byte(later)); err != nil {
		t.Error(err)
	}
}

// What is written of a job in an event has the members that the schema names.
func TestEventSchemaNamesTheMembersOfAWrittenJob(t *testing.T) {
	amount, err := capture.ParseAmount("24.90", "EUR")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)
	full := capture.Job{TradeID: "T1", Amount: amount, OrderID: "A", Description: "d", NotifyURL: "https://a/", AuthorizedAmount: amount, AuthorizedAt: now, CaptureBefore: now, CaptureID: "parcel-1", Cleaned: "description"}
	text, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	var written map[string]any
	if err := json.Unmarshal(text, &written); err != nil {
		t.Fatal(err)
	}
	fields := append(capture.JobFields(), "cleaned")
	for _, name := range fields {
		if written[name] == nil {
			t.Errorf("%s is named by the schema and not written", name)
		}
	}
	if len(written) != len(fields) {
		t.Errorf("written are %d members, the schema names %d: %s", len(written), len(fields), text)
	}
	if err := schematest.Job(t).Check(text); err != nil {
		t.Errorf("a written job is no job: %v", err)
	}
}

// The schema of withdrawals and the decoder agree, but for what no schema can see.
func TestWithdrawalSchemaAndDecoderAgree(t *testing.T) {
	text, err := schemas.Withdrawal()
	if err != nil {
		t.Fatal(err)
	}
	schema := schematest.Compile(t, "withdrawal.schema.json", text)
	decoder, err := capture.NewWithdrawalDecoder(capture.Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]bool{
		`{"trade_id":"T1"}`: true, `{"order_id":"A-1","reason":"returned","by":"ann"}`: true, `{"trade_id":"T1","order_id":"A-1"}`: true,
		`{"trade_id":null,"order_id":"A-1","reason":null,"by":" "}`: true, `{"order_id":"A-1","note":1}`: true,
		`{"order_id":"A-1","reason":"` + strings.Repeat("x", 600) + `"}`: true,
		`{}`: false, `{"reason":"returned"}`: false, `{"trade_id":"T 1"}`: false, `{"trade_id":"","order_id":" "}`: false, `{"order_id":1}`: false,
		`{"order_id":"` + strings.Repeat("x", 129) + `"}`: false, `{"order_id":"A-1","By":"ann"}`: false, `{"order_id":"A-1","by":1}`: false,
		`[]`: false,
	} {
		fits := schema.Check([]byte(body)) == nil
		_, err := decoder.Decode(nil, []byte(body))
		if fits != want || (err == nil) != want {
			t.Errorf("%.80s: the schema takes it: %t, the decoder: %v, want %t", body, fits, err, want)
		}
	}
}
