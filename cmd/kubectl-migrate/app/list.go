// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned/scheme"
)

// tables are what kubectl accepts for a list that it prints.
const tables = "application/json;as=Table;v=v1;g=meta.k8s.io"

// listChunk is the largest number of Migrates of a request, as in kubectl.
const listChunk = 500

// listOptions are those of kubectl migrate list.
type listOptions struct {
	*host
	print                        *genericclioptions.PrintFlags
	allNamespaces                bool
	labelSelector, fieldSelector string
}

func newListCommand(h *host) *cobra.Command {
	o := &listOptions{host: h, print: newPrintFlags("listed")}
	command := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List Migrates",
		Long:    `List Migrates with their phase and progress as it was recorded last, as kubectl get migrates does.`,
		Example: `  kubectl migrate list -A
  kubectl migrate list -o wide`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return o.run(command.Context()) },
	}
	o.print.AddFlags(command)
	command.Flag("output").Usage += " Or wide."
	flags := command.Flags()
	flags.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "List the Migrates of all namespaces.")
	flags.StringVarP(&o.labelSelector, "selector", "l", "", "Labels of the Migrates, as in kubectl get.")
	flags.StringVar(&o.fieldSelector, "field-selector", "", "Fields of the Migrates, such as spec.sourceCluster.fleet=quickstart.")
	return command
}

func (o *listOptions) run(ctx context.Context) error {
	namespace, err := o.namespace()
	if err != nil {
		return err
	}
	if o.allNamespaces {
		namespace = metav1.NamespaceAll
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	options := metav1.ListOptions{LabelSelector: o.labelSelector, FieldSelector: o.fieldSelector, Limit: listChunk}
	if asked(o.print) && *o.print.OutputFormat != "wide" {
		return o.objects(ctx, client.Migrates(namespace).List, options)
	}
	printer := printers.NewTablePrinter(printers.PrintOptions{WithNamespace: o.allNamespaces, Wide: *o.print.OutputFormat == "wide"})
	out := printers.GetNewTabWriter(o.Out)
	none := true
	for {
		table := &metav1.Table{}
		if err := client.RESTClient().Get().Namespace(namespace).Resource(resource).VersionedParams(&options, scheme.ParameterCodec).
			SetHeader("Accept", tables).Do(ctx).Into(table); err != nil {
			return err
		}
		for i := range table.Rows {
			// The printer reads the namespace of the object.
			object, err := runtime.Decode(unstructured.UnstructuredJSONScheme, table.Rows[i].Object.Raw)
			if err != nil {
				return err
			}
			table.Rows[i].Object.Object = object
			none = false
		}
		if err := printer.PrintObj(table, out); err != nil {
			return err
		}
		if options.Continue = table.Continue; options.Continue == "" {
			break
		}
	}
	if none {
		o.nothing(namespace)
	}
	return out.Flush()
}

// nothing says what kubectl says.
func (o *listOptions) nothing(namespace string) {
	message := "No resources found"
	if namespace != "" {
		message += " in " + namespace + " namespace."
	}
	_, _ = o.ErrOut.Write([]byte(message + "\n"))
}

// objects prints the whole objects of a list.
func (o *listOptions) objects(ctx context.Context, list func(context.Context, metav1.ListOptions) (*v1alpha1.MigrateList, error), options metav1.ListOptions) error {
	printer, err := o.print.ToPrinter()
	if err != nil {
		return err
	}
	all := &v1alpha1.MigrateList{}
	for {
		chunk, err := list(ctx, options)
		if err != nil {
			return err
		}
		all.ResourceVersion = chunk.ResourceVersion
		all.Items = append(all.Items, chunk.Items...)
		if options.Continue = chunk.Continue; options.Continue == "" {
			break
		}
	}
	if *o.print.OutputFormat != "name" {
		return printer.PrintObj(all, o.Out)
	}
	for i := range all.Items { // names are printed of objects, not of lists
		if err := printer.PrintObj(&all.Items[i], o.Out); err != nil {
			return err
		}
	}
	return nil
}
