package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/capture-worker/capture-worker/config"
)

// settingMark marks the flags that are settings. The help lists them apart, so
// that the few flags of the command itself are seen.
const settingMark = "setting"

const settingsNote = `
A setting is taken from its flag, else from its environment variable
(--nats-url: CAPTURE_NATS_URL), else from the file, else its default counts.
Secrets have no flag. 'capture-worker config' shows all of them.
`

// addSettings gives cmd the flags of the named sections of the configuration,
// of all sections where none is named.
func addSettings(cmd *cobra.Command, sections ...string) {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.AddFlags(fs, sections...)
	fs.VisitAll(func(f *pflag.Flag) {
		f.Annotations = map[string][]string{settingMark: {"true"}}
		cmd.Flags().AddFlag(f)
	})
	cmd.SetUsageFunc(usageWithSettings)
}

// usageWithSettings is cobra's usage for a command without subcommands, with
// the settings below the other flags.
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
