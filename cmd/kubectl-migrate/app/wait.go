// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	watchtools "k8s.io/client-go/tools/watch"
)

func newWaitCommand(h *host) *cobra.Command {
	var timeout time.Duration
	command := &cobra.Command{
		Use:   "wait NAME",
		Short: "Wait until a migration has ended",
		Long: `Wait until a migration has ended, and print how. kubectl wait --for=condition=Ready would wait in vain for one that fails.

` + exitCodes,
		Example:           `  kubectl migrate wait shop --timeout=1h`,
		Args:              names(),
		ValidArgsFunction: h.completeName,
		RunE: func(command *cobra.Command, args []string) error {
			return h.wait(command.Context(), args[0], timeout)
		},
	}
	command.Flags().DurationVar(&timeout, "timeout", 0, "How long to wait. 0 is without end.")
	return command
}

func (h *host) wait(ctx context.Context, name string, timeout time.Duration) error {
	ctx, cancel := watchtools.ContextWithOptionalTimeout(ctx, timeout)
	defer cancel()
	m, err := h.recorded(ctx, name)
	if err != nil {
		return err
	}
	var problems problems
	ended, err := h.awaitEnd(ctx, m, func(s state) error {
		problems.show(h.ErrOut, s)
		return nil
	})
	if err != nil {
		return err
	}
	h.print(h.style().Tree(ended, time.Now()))
	return ofPhase(ended.Status.Phase)
}
