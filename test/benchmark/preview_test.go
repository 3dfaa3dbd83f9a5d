// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package benchmark

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

// BenchmarkPreview plans the migration of 5,000 objects to three targets: that have none of them, and that have all.
func BenchmarkPreview(b *testing.B) {
	const objects, namespace = 5000, "previewed"
	config, err := fleet.HostConfig()
	if err != nil {
		b.Fatal(err)
	}
	previews := versioned.NewForConfigOrDie(config).BackupV1alpha1().MigratePreviews("default")
	fill(b, 1, namespace, objects)
	for _, in := range []string{"empty", "full"} {
		b.Run(in, func(b *testing.B) {
			if in == "full" {
				for n := 2; n <= 4; n++ {
					fill(b, n, namespace, objects)
				}
			}
			before := peak(b)
			var status v1alpha1.MigratePreviewStatus
			for b.Loop() {
				preview, err := previews.Create(b.Context(), &v1alpha1.MigratePreview{Spec: v1alpha1.MigrateSpec{
					SourceCluster: v1alpha1.Destination{Fleet: "quickstart", Clusters: []corev1.ObjectReference{{Kind: "AttachedCluster", Name: localfleet.MemberName(1)}}},
					TargetCluster: v1alpha1.Destination{Fleet: "quickstart"},
					Policy:        &v1alpha1.MigratePolicy{ResourceFilter: &v1alpha1.ResourceFilter{IncludedNamespaces: []string{namespace}}},
				}}, metav1.CreateOptions{})
				if err != nil {
					b.Fatal(err)
				}
				status = preview.Status
			}
			b.ReportMetric(float64(peak(b)-before)/(1<<20), "MiB-more-at-peak")
			if status.Source.ItemsTotal != objects || len(status.Targets) != 3 || status.Verdict == v1alpha1.PreviewBlocked {
				b.Errorf("%s: %d items, %d targets", status.Message, status.Source.ItemsTotal, len(status.Targets))
			}
		})
	}
}

// fill creates ConfigMaps in a namespace of the nth member.
func fill(b *testing.B, n int, namespace string, objects int) {
	b.Helper()
	config, err := fleet.MemberConfig(n)
	if err != nil {
		b.Fatal(err)
	}
	config.QPS = -1
	client := kubernetes.NewForConfigOrDie(config).CoreV1()
	if _, err := client.Namespaces().Create(b.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		b.Fatal(err)
	}
	group, ctx := errgroup.WithContext(context.Background())
	group.SetLimit(32)
	for i := range objects {
		group.Go(func() error {
			_, err := client.ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("object-%d", i)}, Data: map[string]string{"text": strings.Repeat("x", 1000)},
			}, metav1.CreateOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}

// peak returns the largest resident size that our server has had, in bytes.
func peak(b *testing.B) int64 {
	b.Helper()
	server, err := fleet.Process("migrate-apiserver")
	if err != nil {
		b.Fatal(err)
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", server.PID()))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if size, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(size)[0], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib << 10
		}
	}
	b.Fatal("no VmHWM")
	return 0
}
