// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/printers"

	"kurator.dev/migrate-apiserver/cmd/kubectl-migrate/app/internal/view"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned/scheme"
)

func newLogCommand(h *host) *cobra.Command {
	options := &v1alpha1.MigrateLogOptions{}
	command := &cobra.Command{
		Use:   "log NAME [CLUSTER]",
		Short: "Print the log that Velero wrote of the Backup or a Restore",
		Long: `Print the log that Velero wrote of the Backup or a Restore. Velero uploads it when the Backup or the Restore has ended.

Without CLUSTER and --stage it is that of the Backup; with --stage=restore, that of the only target.`,
		Example: `  kubectl migrate log shop
  kubectl migrate log shop member2`,
		Args:              names("CLUSTER"),
		ValidArgsFunction: h.completeNameAndCluster,
		RunE: func(command *cobra.Command, args []string) error {
			options.Cluster = second(args)
			return h.log(command.Context(), args[0], options)
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.Stage, "stage", "", "backup or restore. Without it, that of the cluster.")
	flags.BoolVarP(&options.Follow, "follow", "f", false, "Wait for a log that Velero has not uploaded yet.")
	h.completeFrom(command, "stage", v1alpha1.MigrateStageBackup, v1alpha1.MigrateStageRestore)
	return command
}

func (h *host) log(ctx context.Context, name string, options *v1alpha1.MigrateLogOptions) error {
	request, err := h.subresource(get, name, "log")
	if err != nil {
		return err
	}
	stream, err := request.VersionedParams(options, scheme.ParameterCodec).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	if !printers.IsTerminal(h.Out) {
		_, err = io.Copy(h.Out, stream)
		return errors.Join(err, ctx.Err())
	}
	out := view.Escaping(h.Out)
	_, err = io.Copy(out, stream)
	return errors.Join(err, out.Close(), ctx.Err())
}
