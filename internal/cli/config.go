package cli

import (
	"errors"
	"fmt"
	"io"

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
	cmd.AddCommand(newConfigLintCmd(a), newConfigFileCmd(a, "schema", "Print a JSON Schema of the configuration file, for editors", config.WriteSchema),
		newConfigFileCmd(a, "example", "Print a configuration file with every setting, its meaning and its default", config.WriteExample))
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

func newConfigLintCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "lint FILE…",
		Short: "Check configuration files without secrets, as for a build server",
		Long: `config lint checks each file by itself: names, forms, and settings that contradict
each other. It reads neither the environment nor the files of secrets, and connects
to nothing. A setting that another source may give is not reported as missing; check
--config FILE does that on the machine itself.

The exit code is 2 if a file has a problem; all problems of all files are listed.`,
		Example: `  capture-worker config lint capture.yaml`,
		Args:    cobra.MinimumNArgs(1),
		RunE: a.do(func(cmd *cobra.Command, files []string) error {
			var all config.Problems
			for _, file := range files {
				err := config.Lint(file)
				problems, ok := errors.AsType[config.Problems](err)
				switch {
				case err == nil:
					fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", file)
				case ok:
					all = append(all, problems...)
				default:
					return err
				}
			}
			if len(all) > 0 {
				return all
			}
			return nil
		}),
	}
}

func newConfigFileCmd(a *app, name, short string, write func(io.Writer) error) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Args: cobra.NoArgs, Example: "  capture-worker config " + name,
		RunE: a.do(func(cmd *cobra.Command, _ []string) error { return write(cmd.OutOrStdout()) }),
	}
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
