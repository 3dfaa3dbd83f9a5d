// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/vbauerster/cupwriter"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/cmd/kubectl-migrate/app/internal/view"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned/scheme"
	clientv1alpha1 "kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned/typed/backup/v1alpha1"
)

const resource = "migrates"

// host is the host cluster, as the user's kubeconfig and kubectl's flags say.
type host struct {
	genericiooptions.IOStreams
	flags *genericclioptions.ConfigFlags
}

func newHost(streams genericiooptions.IOStreams) *host {
	return &host{IOStreams: streams, flags: genericclioptions.NewConfigFlags(true).WithWarningPrinter(streams)}
}

// namespace returns the namespace of --namespace, or else of the context.
func (h *host) namespace() (string, error) {
	namespace, _, err := h.flags.ToRawKubeConfigLoader().Namespace()
	return namespace, err
}

func (h *host) client() (clientv1alpha1.BackupV1alpha1Interface, error) {
	config, err := h.flags.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return client.BackupV1alpha1(), nil
}

func (h *host) dynamic() (dynamic.Interface, error) {
	config, err := h.flags.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	return dynamic.NewForConfig(config)
}

// migrates returns the client of the Migrates in the namespace.
func (h *host) migrates() (clientv1alpha1.MigrateInterface, error) {
	namespace, err := h.namespace()
	if err != nil {
		return nil, err
	}
	client, err := h.client()
	if err != nil {
		return nil, err
	}
	return client.Migrates(namespace), nil
}

// subresource begins a request for a subresource of a Migrate.
func (h *host) subresource(begin func(rest.Interface) *rest.Request, name, subresource string) (*rest.Request, error) {
	namespace, err := h.namespace()
	if err != nil {
		return nil, err
	}
	client, err := h.client()
	if err != nil {
		return nil, err
	}
	return begin(client.RESTClient()).Namespace(namespace).Resource(resource).Name(name).SubResource(subresource), nil
}

func get(client rest.Interface) *rest.Request  { return client.Get() }
func post(client rest.Interface) *rest.Request { return client.Post() }

// live returns a Migrate with the status that its members have now.
func (h *host) live(ctx context.Context, name string) (*v1alpha1.Migrate, error) {
	request, err := h.subresource(get, name, "status")
	if err != nil {
		return nil, err
	}
	m := &v1alpha1.Migrate{}
	return m, request.Do(ctx).Into(m)
}

// style returns what can be shown on the output, however high it is.
func (h *host) style() view.Style {
	s := view.Style{ASCII: !isUTF8(), Color: printers.AllowsColorOutput(h.Out)}
	if terminal := cupwriter.New(h.Out, false); terminal.IsTerminal() {
		if width, _, err := terminal.GetTermSize(); err == nil {
			s.Width = width
		}
	}
	return s
}

// isUTF8 reports whether the locale's encoding is UTF-8. POSIX: the first of these variables that is set and not empty counts.
func isUTF8() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := strings.ToLower(os.Getenv(name)); locale != "" {
			return strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
		}
	}
	return runtime.GOOS == "windows" || runtime.GOOS == "darwin"
}

// print writes lines to the output.
func (h *host) print(lines []string) {
	for _, line := range lines {
		fmt.Fprintln(h.Out, line)
	}
}

// asked reports whether the user asks for the output of objects.
func asked(flags *genericclioptions.PrintFlags) bool {
	return *flags.OutputFormat != "" || *flags.TemplatePrinterFlags.TemplateArgument != ""
}

// newPrintFlags returns kubectl's flags for the output of objects. operation is what was done with them, in the past tense.
func newPrintFlags(operation string) *genericclioptions.PrintFlags {
	return genericclioptions.NewPrintFlags(operation).WithTypeSetter(scheme.Scheme)
}
