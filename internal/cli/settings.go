package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/capture-worker/capture-worker/config"
)

// settingMark marks the flags that are settings. The help lists them after the
// flags of the command.
const settingMark = "setting"

const settingsNote = `
A setting comes from its flag, its environment variable (--nats-url:
CAPTURE_NATS_URL), the file or its default, in this order. Secrets have no flag.
'capture-worker config' shows all settings.
`

// addSettings adds the flags of the named sections of the configuration to cmd, or
// of all sections if none is named.
func addSettings(cmd *cobra.Command, sections ...string) {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.AddFlags(fs, sections...)
	fs.VisitAll(func(f *pflag.Flag) {
		f.Annotations = map[string][]string{settingMark: {"true"}}
		cmd.Flags().AddFlag(f)
	})
	cmd.SetUsageFunc(usageWithSettings)
}

// usageWithSettings prints cobra's usage of a command without subcommands, with the
// settings after the other flags.
func usageWithSettings(cmd *cobra.Command) error {
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	settings := pflag.NewFlagSet("", pflag.ContinueOnError)
	own.SortFlags, settings.SortFlags = false, false
	cmd.InheritedFlags().VisitAll(own.AddFlag)
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Annotations[settingMark] != nil {
			settings.AddFlag(f)
		} else {
			own.AddFlag(f)
		}
	})
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n  %s\n", cmd.UseLine())
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	fmt.Fprintf(&b, "\nFlags:\n%s", own.FlagUsages())
	fmt.Fprintf(&b, "\nSettings:\n%s%s", settings.FlagUsages(), settingsNote)
	_, err := cmd.OutOrStderr().Write([]byte(b.String()))
	return err
}

// durationFlag parses a duration as the settings do, with days.
type durationFlag time.Duration

// addDuration adds a flag for a duration.
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
