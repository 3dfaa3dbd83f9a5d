// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"regexp"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// inheritedFlags is the part of the usage of a command with the flags of the commands above it.
var inheritedFlags = regexp.MustCompile(`(?s)\{\{if \.HasAvailableInheritedFlags\}\}.*?\{\{end\}\}`)

// Run runs a command with its arguments, and returns its exit code. It ends early when ctx does.
func Run(ctx context.Context, args []string, streams genericiooptions.IOStreams) int {
	command := newCommand(streams)
	command.SetArgs(args)
	return report(streams.ErrOut, command.ExecuteContext(ctx))
}

func newCommand(streams genericiooptions.IOStreams) *cobra.Command {
	h := newHost(streams)
	command := &cobra.Command{
		Use:   "kubectl-migrate",
		Short: "Migrate applications between the clusters of a fleet",
		Long: `Migrate applications, with their data, between the clusters of a fleet.

A migration is a Migrate in the host cluster of the fleet. These commands plan it, create it, and show what becomes of it.

` + exitCodes,
		Example: `  # What would be moved, and what would hinder it?
  kubectl migrate plan --from=member1 --to=member2 --include-namespaces=shop --volumes=FileSystemBackup

  # Move it, and watch
  kubectl migrate create shop --from=member1 --to=member2 --include-namespaces=shop --volumes=FileSystemBackup --wait

  # What did not arrive?
  kubectl migrate results shop`,
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl migrate"},
		// kubectl completes by kubectl_complete-migrate.
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		SilenceUsage:      true,
		SilenceErrors:     true,
	}
	command.SetIn(streams.In)
	command.SetOut(streams.Out)
	command.SetErr(streams.ErrOut)
	// As in kubectl, the many flags of all commands are not repeated by each of them.
	command.SetUsageTemplate(inheritedFlags.ReplaceAllLiteralString(command.UsageTemplate(), `{{if .HasAvailableInheritedFlags}}

Use "kubectl migrate --help" for the flags of all commands.{{end}}`))
	command.SetFlagErrorFunc(func(command *cobra.Command, err error) error { return helped(command, err.Error()) })
	h.flags.AddFlags(command.PersistentFlags())
	h.completeFlags(command)
	command.AddCommand(
		newPlanCommand(h), newCreateCommand(h), newListCommand(h), newStatusCommand(h), newWaitCommand(h),
		newLogCommand(h), newResultsCommand(h), newCancelCommand(h), newRetryCommand(h),
	)
	return command
}

// names returns a check that a command has the name of a Migrate as its argument, and at most those others behind it.
func names(others ...string) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return helped(command, "the NAME of a Migrate is required")
		case len(args) > 1+len(others):
			return helped(command, fmt.Sprintf("there is one argument too many: %q", args[1+len(others)]))
		}
		return nil
	}
}

// second returns the second argument, or nothing if there is none.
func second(args []string) string {
	if len(args) < 2 {
		return ""
	}
	return args[1]
}

// helped returns an error of usage.
func helped(command *cobra.Command, message string) error {
	return fmt.Errorf("%s; see %q", message, command.CommandPath()+" --help")
}
