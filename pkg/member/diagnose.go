// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	veleroshared "github.com/vmware-tanzu/velero/pkg/apis/velero/shared"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	velerov2alpha1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v2alpha1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/wait"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// maxListed bounds the lists of a diagnosis.
const maxListed = 500

// Diagnose finds out why Velero makes no progress: whether its server answers the
// request, which namespaces are being deleted, and how much volume data is moved for
// the Backup or Restore that Velero's label with the given key names. What can't be
// found out, be it for want of permission, is not known.
func (m *Member) Diagnose(ctx context.Context, request *velerov1.ServerStatusRequest, label, name string) migration.Diagnosis {
	var d migration.Diagnosis
	var wg sync.WaitGroup
	wg.Go(func() {
		d.Server = m.server.ask(m.options.AnswerTimeout, func() migration.ServerState { return m.serverState(ctx, request) })
	})
	wg.Go(func() {
		d.Terminating = m.namespaces.ask(m.options.AnswerTimeout, func() []string { return m.terminating(ctx) })
	})
	if label == velerov1.RestoreNameLabel {
		wg.Go(func() { d.Running = m.runningRestore(ctx, name) })
	}
	wg.Go(func() { d.Volumes = m.volumeProgress(ctx, label, name) })
	wg.Wait()
	return d
}

// shared is what was found out of a member last. One answer serves all who ask at
// that time.
type shared[T any] struct {
	mu    sync.Mutex
	at    time.Time
	found T
}

func (s *shared[T]) ask(goodFor time.Duration, ask func() T) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.at) >= goodFor {
		s.found = ask()
		s.at = time.Now()
	}
	return s.found
}

// serverState makes the request and looks for Velero's answer. Velero removes an
// answered request after a minute; one that was not answered stays, and is looked at
// again the next time.
func (m *Member) serverState(ctx context.Context, request *velerov1.ServerStatusRequest) migration.ServerState {
	if err := m.requestStatus(ctx, request); err != nil {
		return ""
	}
	began, seen := time.Now(), time.Time{}
	err := m.pollAnswer(ctx, func(ctx context.Context) (bool, error) {
		found, err := m.statusRequest(ctx, request.Name)
		if err == nil {
			seen = time.Now()
		}
		return err == nil && isAnswered(found), err
	})
	switch {
	case err == nil:
		return migration.ServerAnswers
	case wait.Interrupted(err) && ctx.Err() == nil && seen.Sub(began) > m.options.AnswerTimeout/2:
		return migration.ServerSilent
	}
	// A member that does not answer says nothing about its Velero.
	return ""
}

// pollAnswer looks for an answer of Velero's server for as long as it may take.
func (m *Member) pollAnswer(ctx context.Context, answered wait.ConditionWithContextFunc) error {
	const looks = 15
	return wait.PollUntilContextTimeout(ctx, m.options.AnswerTimeout/looks, m.options.AnswerTimeout, true, answered)
}

// requestStatus sees to it that there is a request, which may be one that was not
// answered before. One that was answered says nothing about now.
func (m *Member) requestStatus(ctx context.Context, request *velerov1.ServerStatusRequest) error {
	create := func() error {
		_, err := do(ctx, m, "create serverstatusrequest", func(ctx context.Context, c *connection) (*velerov1.ServerStatusRequest, error) {
			return c.statusRequests.Create(ctx, inNamespace(request, c.namespace), metav1.CreateOptions{})
		})
		return err
	}
	err := create()
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	before, err := m.statusRequest(ctx, request.Name)
	if err != nil || !isAnswered(before) || migrateOf(before) != migrateOf(request) {
		return err
	}
	_, err = do(ctx, m, "delete serverstatusrequest", func(ctx context.Context, c *connection) (any, error) {
		return nil, c.statusRequests.Delete(ctx, before.Name, *metav1.NewPreconditionDeleteOptions(string(before.UID)))
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	return create()
}

func (m *Member) statusRequest(ctx context.Context, name string) (*velerov1.ServerStatusRequest, error) {
	return do(ctx, m, "get serverstatusrequest", func(ctx context.Context, c *connection) (*velerov1.ServerStatusRequest, error) {
		return c.statusRequests.Get(ctx, name, metav1.GetOptions{})
	})
}

func isAnswered(request *velerov1.ServerStatusRequest) bool {
	return request.Status.Phase == velerov1.ServerStatusRequestPhaseProcessed
}

// runningRestore is a Restore other than the named one that Velero is at; empty if
// none is seen.
func (m *Member) runningRestore(ctx context.Context, but string) string {
	var list struct {
		Items []struct {
			metav1.ObjectMeta `json:"metadata"`
			Status            velerov1.RestoreStatus `json:"status"`
		} `json:"items"`
	}
	if err := m.list(ctx, "restores", &list, metav1.ListOptions{}, veleroPath(velerov1.SchemeGroupVersion.WithResource("restores"))); err != nil {
		return ""
	}
	for i := range list.Items {
		if r := &list.Items[i]; r.Name != but && len(r.Name) <= validation.DNS1123SubdomainMaxLength && r.Status.Phase == velerov1.RestorePhaseInProgress {
			return r.Name
		}
	}
	return ""
}

// veleroPath is where a kind of Velero's is listed, by Velero's namespace.
func veleroPath(r schema.GroupVersionResource) func(namespace string) string {
	return func(namespace string) string {
		return fmt.Sprintf("/apis/%s/%s/namespaces/%s/%s", r.Group, r.Version, namespace, r.Resource)
	}
}

// terminating lists the namespaces that are being deleted.
func (m *Member) terminating(ctx context.Context) []string {
	var list struct {
		Items []metav1.PartialObjectMetadata `json:"items"`
	}
	err := m.list(ctx, "namespaces", &list, metav1.ListOptions{FieldSelector: "status.phase=" + string(corev1.NamespaceTerminating)},
		func(string) string { return "/api/v1/namespaces" })
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

// Where Velero keeps how much volume data is moved, by the label that names the
// object it is moved for.
var volumeResources = map[string][]schema.GroupVersionResource{
	velerov1.BackupNameLabel: {
		velerov1.SchemeGroupVersion.WithResource("podvolumebackups"), velerov2alpha1.SchemeGroupVersion.WithResource("datauploads"),
	},
	velerov1.RestoreNameLabel: {
		velerov1.SchemeGroupVersion.WithResource("podvolumerestores"), velerov2alpha1.SchemeGroupVersion.WithResource("datadownloads"),
	},
}

// volumeProgress sums up what is moved for the Backup or Restore that a label with
// the given key names; nil if it has no volume data.
func (m *Member) volumeProgress(ctx context.Context, label, name string) *v1alpha1.VolumeProgress {
	var sum v1alpha1.VolumeProgress
	found := false
	for _, r := range volumeResources[label] {
		var list struct {
			Items []struct {
				Status struct {
					Progress veleroshared.DataMoveOperationProgress `json:"progress"`
				} `json:"status"`
			} `json:"items"`
		}
		of := metav1.ListOptions{LabelSelector: labels.Set{label: velero.LabelValue(name)}.String()}
		switch err := m.list(ctx, r.Resource, &list, of, veleroPath(r)); {
		case apierrors.IsNotFound(err), errors.Is(err, ErrVeleroNotInstalled):
			continue
		case err != nil || len(list.Items) >= maxListed:
			// A sum of some of them is no sum.
			return nil
		}
		for _, item := range list.Items {
			found = true
			sum.BytesDone += item.Status.Progress.BytesDone
			sum.TotalBytes += item.Status.Progress.TotalBytes
		}
	}
	if !found {
		return nil
	}
	return &sum
}

// list reads a list of at most maxListed objects, from a path that may depend on
// Velero's namespace.
func (m *Member) list(ctx context.Context, resource string, into any, opts metav1.ListOptions, path func(namespace string) string) error {
	opts.Limit = maxListed
	ctx = m.allowing(ctx, "a list of "+resource, limits.MaxPage)
	answer, err := do(ctx, m, "list "+resource, func(ctx context.Context, c *connection) ([]byte, error) {
		return c.rest.Get().AbsPath(path(c.namespace)).VersionedParams(&opts, metav1.ParameterCodec).Do(ctx).Raw()
	})
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, into)
}
