package capture_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// encodesAlike holds Encode to what encoding/json makes of the struct.
func encodesAlike(t *testing.T, e capture.Event) {
	t.Helper()
	want, wantErr := json.Marshal(e)
	got, err := e.Encode()
	if (err != nil) != (wantErr != nil) || err == nil && !bytes.Equal(got, want) {
		t.Fatalf("%+v\ngot  %s, %v\nwant %s, %v", e, got, err, want, wantErr)
	}
}

func TestEventsAreWrittenAsEncodingJSONDoes(t *testing.T) {
	for _, kind := range capture.EventTypes() {
		encodesAlike(t, sampleEvent(t, kind))
	}
	encodesAlike(t, capture.Event{})
	var failed, longest int
	for seed := range uint64(3_000) {
		f := filler{rand.New(rand.NewPCG(seed, 1)), 1 + seed%2}
		var e capture.Event
		f.fill(reflect.ValueOf(&e).Elem())
		encodesAlike(t, e)
		b, err := e.Encode()
		if err != nil {
			failed++
		}
		longest = max(longest, len(b))
	}
	if failed == 0 || failed > 1_500 || longest < 1_000 {
		t.Errorf("%d cannot be written, the longest has %d bytes: not the events that were meant", failed, longest)
	}
}

// Every byte and every odd letter, alone and among others.
func TestTextIsWrittenAsEncodingJSONDoes(t *testing.T) {
	e := capture.Event{Job: &capture.Job{}, Answer: &capture.Answer{}}
	for c := range 256 {
		for _, text := range []string{string([]byte{byte(c)}), "a" + string([]byte{byte(c)}) + "é", string(rune(0x2000 + c)), string(rune(c))} {
			e.ID, e.Note, e.Job.Description, e.Answer.Message = text, text, text, text
			encodesAlike(t, e)
		}
	}
}

// filler fills in whatever fields an event has, so that a new one cannot be
// forgotten.
type filler struct {
	*rand.Rand
	sparse uint64
}

func (f filler) fill(v reflect.Value) {
	if f.Uint64N(1+f.sparse) == 0 {
		return // left out
	}
	switch at := v.Addr().Interface().(type) {
	case *time.Time:
		*at = f.time()
		return
	case *capture.Amount:
		*at, _ = capture.ParseAmount(f.of("24.99", "1", "x"), f.of("EUR", "KWD"))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(f.of("", "T1", "a b", `"<&>\`, "café", "\u2028\n\x00\x7f", "\xff", "https://shop.example/?a=1&b=2"))
	case reflect.Bool:
		v.SetBool(f.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(f.Int64() >> f.IntN(64))
	case reflect.Uint64:
		v.SetUint(f.Uint64() >> f.IntN(64))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	default:
		panic("an event has a " + v.Type().String() + ", which this test does not know")
	}
}

func (f filler) of(list ...string) string { return list[f.IntN(len(list))] }

func (f filler) time() time.Time {
	t := time.Unix(f.Int64N(1<<34), f.Int64N(1e9))
	switch f.IntN(40) {
	case 0:
		return time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
	case 1:
		return t.In(time.FixedZone("", 25*3600))
	case 2:
		return time.Time{}.In(time.FixedZone("", 3600))
	case 3:
		return t.In(time.FixedZone("", -90*60)).Truncate(time.Second)
	}
	return t.UTC()
}
