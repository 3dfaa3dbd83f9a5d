// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	client, err := h.migrates()
	if err != nil {
		return err
	}
	m, err := client.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	ended, err := h.awaitEnd(ctx, m, timeout, func(state) error { return nil })
	if err != nil {
		return err
	}
	h.print(h.style().Tree(ended, time.Now()))
	return ofPhase(ended.Status.Phase)
}
