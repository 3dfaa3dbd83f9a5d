// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	watchtools "k8s.io/client-go/tools/watch"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// createOptions are those of kubectl migrate create.
type createOptions struct {
	*host
	spec    specFlags
	print   *genericclioptions.PrintFlags
	dryRun  string
	wait    bool
	timeout time.Duration
}

func newCreateCommand(h *host) *cobra.Command {
	o := &createOptions{host: h, print: newPrintFlags("created")}
	command := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a Migrate, which begins the migration",
		Long: `Create a Migrate, which begins the migration.

With --wait, its progress is shown until it has ended. Interrupting the command does not interrupt the migration.

` + exitCodes,
		Example: `  # Migrate a namespace with its volumes to all other clusters of the fleet, and wait
  kubectl migrate create shop --from=member1 --include-namespaces=shop --volumes=FileSystemBackup --wait

  # Write a manifest
  kubectl migrate create web --from=member1 --to=member2,member3 -l app=web --dry-run=client -o yaml`,
		Args: names(),
		RunE: func(command *cobra.Command, args []string) error { return o.run(command.Context(), args[0]) },
	}
	o.spec.add(h, command)
	o.print.AddFlags(command)
	command.Flags().StringVar(&o.dryRun, "dry-run", "none", `Must be "none", "server" or "client". With client, nothing is sent; with server, the Migrate is checked and not stored.`)
	command.Flags().Lookup("dry-run").NoOptDefVal = "client"
	command.Flags().BoolVar(&o.wait, "wait", false, "Show the progress until the migration has ended.")
	command.Flags().DurationVar(&o.timeout, "timeout", 0, "How long to wait with --wait. 0 is without end.")
	return command
}

func (o *createOptions) run(ctx context.Context, name string) error {
	options := metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict, FieldManager: "kubectl-migrate"}
	if err := checkDryRun(o.dryRun, "none", "server", "client"); err != nil {
		return err
	}
	if o.dryRun == "server" {
		options.DryRun = []string{metav1.DryRunAll}
	}
	if o.dryRun != "none" {
		if err := o.print.Complete("%s (" + o.dryRun + " dry run)"); err != nil {
			return err
		}
	}
	printer, err := o.print.ToPrinter()
	if err != nil {
		return err
	}
	namespace, err := o.namespace()
	if err != nil {
		return err
	}
	spec, err := o.spec.spec(ctx, o.host)
	if err != nil {
		return err
	}
	m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, Spec: *spec}
	if o.dryRun == "client" {
		return printer.PrintObj(m, o.Out)
	}
	client, err := o.migrates()
	if err != nil {
		return err
	}
	created, err := client.Create(ctx, m, options)
	if err != nil {
		return err
	}
	if err := printer.PrintObj(created, o.Out); err != nil || !o.wait || o.dryRun != "none" {
		return err
	}
	ctx, cancel := watchtools.ContextWithOptionalTimeout(ctx, o.timeout)
	defer cancel()
	follower := *o.host
	if asked(o.print) {
		follower.Out = o.ErrOut // so that the output is the object alone
	}
	return follower.follow(ctx, created)
}
