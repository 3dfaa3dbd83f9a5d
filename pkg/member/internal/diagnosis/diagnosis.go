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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/wait"

	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
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
			state, _ := Server(ctx, d.client, request)
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

// Server creates the request and waits for Velero to process it; then it also returns Velero's version.
// Velero removes a processed request after a minute; one that is not processed stays, and is used again.
func Server(ctx context.Context, c *client.Client, request *velerov1.ServerStatusRequest) (state migration.ServerState, version string) {
	if err := requestStatus(ctx, c, request); err != nil {
		return "", ""
	}
	began, seen := time.Now(), time.Time{}
	err := c.PollAnswer(ctx, func(ctx context.Context) (bool, error) {
		found, err := statusRequest(ctx, c, request.Name)
		if err == nil {
			seen, version = time.Now(), found.Status.ServerVersion
		}
		return err == nil && isAnswered(found), err
	})
	switch {
	case err == nil:
		return migration.ServerAnswers, version
	case wait.Interrupted(err) && ctx.Err() == nil && seen.Sub(began) > c.Options().AnswerTimeout/2:
		return migration.ServerSilent, ""
	}
	// The member did not answer, which says nothing about its Velero.
	return "", ""
}

// Withdraw deletes a request that Velero has not processed, which would stay.
func Withdraw(ctx context.Context, c *client.Client, request *velerov1.ServerStatusRequest) {
	_, _ = client.Do(context.WithoutCancel(ctx), c, "delete serverstatusrequest", func(ctx context.Context, conn *client.Connection) (any, error) {
		return nil, conn.StatusRequests.Delete(ctx, request.Name, metav1.DeleteOptions{})
	})
}

// requestStatus ensures that there is a request which Velero has not processed yet.
func requestStatus(ctx context.Context, c *client.Client, request *velerov1.ServerStatusRequest) error {
	create := func() error {
		_, err := client.Do(ctx, c, "create serverstatusrequest", func(ctx context.Context, conn *client.Connection) (*velerov1.ServerStatusRequest, error) {
			return conn.StatusRequests.Create(ctx, client.InNamespace(request, conn.Namespace), metav1.CreateOptions{})
		})
		return err
	}
	err := create()
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	before, err := statusRequest(ctx, c, request.Name)
	if err != nil || !isAnswered(before) || velero.MigrateUID(before) != velero.MigrateUID(request) {
		return err
	}
	_, err = client.Do(ctx, c, "delete serverstatusrequest", func(ctx context.Context, conn *client.Connection) (any, error) {
		return nil, conn.StatusRequests.Delete(ctx, before.Name, *metav1.NewPreconditionDeleteOptions(string(before.UID)))
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	return create()
}

func statusRequest(ctx context.Context, c *client.Client, name string) (*velerov1.ServerStatusRequest, error) {
	return client.Do(ctx, c, "get serverstatusrequest", func(ctx context.Context, conn *client.Connection) (*velerov1.ServerStatusRequest, error) {
		return conn.StatusRequests.Get(ctx, name, metav1.GetOptions{})
	})
}

func isAnswered(request *velerov1.ServerStatusRequest) bool {
	return request.Status.Phase == velerov1.ServerStatusRequestPhaseProcessed
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
