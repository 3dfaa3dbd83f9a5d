// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	kubectlresource "k8s.io/cli-runtime/pkg/resource"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// planOptions are those of kubectl migrate plan.
type planOptions struct {
	*host
	spec specFlags
	// ofSpec are the flags of spec.
	ofSpec []*pflag.Flag
	files  *genericclioptions.FileNameFlags
	print  *genericclioptions.PrintFlags
}

func newPlanCommand(h *host) *cobra.Command {
	o := &planOptions{host: h, print: newPrintFlags("planned")}
	filenames, recursive := []string{}, false
	o.files = &genericclioptions.FileNameFlags{Usage: "Files or directories with the Migrates to plan, instead of flags.", Filenames: &filenames, Recursive: &recursive}
	command := &cobra.Command{
		Use:   "plan",
		Short: "Show what a migration would move, and what would hinder it",
		Long: `Show what a migration would move, and what would hinder it, without beginning it.

The source and the targets are read now, with your permissions. Nothing is stored.

` + exitCodes,
		Example: `  kubectl migrate plan --from=member1 --to=member2 --include-namespaces=shop
  kubectl migrate plan -f migrate.yaml`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return o.run(command.Context()) },
	}
	o.spec.add(h, command)
	command.Flags().VisitAll(func(flag *pflag.Flag) { o.ofSpec = append(o.ofSpec, flag) })
	o.files.AddFlags(command.Flags())
	o.print.AddFlags(command)
	return command
}

func (o *planOptions) run(ctx context.Context) error {
	previews, err := o.previews(ctx)
	if err != nil {
		return err
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	show := func(planned *v1alpha1.MigratePreview) error {
		o.host.print(o.style().Plan(planned))
		return nil
	}
	if asked(o.print) {
		printer, err := o.print.ToPrinter() // one for all, because it separates them
		if err != nil {
			return err
		}
		show = func(planned *v1alpha1.MigratePreview) error { return printer.PrintObj(planned, o.Out) }
	}
	var worst error
	for i, preview := range previews {
		planned, err := client.MigratePreviews(preview.Namespace).Create(ctx, preview, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
		if err != nil {
			return err
		}
		if i > 0 && !asked(o.print) {
			o.host.print([]string{""})
		}
		if err := show(planned); err != nil {
			return err
		}
		if verdict := ofVerdict(planned.Status.Verdict); codeOf(verdict) > codeOf(worst) {
			worst = verdict
		}
	}
	return worst
}

// previews returns the previews of the Migrates in files, or of that of the flags.
func (o *planOptions) previews(ctx context.Context) ([]*v1alpha1.MigratePreview, error) {
	namespace, explicit, err := o.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, err
	}
	files := o.files.ToOptions()
	if len(files.Filenames) == 0 {
		spec, err := o.spec.spec(ctx, o.host)
		if err != nil {
			return nil, err
		}
		return []*v1alpha1.MigratePreview{{ObjectMeta: metav1.ObjectMeta{Namespace: namespace}, Spec: *spec}}, nil
	}
	for _, flag := range o.ofSpec {
		if flag.Changed {
			return nil, fmt.Errorf("--filename and --%s can't be used together", flag.Name)
		}
	}
	infos, err := kubectlresource.NewBuilder(o.flags).Unstructured().Local().ContinueOnError().
		NamespaceParam(namespace).DefaultNamespace().FilenameParam(explicit, &files).Flatten().Do().Infos()
	if err != nil {
		return nil, err
	}
	var previews []*v1alpha1.MigratePreview
	for _, info := range infos {
		preview, err := previewOf(info.Object)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", info.Source, err)
		}
		if preview.Namespace == "" {
			preview.Namespace = namespace
		}
		previews = append(previews, preview)
	}
	return previews, nil
}

// previewOf returns the preview of a Migrate of a manifest, or the MigratePreview that it is.
func previewOf(object runtime.Object) (*v1alpha1.MigratePreview, error) {
	manifest, ok := object.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("%T is not an object", object)
	}
	if kind := manifest.GroupVersionKind(); kind != v1alpha1.SchemeGroupVersion.WithKind("Migrate") && kind != v1alpha1.SchemeGroupVersion.WithKind("MigratePreview") {
		return nil, fmt.Errorf("%s is not a Migrate of %s", kind, v1alpha1.SchemeGroupVersion)
	}
	unstructured.RemoveNestedField(manifest.Object, "status")
	preview := &v1alpha1.MigratePreview{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(manifest.Object, preview, true); err != nil {
		return nil, err
	}
	preview.TypeMeta = metav1.TypeMeta{}
	return preview, nil
}

// codeOf returns the exit code of the end of a command.
func codeOf(err error) int {
	var e *exit
	if errors.As(err, &e) {
		return e.code
	}
	return exitOK
}
