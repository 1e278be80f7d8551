package archive_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/capture-worker/capture-worker/internal/archive"
	"github.com/capture-worker/capture-worker/ledger"
)

// forged is an archive of three files that is tampered with.
type forged struct {
	t    *testing.T
	dir  string
	head string
}

func (f forged) path(suffix string, i int) string { return files(f.t, f.dir, suffix)[i] }

func (f forged) read(path string) []byte {
	b, err := os.ReadFile(path)
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

func (f forged) write(path string, b []byte) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f forged) remove(path string) {
	if err := os.Remove(path); err != nil {
		f.t.Fatal(err)
	}
}

// lines changes the lines of a file, and if seal is set the manifest with it.
func (f forged) lines(i int, seal bool, change func([]string) []string) {
	path := f.path(".zst", i)
	unzip, err := zstd.NewReader(bytes.NewReader(f.read(path)))
	if err != nil {
		f.t.Fatal(err)
	}
	defer unzip.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(unzip); err != nil {
		f.t.Fatal(err)
	}
	list := change(strings.Split(strings.TrimSpace(text.String()), "\n"))
	zip, err := zstd.NewWriter(nil)
	if err != nil {
		f.t.Fatal(err)
	}
	defer zip.Close()
	b := zip.EncodeAll([]byte(strings.Join(list, "\n")+"\n"), nil)
	f.write(path, b)
	if seal {
		sum := sha256.Sum256(b)
		f.manifest(i, func(m map[string]any) { m["sha256"], m["size"] = hex.EncodeToString(sum[:]), len(b) })
	}
}

func (f forged) manifest(i int, change func(map[string]any)) {
	path := f.path(".manifest.json", i)
	var m map[string]any
	if err := json.Unmarshal(f.read(path), &m); err != nil {
		f.t.Fatal(err)
	}
	change(m)
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		f.t.Fatal(err)
	}
	f.write(path, append(b, '\n'))
}

// tampering is one kind of it; of says to which of the three files it is done.
type tampering struct {
	name string
	of   []int
	do   func(forged, int)
	want []archive.Fault // one of them is named
}

var (
	every     = []int{0, 1, 2}
	notLast   = []int{0, 1}
	notFirst  = []int{1, 2}
	fileFault = []archive.Fault{archive.FaultFile}
	chain     = []archive.Fault{archive.FaultChain, archive.FaultHead, archive.FaultManifest, archive.FaultBeginning}
)

func set(member string, value any) func(forged, int) {
	return func(f forged, i int) { f.manifest(i, func(m map[string]any) { m[member] = value }) }
}

func tamperings() []tampering {
	flip := func(at func(n int) int) func(forged, int) {
		return func(f forged, i int) {
			path := f.path(".zst", i)
			b := f.read(path)
			b[at(len(b))] ^= 1
			f.write(path, b)
		}
	}
	list := []tampering{
		{"a bit at the start of a file", every, flip(func(int) int { return 0 }), fileFault},
		{"a bit in the middle", every, flip(func(n int) int { return n / 2 }), fileFault},
		{"a bit at the end", every, flip(func(n int) int { return n - 1 }), fileFault},
		{"a file cut short", every, func(f forged, i int) { p := f.path(".zst", i); b := f.read(p); f.write(p, b[:len(b)-3]) }, fileFault},
		{"a file emptied", every, func(f forged, i int) { f.write(f.path(".zst", i), nil) }, fileFault},
		{"bytes after a file", every, func(f forged, i int) { p := f.path(".zst", i); f.write(p, append(f.read(p), 0)) }, fileFault},
		{"a file removed", every, func(f forged, i int) { f.remove(f.path(".zst", i)) }, []archive.Fault{archive.FaultMissing}},
		{"another day's file", every, func(f forged, i int) { f.write(f.path(".zst", i), f.read(f.path(".zst", (i+1)%3))) }, fileFault},
		{"a manifest removed", every, func(f forged, i int) { f.remove(f.path(".manifest.json", i)) }, chain},
		{"a manifest emptied", every, func(f forged, i int) { f.write(f.path(".manifest.json", i), nil) }, []archive.Fault{archive.FaultManifest}},
		{"a space in a manifest", every, func(f forged, i int) { p := f.path(".manifest.json", i); f.write(p, append(f.read(p), ' ')) }, chain},
		{"a manifest doubled", every, func(f forged, i int) {
			p := f.path(".manifest.json", i)
			f.write(strings.Replace(p, "-0", "-1", 1)+"", f.read(p))
			f.write(filepath.Join(filepath.Dir(p), "9"+filepath.Base(p)), f.read(p))
		}, chain},
		{"a day removed", notLast, func(f forged, i int) { f.remove(f.path(".zst", i)); f.remove(f.path(".manifest.json", i)) }, chain},
		{"the last day removed", []int{2}, func(f forged, i int) { f.remove(f.path(".zst", i)); f.remove(f.path(".manifest.json", i)) }, []archive.Fault{archive.FaultHead}},
		{"an unknown member", every, set("more", 1), []archive.Fault{archive.FaultManifest}},
		{"another format", every, set("format", 2), []archive.Fault{archive.FaultManifest}},
		{"another previous name", notFirst, set("previous", "none"), chain},
	}
	for member, value := range map[string]any{
		"day": "2020-01-01", "events": 7, "trades": 7, "first": 77, "last": 77, "after": 77, "lost": 1, "absent": 1, "unreadable": 1, "previous_sha256": "00",
		"captured": map[string]string{"EUR": "9999.00"}, "types": map[string]int{"captured": 9}, "ledger_created": "2020-01-01T00:00:00Z", "ledger": "OTHER", "size": 1,
	} {
		list = append(list, tampering{"manifest: another " + member, every, set(member, value), nil})
	}
	return append(list, lineTamperings()...)
}

// lineTamperings are done to the events; those that are sealed change the manifest
// with the file, as one does who knows the form.
func lineTamperings() []tampering {
	var list []tampering
	for name, change := range map[string]func([]string) []string{
		"an event removed":   func(l []string) []string { return l[:len(l)-1] },
		"an event doubled":   func(l []string) []string { return append(l, l[len(l)-1]) },
		"events reordered":   func(l []string) []string { l[0], l[1] = l[1], l[0]; return l },
		"an amount changed":  func(l []string) []string { l[1] = strings.Replace(l[1], "1.00", "9.00", 1); return l },
		"an event invented":  func(l []string) []string { return append(l, strings.Replace(l[1], `"seq":`, `"seq":9`, 1)) },
		"a trade renamed":    func(l []string) []string { l[0] = strings.ReplaceAll(l[0], "T1", "T9"); return append(l[:1], l[1:]...) },
		"a line of no event": func(l []string) []string { return append(l, "{}") },
		"a line of no JSON":  func(l []string) []string { return append(l, "x") },
	} {
		for _, seal := range []bool{false, true} {
			kind := name
			if seal {
				kind += ", sealed"
			}
			list = append(list, tampering{kind, every, func(f forged, i int) { f.lines(i, seal, change) }, nil})
		}
	}
	return list
}

// Every kind of tampering with an archive, done to each of its days, is found and
// named.
func TestTamperingIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	source := t.TempDir()
	target := open(t, source, nil)
	var head string
	for range 3 {
		w.capture(t, "T1"+head[:min(len(head), 4)], "1.00", "EUR")
		r, err := w.archiver(target, 2).Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		head = r.Mark.Head
	}
	kinds := 0
	for _, kind := range tamperings() {
		for _, i := range kind.of {
			f := forged{t, t.TempDir(), head}
			if err := os.CopyFS(f.dir, os.DirFS(source)); err != nil {
				t.Fatal(err)
			}
			kind.do(f, i)
			kinds++
			found, err := archive.Verifier{Target: open(t, f.dir, nil), Ledger: ledger.DefaultStream, Head: head}.Verify(t.Context())
			if err != nil {
				t.Errorf("%s, file %d: %v", kind.name, i, err)
				continue
			}
			named := slices.ContainsFunc(found.Problems, func(p archive.Problem) bool { return slices.Contains(kind.want, p.Fault) })
			if len(found.Problems) == 0 || kind.want != nil && !named {
				t.Errorf("%s, file %d: found %+v, want one of %v", kind.name, i, found.Problems, kind.want)
			}
		}
	}
	if kinds < 100 {
		t.Errorf("only %d", kinds)
	}
	untouched, err := archive.Verifier{Target: target, Ledger: ledger.DefaultStream, Head: head, Against: w.js}.Verify(t.Context())
	if err != nil || len(untouched.Problems) != 0 || untouched.Compared != 6 {
		t.Errorf("untouched: %+v, %v", untouched, err)
	}
}

// A chain that is forged as a whole is found by the ledger, as far as that reaches.
func TestAForgedChainDiffersFromTheLedger(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.capture(t, "T1", "1.00", "EUR")
	dir := t.TempDir()
	if _, err := w.archiver(open(t, dir, nil), 2).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := forged{t: t, dir: dir}
	f.lines(0, true, func(l []string) []string { l[0] = strings.Replace(l[0], "reqT1", "reqT2", 1); return l })
	v := archive.Verifier{Target: open(t, dir, nil), Ledger: ledger.DefaultStream}
	if found, err := v.Verify(t.Context()); err != nil || len(found.Problems) != 0 {
		t.Errorf("without the ledger nothing shows it: %+v, %v", found, err)
	}
	v.Against = w.js
	if found, err := v.Verify(t.Context()); err != nil || len(found.Problems) != 1 || found.Problems[0].Fault != archive.FaultEvent {
		t.Errorf("%+v, %v", found, err)
	}
}
