package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A run, as `go test -json` tells it.
const told = `{"Action":"start","Package":"github.com/capture-worker/capture-worker/a"}
{"Action":"output","Package":"github.com/capture-worker/capture-worker/a","Test":"TestBad","Output":"    a_test.go:7: what went wrong\n"}
{"Action":"fail","Package":"github.com/capture-worker/capture-worker/a","Test":"TestBad","Elapsed":0.1}
{"Action":"output","Package":"github.com/capture-worker/capture-worker/a","Test":"TestGood","Output":"    a_test.go:9: not printed\n"}
{"Action":"pass","Package":"github.com/capture-worker/capture-worker/a","Test":"TestGood","Elapsed":0.1}
{"Action":"output","Package":"github.com/capture-worker/capture-worker/a","Test":"TestLeft","Output":"    a_test.go:11: left out: php is not installed (apt-get install php-cli)\n"}
{"Action":"skip","Package":"github.com/capture-worker/capture-worker/a","Test":"TestLeft","Elapsed":0}
{"Action":"fail","Package":"github.com/capture-worker/capture-worker/a","Elapsed":0.2}
{"ImportPath":"b","Action":"build-output","Output":"b.go:1: syntax error\n"}
{"Action":"output","Package":"b","Output":"FAIL\tb [build failed]\n"}
{"Action":"fail","Package":"b","Elapsed":0,"FailedBuild":"b"}
{"Action":"output","Package":"c","Output":"ok  \tc\t(cached)\n"}
{"Action":"pass","Package":"c","Elapsed":0}
no JSON
`

func TestARunIsTold(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	all := newTally(&out)
	for range 2 {
		all.begin()
		all.read(strings.NewReader(told))
	}
	all.conclude(2)
	for text, times := range map[string]int{
		"what went wrong": 2, "not printed": 0, "b.go:1: syntax error": 2, "no JSON": 2, "(cached)": 2, "Left out on this machine": 1,
		"  php is not installed (apt-get install php-cli): a TestLeft\n": 1,
		"failed in 2 of 2 runs: a TestBad\n":                             1, "failed in 2 of 2 runs: b\n": 1,
		"\n2 passed, 4 failed, 2 skipped\n": 1,
	} {
		if n := strings.Count(out.String(), text); n != times {
			t.Errorf("%q is there %d times, want %d", text, n, times)
		}
	}
	if !all.bad {
		t.Error("it counts as good")
	}
	if t.Failed() {
		t.Logf("\n%s", out.String())
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-times", "3", "-dir", "bench", "-race", "-times", "./..."})
	if err != nil || o.times != 3 || o.dir != "bench" || len(o.args) != 3 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, wrong := range [][]string{nil, {"-times", "0", "./..."}, {"-times", "x", "./..."}, {"-times", "2"}} {
		var out bytes.Buffer
		if code := run(t.Context(), wrong, &out, &out); code != 2 || out.Len() == 0 {
			t.Errorf("%v: exit code %d: %s", wrong, code, out.String())
		}
	}
}

// A module of two tests, run for real.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module m\n\ngo 1.26\n",
		"m_test.go": "package m\n\nimport \"testing\"\n\nfunc TestGood(t *testing.T) {}\n\nfunc TestBad(t *testing.T) { t.Error(\"bad\") }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for pattern, want := range map[string]int{"Good": 0, "Bad": 1, "(": 1} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"-dir", dir, "-run", pattern, "./..."}, &out, &errs); code != want {
			t.Errorf("-run %s: exit code %d, want %d:\n%s%s", pattern, code, want, out.String(), errs.String())
		}
	}
}
