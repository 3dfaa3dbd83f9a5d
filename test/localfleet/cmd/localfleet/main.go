// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Command localfleet starts and removes a local fleet, and shows a migration on one.
// `make up`, `make down` and `make demo` run it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		stop()
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	command := &cobra.Command{
		Use:           "localfleet",
		Short:         "A Kurator fleet with real Veleros on this machine",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	command.AddCommand(newUpCommand(), newDownCommand(), newDemoCommand(), newNodeCommand())
	return command
}
