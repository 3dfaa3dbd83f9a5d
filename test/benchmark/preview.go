// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned"
	"kurator.dev/migrate-apiserver/test/benchmark/report"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

// previews measures the preview of a migration of 5,000 objects to three targets: that have none of them, and that have all.
func (o *options) previews(ctx context.Context, fleet *localfleet.Fleet, r *report.Report) error {
	const objects, namespace = 5000, "previewed"
	config, err := fleet.HostConfig()
	if err != nil {
		return err
	}
	client := versioned.NewForConfigOrDie(config).BackupV1alpha1().MigratePreviews(metav1.NamespaceDefault)
	if err := fill(ctx, fleet, 1, namespace, objects); err != nil {
		return err
	}
	t := r.Table(fmt.Sprintf("Previews of %d objects to %d targets", objects, members-1), "ours")
	for _, in := range []string{"none of them", "all of them"} {
		if in == "all of them" {
			for n := 2; n <= members; n++ {
				if err := fill(ctx, fleet, n, namespace, objects); err != nil {
					return err
				}
			}
		}
		for range o.rounds {
			before, err := resident(fleet)
			if err != nil {
				return err
			}
			began := time.Now()
			preview, err := client.Create(ctx, &v1alpha1.MigratePreview{Spec: v1alpha1.MigrateSpec{
				SourceCluster: v1alpha1.Destination{Fleet: localfleet.FleetName, Clusters: []corev1.ObjectReference{{Kind: "AttachedCluster", Name: localfleet.MemberName(1)}}},
				TargetCluster: v1alpha1.Destination{Fleet: localfleet.FleetName},
				Policy:        &v1alpha1.MigratePolicy{ResourceFilter: &v1alpha1.ResourceFilter{IncludedNamespaces: []string{namespace}}},
			}}, metav1.CreateOptions{})
			if err != nil {
				return err
			}
			t.Add("targets that have "+in, "s", "ours", time.Since(began).Seconds())
			after, err := resident(fleet)
			if err != nil {
				return err
			}
			t.Add("memory more afterwards", "MiB", "ours", float64(after-before)/(1<<20))
			if status := preview.Status; status.Source.ItemsTotal != objects || len(status.Targets) != members-1 || status.Verdict == v1alpha1.PreviewBlocked {
				return fmt.Errorf("the preview is %s: %d items, %d targets", status.Message, status.Source.ItemsTotal, len(status.Targets))
			}
		}
	}
	return nil
}

// fill creates ConfigMaps in a namespace of the nth member.
func fill(ctx context.Context, fleet *localfleet.Fleet, n int, namespace string, objects int) error {
	config, err := fleet.MemberConfig(n)
	if err != nil {
		return err
	}
	config.QPS = -1
	client := kubernetes.NewForConfigOrDie(config).CoreV1()
	if err := createNamespace(ctx, config, namespace); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for i := range objects {
		group.Go(func() error {
			_, err := client.ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("object-%d", i)}, Data: map[string]string{"text": strings.Repeat("x", 1000)},
			}, metav1.CreateOptions{})
			return err
		})
	}
	return group.Wait()
}
