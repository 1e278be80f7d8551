package cli

import (
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/config"
)

func newConfigCmd(a *app) *cobra.Command {
	var output string
	var check bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the configuration in force, and where each value comes from",
		Long: `config prints every setting with its value and where the value comes from: a
flag, an environment variable, the file or the default. Secrets are shown as
[hidden]. What is printed can be used as a configuration file.

It reports settings that contradict each other. With --check it also requires what
run needs to call the gateway.`,
		Example: `  capture-worker config
  capture-worker config -o json --worker-concurrency 8
  capture-worker config --config capture.yaml --check`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVarP(&output, "output", "o", "yaml", "`format`: yaml or json")
	cmd.Flags().BoolVar(&check, "check", false, "also require what run needs")
	addSettings(cmd)
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		c, err := config.Load(config.Options{File: a.configFile, Flags: cmd.Flags()})
		if err != nil {
			return err
		}
		if err := printConfig(cmd, c, output); err != nil {
			return err
		}
		if check {
			return c.Validate(config.NeedGateway, config.NeedNotifyURL)
		}
		return c.Validate()
	})
	return cmd
}

func printConfig(cmd *cobra.Command, c config.Config, format string) error {
	switch format {
	case "yaml":
		return c.WriteYAML(cmd.OutOrStdout())
	case "json":
		return c.WriteJSON(cmd.OutOrStdout())
	}
	return usageError("--output is %q: must be yaml or json", format)
}
