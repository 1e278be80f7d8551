package cli

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/jobfile"
)

// approval is the second operator of an act that moves money.
type approval struct{ by string }

func (p *approval) add(fs *pflag.FlagSet) {
	fs.StringVar(&p.by, "approved-by", "", "second operator, whose `name` sums above approval.above need; other than --by")
}

// check validates the name. by is the operator who acts.
func (p *approval) check(by string) error {
	if p.by == "" {
		return nil
	}
	if strings.EqualFold(strings.TrimSpace(p.by), strings.TrimSpace(by)) || strings.TrimSpace(p.by) == "" {
		return usageError("--approved-by is %q: must name another operator than --by (%s)", p.by, by)
	}
	return checkNote("--approved-by", p.by)
}

// missing returns what has to be approved and is not, "" if nothing. what names the
// sums.
func (p *approval) missing(c config.Config, what string, sums *jobfile.Sums) (string, error) {
	above, err := sumsAbove("approval.above", c.Approval.Above, sums)
	if err != nil || len(above) == 0 || p.by != "" {
		return "", err
	}
	return what + ": " + strings.Join(above, ", ") + " (approval.above) needs a second operator: --approved-by", nil
}
