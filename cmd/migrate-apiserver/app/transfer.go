// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"kurator.dev/migrate-apiserver/cmd/migrate-apiserver/app/internal/etcd"
	"kurator.dev/migrate-apiserver/cmd/migrate-apiserver/app/internal/transfer"
	"kurator.dev/migrate-apiserver/cmd/migrate-apiserver/app/options"
)

// transferOptions are the values of the flags of import and export.
type transferOptions struct {
	storage              *options.Options
	kubeconfig, filename string
	dryRun               bool
	prune, overwrite     bool
}

func newImportCommand(storage *options.Options) *cobra.Command {
	o := &transferOptions{storage: storage}
	command := newTransferCommand(o, &cobra.Command{
		Use:   "import",
		Short: "Take over Kurator's Backups, Restores and finished Migrates",
		Long: `Store the objects of Kurator's CustomResourceDefinitions in the storage of the running server, with their metadata and status:
Backups, Restores, and Migrates that are finished. A Migrate that is under way is listed, with what to do.

Run it before the APIService is applied, and while Kurator's controller does not run. It can be run again: an object is stored
again only if it has changed on the host since, and not here.`,
	}, "File to read the objects from, as kubectl get -o yaml writes them, or - for the standard input. Default: the host.", runImport)
	command.Flags().BoolVar(&o.prune, "prune", false, "Delete objects here that were imported from the host, and that it no longer has.")
	command.Flags().BoolVar(&o.overwrite, "overwrite", false, "Also replace or delete objects that have changed here since they were imported.")
	return command
}

func newExportCommand(storage *options.Options) *cobra.Command {
	return newTransferCommand(&transferOptions{storage: storage}, &cobra.Command{
		Use:   "export",
		Short: "Give Backups and Restores back to Kurator, or write everything to a file",
		Long: `Write the Backups and Restores of the running server to Kurator's CustomResourceDefinitions on the host, with their status, or
everything, Migrates included, to a file, which import reads.

To write to the host, run it after the APIService is deleted, and before Kurator's controller runs. It deletes nothing.`,
	}, "File to write the objects to, or - for the standard output. Default: the host.", runExport)
}

func newTransferCommand(o *transferOptions, command *cobra.Command, filename string, run func(*cobra.Command, *transferOptions, *transfer.Storage) error) *cobra.Command {
	command.Args, command.SilenceUsage = cobra.NoArgs, true
	command.Flags().AddFlagSet(o.storage.StorageFlags())
	command.Flags().StringVar(&o.kubeconfig, "kubeconfig", "", "Kubeconfig of the host. Default: as kubectl, and in a pod its ServiceAccount.")
	command.Flags().StringVarP(&o.filename, "filename", "f", "", filename)
	command.Flags().BoolVar(&o.dryRun, "dry-run", false, "Only print what would be done.")
	command.RunE = func(command *cobra.Command, _ []string) error {
		opened, err := o.open()
		if err != nil {
			return err
		}
		defer opened.Close()
		return run(command, o, opened)
	}
	return command
}

func (o *transferOptions) open() (*transfer.Storage, error) {
	endpoint := ""
	if o.storage.UsesEmbeddedEtcd() {
		var err error
		if endpoint, err = etcd.Endpoint(o.storage.EmbeddedEtcd.DataDir); err != nil {
			return nil, err
		}
	}
	scheme, getter, err := o.storage.Storage(endpoint)
	if err != nil {
		return nil, err
	}
	return transfer.Open(scheme, getter)
}

func (o *transferOptions) host() (transfer.Host, error) {
	config, err := hostConfig(o.kubeconfig)
	if err != nil {
		return transfer.Host{}, err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return transfer.Host{}, fmt.Errorf("client of the host: %w", err)
	}
	return transfer.Host{Client: client}, nil
}

func runImport(command *cobra.Command, o *transferOptions, storage *transfer.Storage) error {
	objects, err := o.objects(command.Context(), command.InOrStdin())
	if err != nil {
		return err
	}
	results, err := storage.Import(command.Context(), objects, transfer.ImportOptions{
		FromHost: o.filename == "", Overwrite: o.overwrite, Prune: o.prune, DryRun: o.dryRun,
	}, time.Now())
	return report(command, o.dryRun, results, err)
}

// objects returns the objects of the file or the host.
func (o *transferOptions) objects(ctx context.Context, input io.Reader) ([]unstructured.Unstructured, error) {
	switch o.filename {
	case "":
		host, err := o.host()
		if err != nil {
			return nil, err
		}
		return host.Objects(ctx)
	case standardStream:
	default:
		file, err := os.Open(o.filename)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
		input = file
	}
	objects, err := transfer.Read(input)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", o.filename, err)
	}
	return objects, nil
}

func runExport(command *cobra.Command, o *transferOptions, storage *transfer.Storage) error {
	if o.filename == "" {
		host, err := o.host()
		if err != nil {
			return err
		}
		results, err := host.Export(command.Context(), storage, o.dryRun)
		return report(command, o.dryRun, results, err)
	}
	objects, err := storage.Objects(command.Context())
	if err != nil {
		return err
	}
	if o.filename == standardStream {
		return transfer.Write(command.OutOrStdout(), objects)
	}
	if !o.dryRun {
		file, err := os.OpenFile(o.filename, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		err = transfer.Write(file, objects)
		if closeErr := file.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", o.filename, err)
		}
	}
	command.PrintErrf("Wrote %d objects to %s%s\n", len(objects), o.filename, dryRunSuffix(o.dryRun))
	return nil
}

func dryRunSuffix(dryRun bool) string {
	if dryRun {
		return " (dry run)"
	}
	return ""
}

// report prints the results. It returns err or, if something is left to do, an error for the exit code.
func report(command *cobra.Command, dryRun bool, results []transfer.Result, err error) error {
	table := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 3, ' ', 0)
	left := 0
	if len(results) > 0 {
		_, _ = fmt.Fprintln(table, "NAMESPACE\tNAME\tOUTCOME\tMESSAGE")
	}
	for _, r := range results {
		if r.Outcome == transfer.NotTransferred {
			left++
		}
		_, _ = fmt.Fprintf(table, "%s\t%s/%s\t%s%s\t%s\n", r.Namespace, r.Resource, r.Name, r.Outcome, dryRunSuffix(dryRun), r.Message)
	}
	if flushErr := table.Flush(); err == nil {
		err = flushErr
	}
	if err == nil && left > 0 {
		err = fmt.Errorf("%d of %d objects were not transferred: see their messages", left, len(results))
	}
	return err
}
