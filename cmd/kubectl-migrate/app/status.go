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
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// statusOptions are those of kubectl migrate status.
type statusOptions struct {
	*host
	print   *genericclioptions.PrintFlags
	watch   bool
	timeout time.Duration
}

func newStatusCommand(h *host) *cobra.Command {
	o := &statusOptions{host: h, print: newPrintFlags("read")}
	command := &cobra.Command{
		Use:   "status NAME",
		Short: "Show how far a migration is in each of its clusters",
		Long: `Show how far a migration is in each of its clusters. The clusters are read now; where one does not answer, what was recorded last is shown, and says so.

With --watch, the recorded status is shown until the migration has ended: with progress bars on a terminal, otherwise a line for each change. Only then does the exit code say how it ended.

` + exitCodes,
		Example: `  kubectl migrate status shop
  kubectl migrate status shop --watch`,
		Args:              names(),
		ValidArgsFunction: h.completeName,
		RunE:              func(command *cobra.Command, args []string) error { return o.run(command.Context(), args[0]) },
	}
	o.print.AddFlags(command)
	command.Flags().BoolVarP(&o.watch, "watch", "w", false, "Show it until the migration has ended.")
	command.Flags().DurationVar(&o.timeout, "timeout", 0, "How long to watch. 0 is without end.")
	command.MarkFlagsMutuallyExclusive("watch", "output")
	return command
}

func (o *statusOptions) run(ctx context.Context, name string) error {
	if o.watch {
		return o.followName(ctx, name, o.timeout)
	}
	m, err := o.live(ctx, name)
	if err != nil {
		return err
	}
	if !asked(o.print) {
		o.host.print(o.style().Tree(m, time.Now()))
		if preview := m.Status.Preview; preview != nil && !migration.IsTerminal(m.Status.Phase) && m.Spec.Suspend != nil && *m.Spec.Suspend {
			o.host.print([]string{"", "Plan:"})
			o.host.print(o.style().Plan(&v1alpha1.MigratePreview{Status: *preview}))
		}
		return nil
	}
	printer, err := o.print.ToPrinter()
	if err != nil {
		return err
	}
	return printer.PrintObj(m, o.Out)
}

// followName follows a Migrate that exists.
func (h *host) followName(ctx context.Context, name string, timeout time.Duration) error {
	ctx, cancel := watchtools.ContextWithOptionalTimeout(ctx, timeout)
	defer cancel()
	m, err := h.recorded(ctx, name)
	if err != nil {
		return err
	}
	return h.follow(ctx, m)
}

// recorded returns a Migrate as it is stored.
func (h *host) recorded(ctx context.Context, name string) (*v1alpha1.Migrate, error) {
	client, err := h.migrates()
	if err != nil {
		return nil, err
	}
	return client.Get(ctx, name, metav1.GetOptions{})
}
