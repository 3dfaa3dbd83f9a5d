// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/kubernetes"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// completionTime is how long a shell waits for completions at most.
const completionTime = 3 * time.Second

// complete returns a completion that reads from a cluster. What can't be read completes nothing.
func complete(read func(ctx context.Context, args []string) []string) cobra.CompletionFunc {
	return func(command *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx := command.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		ctx, cancel := context.WithTimeout(ctx, completionTime)
		defer cancel()
		return read(ctx, args), cobra.ShellCompDirectiveNoFileComp
	}
}

func register(command *cobra.Command, flag string, completion cobra.CompletionFunc) {
	if err := command.RegisterFlagCompletionFunc(flag, completion); err != nil {
		panic(err) // the flag does not exist
	}
}

// completeFrom completes a flag that has a few values.
func (h *host) completeFrom(command *cobra.Command, flag string, values ...string) {
	register(command, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// completeName completes the name of a Migrate, the only argument.
func (h *host) completeName(command *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return complete(func(ctx context.Context, args []string) (names []string) {
		client, err := h.migrates()
		if len(args) > 0 || err != nil {
			return nil
		}
		list, err := client.List(ctx, metav1.ListOptions{Limit: listChunk})
		if err != nil {
			return nil
		}
		for i := range list.Items {
			names = append(names, list.Items[i].Name)
		}
		return names
	})(command, args, toComplete)
}

// completeFlags completes kubectl's flags.
func (h *host) completeFlags(command *cobra.Command) {
	register(command, "namespace", complete(func(ctx context.Context, _ []string) []string { return namespacesOf(ctx, h.flags) }))
	contexts := complete(func(context.Context, []string) []string { return h.contexts() })
	register(command, "context", contexts)
}

// completeNameAndCluster completes the name of a Migrate and then that of one of its clusters.
func (h *host) completeNameAndCluster(command *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return h.completeName(command, args, toComplete)
	}
	return complete(func(ctx context.Context, args []string) (names []string) {
		client, err := h.migrates()
		if len(args) > 1 || err != nil {
			return nil
		}
		m, err := client.Get(ctx, args[0], metav1.GetOptions{})
		if err != nil {
			return nil
		}
		for _, cluster := range migration.ClusterStatuses(&m.Status) {
			names = append(names, cluster.ClusterName)
		}
		return names
	})(command, args, toComplete)
}

// completeSpecFlags completes the flags of a spec.
func (h *host) completeSpecFlags(command *cobra.Command, f *specFlags) {
	fleetNames := complete(func(ctx context.Context, _ []string) []string {
		names, _, _ := (&fleets{host: h}).names(ctx)
		return names
	})
	register(command, "fleet", fleetNames)
	register(command, "to-fleet", fleetNames)
	register(command, "from", complete(func(ctx context.Context, _ []string) []string { return h.membersOf(ctx, f.fleet) }))
	register(command, "to", complete(func(ctx context.Context, _ []string) []string {
		fleet := f.targetFleet
		if fleet == "" {
			fleet = f.fleet
		}
		return slices.DeleteFunc(h.membersOf(ctx, fleet), func(name string) bool { return name == f.from })
	}))
	// The host does not know the namespaces of the source. Who has a context with the name of the cluster can be helped.
	namespaces := complete(func(ctx context.Context, _ []string) []string {
		if !slices.Contains(h.contexts(), f.from) {
			return nil
		}
		source := genericclioptions.NewConfigFlags(false)
		source.KubeConfig, source.Context = h.flags.KubeConfig, &f.from
		return namespacesOf(ctx, source)
	})
	register(command, "include-namespaces", namespaces)
	register(command, "exclude-namespaces", namespaces)
	h.completeFrom(command, "volumes", string(v1alpha1.VolumeDataFileSystemBackup), string(v1alpha1.VolumeDataSnapshotDataMovement), string(v1alpha1.VolumeDataNone))
	h.completeFrom(command, "existing-resource-policy", string(v1alpha1.ExistingResourceNone), string(v1alpha1.ExistingResourceUpdate))
}

// membersOf returns the names of the clusters of a fleet, or of the only one.
func (h *host) membersOf(ctx context.Context, fleet string) []string {
	inventory := &fleets{host: h}
	fleet, err := inventory.orOnly(ctx, fleet)
	if err != nil {
		return nil
	}
	members, _ := inventory.members(ctx, fleet)
	return namesOf(members)
}

// contexts returns the names of the contexts of the kubeconfig.
func (h *host) contexts() (names []string) {
	config, err := h.flags.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil
	}
	for name := range config.Contexts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func namespacesOf(ctx context.Context, flags *genericclioptions.ConfigFlags) (names []string) {
	config, err := flags.ToRESTConfig()
	if err != nil {
		return nil
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil
	}
	list, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{Limit: listChunk})
	if err != nil {
		return nil
	}
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names
}
