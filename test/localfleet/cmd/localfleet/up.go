// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// flags are shared by all subcommands that may start a fleet.
type flags struct {
	dir, bin, kubernetes, velero, server string
	members                              int
	nodes                                bool
}

func (f *flags) add(to *pflag.FlagSet) {
	to.StringVar(&f.dir, "dir", "_output/fleet", "directory of all files of the fleet")
	to.StringVar(&f.bin, "bin", "_output/bin", "directory of the programs that `make tools` builds")
	to.StringVar(&f.velero, "velero", "", "directory of velero, in all members; empty means the value of --bin")
	to.StringVar(&f.kubernetes, "kubernetes", "", "directory of kube-apiserver and kube-controller-manager; empty means the value of --bin")
	to.StringVar(&f.server, "server", "_output/bin/migrate-apiserver", "path of migrate-apiserver; empty starts no server")
	to.IntVar(&f.members, "members", 2, "number of member clusters")
	to.BoolVar(&f.nodes, "nodes", false, "give each member a real node; needs Linux, root and runc")
}

func (f *flags) up(ctx context.Context, progress io.Writer) (*localfleet.Fleet, error) {
	return localfleet.Up(ctx, localfleet.Options{
		Dir:           f.dir,
		BinDir:        f.bin,
		KubernetesDir: f.kubernetes,
		Veleros:       veleros(f.velero),
		Members:       f.members,
		Nodes:         f.nodes,
		Server:        f.server,
		Progress:      progress,
	})
}

func newUpCommand() *cobra.Command {
	var f flags
	command := &cobra.Command{
		Use:   "up",
		Short: "Start the fleet, or those of its processes that don't run",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			out := command.OutOrStdout()
			fleet, err := f.up(command.Context(), out)
			if err != nil {
				return err
			}
			printGuide(out, fleet)
			return nil
		},
	}
	f.add(command.Flags())
	return command
}

func printGuide(out io.Writer, fleet *localfleet.Fleet) {
	fmt.Fprintf(out, "\nThe fleet is in %s. To look around:\n\n", fleet.Dir())
	fmt.Fprintf(out, "  export KUBECONFIG=%s\n  %s get fleets,attachedclusters\n\n", fleet.HostKubeconfig(), fleet.KubectlPath())
	fmt.Fprintln(out, "Members:")
	for n := 1; n <= fleet.Members(); n++ {
		fmt.Fprintf(out, "  %s\n", fleet.MemberKubeconfig(n))
	}
}

func newDownCommand() *cobra.Command {
	var dir string
	command := &cobra.Command{
		Use:   "down",
		Short: "Kill every process of the fleet and remove its directory",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			fleet, err := localfleet.Load(dir)
			if errors.Is(err, fs.ErrNotExist) {
				fmt.Fprintln(command.OutOrStdout(), "There is no fleet to remove.")
				return nil
			}
			if err != nil {
				return err
			}
			if err := fleet.Down(command.Context()); err != nil {
				return err
			}
			fmt.Fprintln(command.OutOrStdout(), "The fleet has been removed.")
			return nil
		},
	}
	command.Flags().StringVar(&dir, "dir", "_output/fleet", "directory of all files of the fleet")
	return command
}

func veleros(dir string) []string {
	if dir == "" {
		return nil
	}
	return []string{dir}
}
