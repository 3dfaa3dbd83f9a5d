// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned/scheme"
)

// resultsOptions are those of kubectl migrate results.
type resultsOptions struct {
	*host
	print   *genericclioptions.PrintFlags
	options v1alpha1.MigrateResultsOptions
}

func newResultsCommand(h *host) *cobra.Command {
	o := &resultsOptions{host: h, print: newPrintFlags("read")}
	command := &cobra.Command{
		Use:   "results NAME [CLUSTER]",
		Short: "Show what did not arrive in the targets, and why",
		Long: `Show what did not arrive in the targets as it is in the source, and why, as Velero's own lists in the storage say it.

What has the same reason is grouped. With -o json or -o yaml, every item and volume is printed.`,
		Example: `  kubectl migrate results shop
  kubectl migrate results shop member2 --outcome=Failed`,
		Args:              names("CLUSTER"),
		ValidArgsFunction: h.completeNameAndCluster,
		RunE: func(command *cobra.Command, args []string) error {
			o.options.Cluster = second(args)
			return o.run(command.Context(), args[0])
		},
	}
	o.print.AddFlags(command)
	command.Flags().StringVar(&o.options.Outcome, "outcome", "", "Only items and volumes with this outcome, such as Failed. Without it, those that did not arrive.")
	h.completeFrom(command, "outcome", "BackedUp", "Created", "Updated", "Unchanged", "Moved", "Kept", "Failed", "LeftOut", "WithoutData")
	return command
}

func (o *resultsOptions) run(ctx context.Context, name string) error {
	request, err := o.subresource(get, name, "results")
	if err != nil {
		return err
	}
	results := &v1alpha1.MigrateResults{}
	if err := request.VersionedParams(&o.options, scheme.ParameterCodec).Do(ctx).Into(results); err != nil {
		return err
	}
	if !asked(o.print) {
		o.host.print(o.style().Results(results, v1alpha1.ItemOutcome(o.options.Outcome)))
		return nil
	}
	printer, err := o.print.ToPrinter()
	if err != nil {
		return err
	}
	return printer.PrintObj(results, o.Out)
}
