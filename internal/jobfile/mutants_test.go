package jobfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
)

// mutants is how many variants of each kind are tried.
const mutants = 200

// TestMutatedEventsBecomeTheRightJobOrARefusal checks that every variant of a
// platform's event gives one row: the job that the event means, or a refusal the
// job that the event means, or a refusal with words. None vanishes, and none
// captures another sum.
func TestMutatedEventsBecomeTheRightJobOrARefusal(t *testing.T) {
	t.Parallel()
	for name, p := range platforms {
		t.Run(name, func(t *testing.T) {
			event, m := platformEvent(t, p.file), mappingOnPage(t, name)
			var file bytes.Buffer
			for seed := range uint64(mutants) {
				file.Write(mutateEvent(t, event, rand.New(rand.NewPCG(seed, 11))))
				file.WriteByte('\n')
			}
			assertWhole(t, file.Bytes(), Options{Format: FormatNDJSON, Mapping: m})
			rows, err := Read(&file, Options{Format: FormatNDJSON, Mapping: m})
			if err != nil {
				t.Fatal(err)
			}
			jobs, refused, passed := 0, 0, 0
			for r, err := range rows {
				if err != nil {
					t.Fatal(err)
				}
				_, malformed := errors.AsType[*capture.MalformedError](r.Err)
				other, notTaken := errors.AsType[*capture.MatchError](r.Err)
				switch {
				case r.Err == nil:
					jobs++
					if got := r.Job.Amount.String(); got != "24.99 EUR" || !strings.Contains(p.want, `"`+r.Job.TradeID+`"`) {
						t.Errorf("%s captures %s of %s", r.Body, got, r.Job.TradeID)
					}
				case malformed:
					refused++
					assertPrintable(t, Reason(r.Err))
				case notTaken && other.Path != "" && (other.Missing || other.Found != ""):
					passed++
				default:
					t.Errorf("%s: %v", r.Body, r.Err)
				}
			}
			if jobs+refused+passed != mutants || jobs == 0 || refused == 0 || passed == 0 {
				t.Errorf("%d variants became %d jobs, %d refusals and %d that are passed over", mutants, jobs, refused, passed)
			}
		})
	}
}

// mutateEvent changes an event in one to three places, as one line. No number
// becomes another number.
func mutateEvent(t *testing.T, event []byte, dice *rand.Rand) []byte {
	t.Helper()
	in := json.NewDecoder(bytes.NewReader(event))
	in.UseNumber()
	var tree any
	if err := in.Decode(&tree); err != nil {
		t.Fatal(err)
	}
	for range 1 + dice.IntN(3) {
		mutateTree(tree, dice)
	}
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	switch dice.IntN(10) {
	case 0:
		return text[:1+dice.IntN(len(text)-1)]
	case 1: // a member twice
		return bytes.Replace(text, []byte("{"), []byte(`{"currency":"EUR","currency":"USD",`), 1+dice.IntN(3))
	case 2:
		return append(append([]byte("["), text...), ']')
	}
	return text
}

// mutateTree changes one member somewhere below.
func mutateTree(at any, dice *rand.Rand) {
	switch v := at.(type) {
	case []any:
		if len(v) > 0 {
			mutateTree(v[dice.IntN(len(v))], dice)
		}
	case map[string]any:
		names := slices.Sorted(maps.Keys(v))
		if len(names) == 0 {
			return
		}
		name := names[dice.IntN(len(names))]
		switch _, deeper := v[name].(map[string]any); {
		case deeper && dice.IntN(3) > 0:
			mutateTree(v[name], dice)
			return
		}
		if list, ok := v[name].([]any); ok && len(list) > 0 && dice.IntN(3) > 0 {
			mutateTree(list, dice)
			return
		}
		mutateMember(v, name, dice)
	}
}

func mutateMember(v map[string]any, name string, dice *rand.Rand) {
	value := v[name]
	switch dice.IntN(8) {
	case 0:
		delete(v, name)
	case 1:
		delete(v, name)
		v[strings.ToUpper(name)] = value
	case 2:
		v[strings.ToUpper(name)] = value
	case 3:
		v[name] = nil
	case 4:
		v[name] = []any{value, value}
	case 5:
		v[name] = map[string]any{"value": value}
	case 6:
		v[name] = []any{true, "", "\u200b", "x y"}[dice.IntN(4)]
	case 7:
		if text, ok := value.(string); ok {
			v[name] = " " + text + "\u00ad"
		}
	}
}

// TestNoLineOfAMutatedSheetVanishes checks that every non-empty line of a table is
// part of a row, or that reading ends with an error that names the place.
func TestNoLineOfAMutatedSheetVanishes(t *testing.T) {
	t.Parallel()
	const head = "trade_id,amount,currency,order_id,note\n"
	whole, broken := 0, 0
	for seed := range uint64(5 * mutants) {
		dice := rand.New(rand.NewPCG(seed, 13))
		var sheet strings.Builder
		for i := range 3 + dice.IntN(8) {
			fmt.Fprintf(&sheet, "s-%d,%d.99,EUR,A-%d,\"for %d\"\n", i, 1+dice.IntN(90), i, i)
		}
		text := head + mutateSheet(sheet.String(), dice)
		assertWhole(t, []byte(text), Options{})
		rows, err := Read(strings.NewReader(text), Options{})
		if err != nil {
			t.Fatalf("seed %d: %v\n%q", seed, err, text)
		}
		lines, failed := 1, false
		found := &Found{}
		for r, err := range rows {
			if failed = err != nil; failed {
				assertPrintable(t, err.Error())
				break
			}
			lines += r.Lines
			found.count(r)
		}
		if found.Read != found.Good+found.Bad+found.Skipped {
			t.Fatalf("seed %d: %s", seed, found)
		}
		if failed {
			broken++
			continue
		}
		whole++
		all, empty := countLines(text)
		if lines > all || lines+empty < all {
			t.Fatalf("seed %d: the rows take %d lines of %d, of which %d are empty\n%q", seed, lines, all, empty, text)
		}
	}
	if whole < mutants || broken < mutants/4 {
		t.Errorf("%d were read to the end, %d broke off: the variants have become one-sided", whole, broken)
	}
}

func mutateSheet(text string, dice *rand.Rand) string {
	for range 1 + dice.IntN(4) {
		at := dice.IntN(len(text))
		switch dice.IntN(7) {
		case 0:
			text = text[:at] + `"` + text[at:]
		case 1:
			text = text[:at] + text[at+1:]
		case 2:
			text = strings.ReplaceAll(text, "\n", []string{"\r", "\r\n"}[dice.IntN(2)])
		case 3:
			text = text[:at] + "\n" + text[at:]
		case 4:
			text = text[:at] + "\r" + text[at:]
		case 5:
			text += []string{",,,,\n", "\n", "\r\n\r\n", "  \n"}[dice.IntN(4)]
		case 6:
			text = text[:at] + []string{",", ";", "\t", "\u00a0", "é"}[dice.IntN(5)] + text[at:]
		}
	}
	return text
}

// countLines counts as an editor does.
func countLines(text string) (all, empty int) {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	for line := range strings.Lines(text) {
		all++
		if line == "\n" {
			empty++
		}
	}
	return all, empty
}
