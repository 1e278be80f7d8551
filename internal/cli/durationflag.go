package cli

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/capture-worker/capture-worker/config"
)

// durationFlag takes a duration as the settings do, days included.
type durationFlag time.Duration

// addDuration adds a flag for a length of time.
func addDuration(fs *pflag.FlagSet, to *time.Duration, name string, value time.Duration, usage string) {
	*to = value
	fs.Var((*durationFlag)(to), name, usage)
}

// String implements pflag.Value. The help shows every default but "".
func (d *durationFlag) String() string {
	if *d == 0 {
		return ""
	}
	return config.FormatDuration(time.Duration(*d))
}

// Set implements pflag.Value.
func (d *durationFlag) Set(s string) error {
	parsed, err := config.ParseDuration(s)
	*d = durationFlag(parsed)
	return err
}

// Type implements pflag.Value.
func (d *durationFlag) Type() string { return "duration" }
