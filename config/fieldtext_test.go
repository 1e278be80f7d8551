package config_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
)

var (
	richFields = map[string]capture.Field{
		"trade_id":      capture.At(`$.notes[?@.name == "trade"].value`, "payment.id"),
		"amount":        {Paths: []string{"$.total"}, Unit: capture.UnitMinor},
		"currency":      {Value: "EUR"},
		"authorized_at": {Paths: []string{"created", "at"}, Unit: capture.UnitSeconds},
	}
	richMatch = []capture.Match{
		{Path: "payment.method", Values: []string{"card", "creditcard"}, IgnoreCase: true}, {Path: "$.kind", Value: "a,b=c"},
		{Path: "status", Value: "done", Others: []string{"open", "null"}},
	}
)

const richFile = `jobs:
  fields:
    trade_id: ['$.notes[?@.name == "trade"].value', payment.id]
    amount: {path: $.total, unit: minor}
    currency: {value: EUR}
    authorized_at: {path: [created, at], unit: seconds}
  match:
    - {path: payment.method, values: [card, creditcard], ignore_case: true}
    - {path: $.kind, value: "a,b=c"}
    - {path: status, value: done, others: [open, null]}
`

// A mapping is the same from the file, from the environment as JSON, and from
// what the program prints of it.
func TestMappingInEachPlace(t *testing.T) {
	c := load(t, config.Options{File: write(t, "c.yaml", richFile), Env: env()})
	wantMapping(t, c)
	var printed strings.Builder
	if err := c.WriteYAML(&printed); err != nil {
		t.Fatal(err)
	}
	wantMapping(t, load(t, config.Options{File: write(t, "c.yaml", printed.String()), Env: env()}))
	var variables []string
	for _, k := range config.Keys() {
		if k.Name == "jobs.fields" || k.Name == "jobs.match" {
			variables = append(variables, k.Env+"="+k.Text(c))
		}
	}
	wantMapping(t, load(t, config.Options{Env: env(variables...)}))
}

func wantMapping(t *testing.T, c config.Config) {
	t.Helper()
	if !reflect.DeepEqual(c.Jobs.Fields, richFields) {
		t.Errorf("fields %+v", c.Jobs.Fields)
	}
	if !reflect.DeepEqual(c.Jobs.Match, richMatch) {
		t.Errorf("match %+v", c.Jobs.Match)
	}
}

func TestSavedMapping(t *testing.T) {
	got, err := config.ReadFields(strings.NewReader("trade_id: Vorgang\namount: {path: Betrag, unit: minor}\ncurrency: {value: EUR}\n"))
	want := map[string]capture.Field{
		"trade_id": capture.At("Vorgang"), "amount": {Paths: []string{"Betrag"}, Unit: capture.UnitMinor}, "currency": {Value: "EUR"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "- a", "x", "amount: {unit: minor}", "amount: {path: a, units: minor}", "amount: []", "{"} {
		if got, err := config.ReadFields(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is taken: %+v", bad, got)
		}
	}
}
