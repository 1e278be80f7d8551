package main

import (
	_ "embed"
	"fmt"
	"strings"
	"text/template"

	"github.com/capture-worker/capture-worker/bench/peers/contest"
)

//go:embed config.yaml.tmpl
var configText string

// configure writes Bento's configuration for the options.
func configure(o contest.Options, inputs int) (string, error) {
	t, err := template.New("config.yaml").Funcs(template.FuncMap{"quote": quote}).Parse(configText)
	if err != nil {
		return "", fmt.Errorf("parsing the template of the configuration: %w", err)
	}
	var b strings.Builder
	err = t.Execute(&b, struct {
		contest.Options
		Inputs, Tries  int
		Pause, Timeout fmt.Stringer
	}{o, inputs, contest.Tries, contest.RetryPause, contest.Timeout})
	if err != nil {
		return "", fmt.Errorf("writing the configuration: %w", err)
	}
	return b.String(), nil
}

// quote writes a string as YAML and Bloblang both read it.
func quote(s string) string { return fmt.Sprintf("%q", s) }
