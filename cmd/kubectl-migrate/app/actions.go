// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kurator.dev/migrate-apiserver/cmd/kubectl-migrate/app/internal/view"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

func newCancelCommand(h *host) *cobra.Command {
	var dryRun string
	command := &cobra.Command{
		Use:   "cancel NAME",
		Short: "Begin nothing new for a migration",
		Long: `Begin nothing new for a migration: no Backup, and no Restore. What Velero has begun goes on to its end, and what was restored stays.

It can't be undone, but a migration that was canceled can be tried again.`,
		Example:           `  kubectl migrate cancel shop`,
		Args:              names(),
		ValidArgsFunction: h.completeName,
		RunE: func(command *cobra.Command, args []string) error {
			return h.act(command.Context(), args[0], "cancel", &v1alpha1.MigrateCancelOptions{}, dryRun)
		},
	}
	addServerDryRun(command, &dryRun)
	return command
}

func newRetryCommand(h *host) *cobra.Command {
	var (
		backup  string
		dryRun  string
		wait    bool
		timeout time.Duration
	)
	command := &cobra.Command{
		Use:   "retry NAME",
		Short: "Try a migration again that has not completed",
		Long: `Try a migration again that has ended and has not completed, in the targets that have not.

` + exitCodes,
		Example: `  # Restore again from the Backup of the last attempt
  kubectl migrate retry shop --wait

  # Back up again first
  kubectl migrate retry shop --backup=New`,
		Args:              names(),
		ValidArgsFunction: h.completeName,
		RunE: func(command *cobra.Command, args []string) error {
			options := &v1alpha1.MigrateRetryOptions{Backup: v1alpha1.RetryBackup(backup)}
			if err := h.act(command.Context(), args[0], "retry", options, dryRun); err != nil || !wait || dryRun != "none" {
				return err
			}
			return h.followName(command.Context(), args[0], timeout)
		},
	}
	flags := command.Flags()
	flags.StringVar(&backup, "backup", string(v1alpha1.RetryBackupExisting), "Backup to restore from: Existing is that of the last attempt, New is one that is created now.")
	flags.BoolVar(&wait, "wait", false, "Show the progress until the migration has ended.")
	flags.DurationVar(&timeout, "timeout", 0, "How long to wait with --wait. 0 is without end.")
	addServerDryRun(command, &dryRun)
	h.completeFrom(command, "backup", string(v1alpha1.RetryBackupExisting), string(v1alpha1.RetryBackupNew))
	return command
}

func addServerDryRun(command *cobra.Command, dryRun *string) {
	command.Flags().StringVar(dryRun, "dry-run", "none", `Must be "none" or "server". With server, the request is checked and nothing is changed.`)
	command.Flags().Lookup("dry-run").NoOptDefVal = "server"
}

// checkDryRun checks the value of --dry-run.
func checkDryRun(dryRun string, allowed ...string) error {
	if !slices.Contains(allowed, dryRun) {
		return fmt.Errorf("--dry-run must be one of %s, not %q", strings.Join(allowed, ", "), dryRun)
	}
	return nil
}

// act creates a subresource of a Migrate, and prints what the server says of it.
func (h *host) act(ctx context.Context, name, subresource string, options runtime.Object, dryRun string) error {
	if err := checkDryRun(dryRun, "none", "server"); err != nil {
		return err
	}
	request, err := h.subresource(post, name, subresource)
	if err != nil {
		return err
	}
	if dryRun == "server" {
		request = request.Param("dryRun", metav1.DryRunAll)
	}
	answer := &metav1.Status{}
	if err := request.Body(options).Do(ctx).Into(answer); err != nil {
		return err
	}
	fmt.Fprintln(h.Out, view.Style{}.Clean(answer.Message))
	return nil
}
