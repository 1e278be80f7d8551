// Command mutants tests the simulation: it puts bugs into production code, one at a
// time, in a copy that only the compiler sees, and runs the simulation until a rule
// breaks. Each bug must be found.
//
//	mutants              all of them
//	mutants -only lease  those whose name holds a word
//	mutants -quick       without the rare ones, which take thousands of seeds
//
// Exit codes: 0 each was found, 1 one was not, 2 wrong usage.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(errs)
	seeds := flags.Int("seeds", 100000, "the number of seeds within which a bug must be found")
	quick := flags.Bool("quick", false, "leave out the bugs that take thousands of seeds")
	only := flags.String("only", "", "run only the bugs whose name holds this")
	if flags.Parse(args) != nil || flags.NArg() > 0 {
		return 2
	}
	root, err := repository(ctx)
	if err != nil {
		fmt.Fprintln(errs, err)
		return 1
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "the bug\tfound by seed\tbroken rule\tit took\n")
	failed := 0
	list := mutations
	if !*quick {
		list = slices.Concat(mutations, rare)
	}
	for _, m := range list {
		if !strings.Contains(m.name, *only) {
			continue
		}
		began := time.Now()
		seed, rule, err := hunt(ctx, root, m, *seeds)
		if err != nil {
			failed++
			fmt.Fprintf(table, "%s\tNOT FOUND\t%v\n", m.name, err)
			continue
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", m.name, seed, rule, time.Since(began).Round(100*time.Millisecond))
		fmt.Fprintf(errs, "%s: seed %d, %s\n", m.name, seed, rule)
	}
	table.Flush()
	if failed > 0 {
		return 1
	}
	return 0
}

// repository returns the module's root.
func repository(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// hunt builds the simulation with the bug and runs it.
func hunt(ctx context.Context, root string, m mutation, seeds int) (seed int, rule string, err error) {
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return 0, "", err
	}
	defer os.RemoveAll(dir)
	overlay, err := m.write(root, dir)
	if err != nil {
		return 0, "", err
	}
	bin := filepath.Join(dir, "simulate")
	build := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", bin, "./sim/simulate")
	build.Dir = root
	if text, err := build.CombinedOutput(); err != nil {
		return 0, "", fmt.Errorf("building it: %w\n%s", err, text)
	}
	return simulate(ctx, bin, seeds)
}

// huntBound limits the run of a mutant that neither ends nor breaks a rule.
const huntBound = 15 * time.Minute

var verdict = regexp.MustCompile(`(?m)^seed (\d+): rule (.+?) at `)

func simulate(ctx context.Context, bin string, seeds int) (seed int, rule string, err error) {
	ctx, cancel := context.WithTimeout(ctx, huntBound)
	defer cancel()
	text, err := exec.CommandContext(ctx, bin, "-quiet", "-seeds", strconv.Itoa(seeds)).CombinedOutput()
	found := verdict.FindSubmatch(text)
	switch {
	case err == nil:
		return 0, "", fmt.Errorf("%d seeds broke no rule", seeds)
	case found == nil:
		return 0, "", fmt.Errorf("the simulation failed with an error of its own: %w\n%s", err, text)
	}
	seed, err = strconv.Atoi(string(found[1]))
	return seed, string(found[2]), err
}

var errText = errors.New("the text to change is not in the file exactly once: the code has changed, update sim/mutants/list.go")

// write puts the changed file and the compiler's overlay into dir.
func (m mutation) write(root, dir string) (overlay string, err error) {
	path := filepath.Join(root, m.file)
	source, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if strings.Count(string(source), m.old) != 1 {
		return "", fmt.Errorf("%s: %w", m.file, errText)
	}
	changed := filepath.Join(dir, "mutant.go")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(source), m.old, m.new, 1)), 0o600); err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o600)
}
