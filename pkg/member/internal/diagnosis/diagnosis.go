// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"context"
	"slices"
	"sync"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/serverstatus"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// inProgress is the phase of a Backup or Restore that Velero is processing.
const inProgress = "InProgress"

// maxListed is the largest number of objects in a list of a diagnosis.
const maxListed = 500

// Diagnoser determines why one Velero makes no progress. What it cannot determine, for
// example for lack of permission, is left empty. It is safe for concurrent use.
type Diagnoser struct {
	client     *client.Client
	server     shared[migration.ServerState]
	namespaces shared[[]string]
}

// New returns a Diagnoser. It makes no calls.
func New(c *client.Client) *Diagnoser { return &Diagnoser{client: c} }

// Diagnose determines whether Velero's server processes the request, which other object it is
// processing, which namespaces are being deleted, and for the Backup or Restore that Velero's label with
// the given key names, how much volume data has been moved and what hinders it. Answers that don't depend
// on the object are shared between concurrent calls.
func (d *Diagnoser) Diagnose(ctx context.Context, request *velerov1.ServerStatusRequest, label, name string) migration.Diagnosis {
	var found migration.Diagnosis
	var wg sync.WaitGroup
	ttl := d.client.Options().AnswerTimeout
	wg.Go(func() {
		found.Server = d.server.get(ttl, func() migration.ServerState {
			state, _ := serverstatus.Ask(ctx, d.client, request)
			return state
		})
	})
	wg.Go(func() {
		found.Terminating = d.namespaces.get(ttl, func() []string { return terminating(ctx, d.client) })
	})
	wg.Go(func() { found.Running = running(ctx, d.client, objectResources[label], name) })
	wg.Go(func() {
		if all, ok := volumes(ctx, d.client, label, name); ok {
			found.Volumes, found.Hindrances = progress(all), hindrances(ctx, d.client, all)
		}
	})
	wg.Wait()
	return found
}

// shared caches an answer for all concurrent calls.
type shared[T any] struct {
	mu    sync.Mutex
	at    time.Time
	value T
}

// get returns the answer while it is younger than ttl, otherwise a new one by read.
func (s *shared[T]) get(ttl time.Duration, read func() T) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.at) >= ttl {
		s.value = read()
		s.at = time.Now()
	}
	return s.value
}

// objectResources are the resources of Backups and Restores, by the key of the label that names
// one of them.
var objectResources = map[string]schema.GroupVersionResource{
	velerov1.BackupNameLabel:  velerov1.SchemeGroupVersion.WithResource("backups"),
	velerov1.RestoreNameLabel: velerov1.SchemeGroupVersion.WithResource("restores"),
}

// running returns the name of a Backup or Restore, other than the named one, that Velero is
// processing; empty if there is none.
func running(ctx context.Context, c *client.Client, resource schema.GroupVersionResource, but string) string {
	var list struct {
		Items []struct {
			metav1.ObjectMeta `json:"metadata"`
			Status            struct {
				Phase string `json:"phase"`
			} `json:"status"`
		} `json:"items"`
	}
	if err := client.ListInto(ctx, c, client.Collection{Resource: resource, InVelero: true}, metav1.ListOptions{Limit: maxListed}, &list); err != nil {
		return ""
	}
	for i := range list.Items {
		item := &list.Items[i]
		if item.Name != but && len(item.Name) <= validation.DNS1123SubdomainMaxLength && item.Status.Phase == inProgress {
			return item.Name
		}
	}
	return ""
}

// terminating returns the names of the namespaces that are being deleted, sorted.
func terminating(ctx context.Context, c *client.Client) []string {
	var list struct {
		Items []metav1.PartialObjectMetadata `json:"items"`
	}
	err := client.ListInto(ctx, c, client.Collection{Resource: corev1.SchemeGroupVersion.WithResource("namespaces")},
		metav1.ListOptions{Limit: maxListed, FieldSelector: "status.phase=" + string(corev1.NamespaceTerminating)}, &list)
	if err != nil {
		return nil
	}
	var names []string
	for i := range list.Items {
		if name := list.Items[i].Name; len(name) <= validation.DNS1123LabelMaxLength {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
