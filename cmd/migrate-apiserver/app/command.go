// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/term"

	"kurator.dev/migrate-apiserver/cmd/migrate-apiserver/app/options"
)

// NewCommand returns the command, which runs the server until its context ends.
func NewCommand() (*cobra.Command, error) {
	o, err := options.New()
	if err != nil {
		return nil, err
	}
	command := &cobra.Command{
		Use:   "migrate-apiserver",
		Short: "Serve Migrates and run them with Velero",
		Long: `migrate-apiserver is an aggregated API server for the host cluster of a Kurator
fleet. It serves migrates.backup.kurator.dev: for each Migrate, Velero backs up
resources in one member cluster and restores them in others.

Migrates are stored in an embedded etcd (--data-dir), or in an external etcd
(--etcd-servers) that any number of replicas can share.`,
		Version:      version(),
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := setUpLogging(o.Logs); err != nil {
				return err
			}
			if err := o.ServerRun.ComponentGlobalsRegistry.Set(); err != nil {
				return err
			}
			cliflag.PrintFlags(command.Flags())
			if err := o.Validate(); err != nil {
				return err
			}
			if err := Run(command.Context(), o); err != nil {
				return &serverError{err}
			}
			return nil
		},
	}
	command.AddCommand(newSubcommands(o)...)
	sets := o.Flags()
	for _, set := range sets.FlagSets {
		command.Flags().AddFlagSet(set)
	}
	width, _, _ := term.TerminalSize(os.Stdout)
	cliflag.SetUsageAndHelpFunc(command, sets, width)
	return command, nil
}

// newSubcommands returns the subcommands, with the usage of cobra: that of the server has the flags of the server, in sections.
func newSubcommands(o *options.Options) []*cobra.Command {
	subcommands := []*cobra.Command{newEtcdCommand(o.EmbeddedEtcd.DataDir), newImportCommand(o), newExportCommand(o), newDoctorCommand()}
	plain := &cobra.Command{}
	for _, c := range subcommands {
		c.SetUsageFunc(plain.UsageFunc())
		c.SetHelpFunc(plain.HelpFunc())
	}
	return subcommands
}

// version returns the version of the module, which the go command records in the binary.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown)"
}
