package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/jobfile"
)

var errDeclined = errors.New("nothing was done: the question was not answered with yes")

// confirm asks for confirmation at a terminal if sums are above publish.ask_above.
// Scripts are not asked.
func (p *publishing) confirm(path string, found *jobfile.Found) error {
	above, err := sumsAbove("publish.ask_above", p.c.Publish.AskAbove, &found.Sums)
	if err != nil || len(above) == 0 || p.yes || path == "-" || !stdinIsTerminal(p.cmd.InOrStdin()) {
		return err
	}
	return ask(p.cmd.InOrStdin(), p.cmd.ErrOrStderr(), fmt.Sprintf("%s of %s: %s. Send them? (yes/no) ",
		counted(found.Good, "capture"), &found.Sums, strings.Join(above, ", ")))
}

// sumsAbove lists the limits, those of a setting, that the sums are above.
func sumsAbove(key string, limits map[string]string, sums *jobfile.Sums) (above []string, err error) {
	for _, code := range slices.Sorted(maps.Keys(limits)) {
		limit, err := capture.ParseAmount(limits[code], strings.ToUpper(code)) // viper returns names in lower case
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if sums.Above(limit) {
			above = append(above, "more than "+limit.String())
		}
	}
	return above, nil
}

func stdinIsTerminal(in io.Reader) bool {
	f, ok := in.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// ask returns an error unless the answer is "yes"; pressing return alone sends
// nothing.
func ask(in io.Reader, out io.Writer, question string) error {
	fmt.Fprint(out, question)
	answer, err := bufio.NewReader(io.LimitReader(in, 64)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if strings.TrimSpace(answer) != "yes" {
		return errDeclined
	}
	return nil
}
