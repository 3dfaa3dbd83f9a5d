// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/resources"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// maxCompared is how many items that a target has already are compared, and maxDenied how many denied ones are kept.
const maxCompared, maxDenied = 100, 20

// ObjectReader returns the JSON of an object of a source.
type ObjectReader = func(ctx context.Context, resource velero.Resource, key migration.ObjectKey) ([]byte, error)

// Target surveys a target for what a survey of the source has selected, whose objects read reads.
func Target(ctx context.Context, c *client.Client, request migration.SurveyRequest, of *migration.SourceSurvey, read ObjectReader) migration.TargetSurvey {
	t := &target{surveyor: newSurveyor(c), of: of, mapping: request.Policy.NamespaceMapping, read: read, namespaces: sets.New[string](), usable: sets.New[string]()}
	for _, r := range of.Selected {
		for _, key := range r.Objects {
			if key.Namespace != "" {
				t.namespaces.Insert(t.mapped(key).Namespace)
			}
		}
	}
	t.startCluster(ctx, request.ServerStatus, &t.found.ClusterSurvey)
	t.readNamespaces(ctx)
	served, err := resources.Served(ctx, c)
	t.failed("the kinds that it serves", err)
	t.found.Existing = &migration.ExistingItems{All: map[velero.Item]bool{}}
	t.unread = t.unread || request.HideExisting
	others := sets.New[string]()
	for resource := range served {
		others.Insert(resource.GroupResource().String())
	}
	for _, r := range of.Selected {
		if err == nil && !served.Has(r.GroupVersionResource()) {
			t.do(func() {
				t.found.NotServed = append(t.found.NotServed, migration.UnservedResource{Resource: r.Resource, InOtherVersion: others.Has(r.String())})
			})
			continue
		}
		if !request.HideExisting {
			t.start(ctx, "which objects it has", func() error { return t.listExisting(ctx, r) })
		}
	}
	if len(of.Volumes) > 0 {
		t.start(ctx, "StorageClasses", func() error { return t.readClasses(ctx) })
	}
	if len(of.Services) > 0 && !request.OnlySelected {
		t.start(ctx, "node ports and load balancer addresses", func() error { return t.readServices(ctx) })
	}
	if !request.OnlySelected {
		t.start(ctx, "quotas", func() error { return t.readQuotas(ctx) })
	}
	for _, reference := range of.LeftBehind {
		t.start(ctx, "what the filter leaves behind", func() error {
			found, err := exists(ctx, c, reference.Resource, t.mapped(reference.To))
			if err == nil && !found {
				t.do(func() { t.found.Missing = append(t.found.Missing, reference) })
			}
			return err
		})
	}
	t.wait()
	t.compare(ctx)
	t.tryOut(ctx)
	t.wait()
	if t.unread {
		t.found.Existing = nil
	}
	t.found.NotChecked = t.notChecked
	return t.found
}

// target is the survey of a target under way.
type target struct {
	*surveyor
	of      *migration.SourceSurvey
	mapping map[string]string
	read    ObjectReader
	// namespaces are those of the selected objects, and usable those of them in which objects can be created.
	namespaces, usable sets.Set[string]

	found migration.TargetSurvey
	// pairs are the selected items that the target has. unread is true if some could not be read.
	pairs  []pair
	unread bool
}

// pair is a selected item that a target has already.
type pair struct {
	resource velero.Resource
	key      migration.ObjectKey
}

func (t *target) mapped(key migration.ObjectKey) migration.ObjectKey {
	key.Namespace = cmp.Or(t.mapping[key.Namespace], key.Namespace)
	return key
}

// readNamespaces determines which of the namespaces exist.
func (t *target) readNamespaces(ctx context.Context) {
	all := client.Collection{Resource: corev1.SchemeGroupVersion.WithResource(velero.Namespaces), MetadataOnly: true}
	err := client.Each(ctx, t.Client, all, metav1.ListOptions{Limit: pageSize}, maxPages, func(o *metav1.PartialObjectMetadata) error {
		switch {
		case !t.namespaces.Has(o.Name):
		case o.DeletionTimestamp != nil:
			t.found.Terminating = append(t.found.Terminating, o.Name)
		default:
			t.usable.Insert(o.Name)
		}
		return nil
	})
	t.failed("namespaces", err)
	t.unread = err != nil
}

// listExisting determines which of the items of a resource the target has.
func (t *target) listExisting(ctx context.Context, r migration.SelectedResource) error {
	wanted := map[migration.ObjectKey]migration.ObjectKey{}
	namespaces := []string{}
	for _, key := range r.Objects {
		to := t.mapped(key)
		wanted[to] = key
		if !slices.Contains(namespaces, to.Namespace) && t.usable.Has(to.Namespace) {
			namespaces = append(namespaces, to.Namespace)
		}
	}
	if r.Namespaced && len(namespaces) == 0 {
		return nil
	}
	var err error
	for _, objects := range collectionsOf(r.Resource, namespaces) {
		objects.MetadataOnly = true
		err = errors.Join(err, client.Each(ctx, t.Client, objects, metav1.ListOptions{Limit: pageSize}, maxPages, func(o *object) error {
			to := migration.ObjectKey{Namespace: o.Metadata.Namespace, Name: o.Metadata.Name}
			if key, is := wanted[to]; is {
				t.do(func() {
					t.found.Existing.All[itemOf(r.Resource, to)] = true
					t.pairs = append(t.pairs, pair{r.Resource, key})
				})
			}
			return nil
		}))
	}
	if err != nil {
		t.do(func() { t.unread = true })
	}
	return err
}

// compare compares items of the target with those of the source.
func (t *target) compare(ctx context.Context) {
	slices.SortFunc(t.pairs, func(a, b pair) int {
		return cmp.Or(strings.Compare(a.resource.String(), b.resource.String()), strings.Compare(a.key.Namespace, b.key.Namespace), strings.Compare(a.key.Name, b.key.Name))
	})
	if len(t.pairs) > maxCompared {
		t.do(func() { t.found.Existing.NotCompared = int64(len(t.pairs) - maxCompared) })
	}
	for _, p := range t.pairs[:min(len(t.pairs), maxCompared)] {
		t.start(ctx, "whether objects that it has are the same", func() error {
			same, err := t.isSame(ctx, p)
			t.do(func() {
				switch existing := t.found.Existing; {
				case err != nil:
					existing.NotCompared++
				case same:
					existing.Same++
				default:
					existing.Different = append(existing.Different, itemOf(p.resource, t.mapped(p.key)))
				}
			})
			return err
		})
	}
}

func (t *target) isSame(ctx context.Context, p pair) (bool, error) {
	source, err := t.read(ctx, p.resource, p.key)
	if err != nil {
		return false, err
	}
	there, err := Object(ctx, t.Client, p.resource, t.mapped(p.key))
	if err != nil {
		return false, err
	}
	return velero.IsSame(source, there)
}

func (t *target) readClasses(ctx context.Context) error {
	classes := []string{}
	all := client.Collection{Resource: storagev1.SchemeGroupVersion.WithResource("storageclasses"), MetadataOnly: true}
	err := client.Each(ctx, t.Client, all, metav1.ListOptions{Limit: pageSize}, maxPages, func(o *metav1.PartialObjectMetadata) error {
		if isName(o.Name) {
			classes = append(classes, o.Name)
		}
		return nil
	})
	if err == nil {
		t.do(func() { t.found.Classes = classes })
	}
	return err
}

// readServices determines which Services use the node ports and addresses that the selected ones ask for.
func (t *target) readServices(ctx context.Context) error {
	ports, addresses := sets.New[int32](), sets.New[string]()
	for _, service := range t.of.Services {
		ports.Insert(service.NodePorts...)
		addresses.Insert(service.LoadBalancerIP)
	}
	addresses.Delete("")
	usedPorts, usedAddresses := map[int32]migration.ObjectKey{}, map[string]migration.ObjectKey{}
	all := client.Collection{Resource: corev1.SchemeGroupVersion.WithResource("services")}
	err := client.Each(ctx, t.Client, all, metav1.ListOptions{Limit: pageSize}, maxPages, func(o *corev1.Service) error {
		key := migration.ObjectKey{Namespace: o.Namespace, Name: o.Name}
		for _, port := range o.Spec.Ports {
			if ports.Has(port.NodePort) {
				usedPorts[port.NodePort] = key
			}
		}
		for _, ingress := range append(o.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: o.Spec.LoadBalancerIP}) {
			if addresses.Has(ingress.IP) {
				usedAddresses[ingress.IP] = key
			}
		}
		return nil
	})
	t.do(func() { t.found.NodePorts, t.found.LoadBalancerIPs = usedPorts, usedAddresses })
	return err
}

// readQuotas reads the ResourceQuotas and LimitRanges of the namespaces, a page of each.
func (t *target) readQuotas(ctx context.Context) error {
	if len(t.usable) == 0 {
		return nil
	}
	quotas := velero.Resource{Version: "v1", Name: "resourcequotas", Namespaced: true}
	ranges := velero.Resource{Version: "v1", Name: "limitranges", Namespaced: true}
	var err error
	for _, objects := range collectionsOf(quotas, sets.List(t.usable)) {
		err = errors.Join(err, client.Each(ctx, t.Client, objects, metav1.ListOptions{Limit: pageSize}, 1, func(o *corev1.ResourceQuota) error {
			if t.usable.Has(o.Namespace) {
				t.do(func() { t.found.Quotas = append(t.found.Quotas, *o) })
			}
			return nil
		}))
	}
	for _, objects := range collectionsOf(ranges, sets.List(t.usable)) {
		err = errors.Join(err, client.Each(ctx, t.Client, objects, metav1.ListOptions{Limit: pageSize}, 1, func(o *corev1.LimitRange) error {
			if t.usable.Has(o.Namespace) {
				t.do(func() { t.found.LimitRanges = append(t.found.LimitRanges, *o) })
			}
			return nil
		}))
	}
	return err
}

// tryOut asks the target whether it would create the samples, by dry runs. It can't ask for a namespace that does
// not exist.
func (t *target) tryOut(ctx context.Context) {
	for _, sample := range t.of.Samples {
		to := t.mapped(sample.ObjectKey)
		isNotServed := func(r migration.UnservedResource) bool { return r.Is(sample.Resource) }
		if sample.Resource.Namespaced && !t.usable.Has(to.Namespace) || slices.ContainsFunc(t.found.NotServed, isNotServed) {
			continue
		}
		t.start(ctx, "whether it accepts the objects (dry run)", func() error {
			object, err := velero.Restorable(sample.JSON, to.Namespace)
			if err != nil {
				return err
			}
			body, err := object.MarshalJSON()
			if err != nil {
				return err
			}
			_, err = client.DryRunCreate(ctx, t.Client, collectionOf(sample.Resource, to.Namespace), body)
			if !isDenied(err) {
				return unlessDependent(err)
			}
			t.do(func() {
				if len(t.found.Denied) < maxDenied {
					t.found.Denied = append(t.found.Denied, migration.DeniedItem{Item: itemOf(sample.Resource, to), Message: statusMessage(err)})
				}
			})
			return nil
		})
	}
}

// isDenied reports whether an error is the answer that the API server does not accept the object: of a quota, a
// policy, a webhook or its validation. A lack of permission to create it says nothing about the object.
func isDenied(err error) bool {
	if !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
		return false
	}
	return !slices.ContainsFunc(notAboutTheObject, func(text string) bool { return strings.Contains(err.Error(), text) })
}

// notAboutTheObject are parts of the answers of an API server that are about the permission of the kubeconfig, about dry
// runs, or about another object, which the migration creates first or which is a reference that is left behind.
var notAboutTheObject = []string{
	"cannot create resource", "attempting to grant RBAC permissions not currently held", "does not support dry run",
	"error looking up service account", "no PriorityClass with name", "RuntimeClass not found", "pod rejected: RuntimeClass",
}

// unlessDependent returns nil for the error that an object exists, which the API server accepts before, and for one
// about another object.
func unlessDependent(err error) error {
	isAboutAnother := func(text string) bool { return strings.Contains(err.Error(), text) }
	if err == nil || apierrors.IsAlreadyExists(err) || apierrors.IsForbidden(err) && slices.ContainsFunc(notAboutTheObject[3:], isAboutAnother) {
		return nil
	}
	return err
}

// statusMessage returns the message of the API server without that of the call.
func statusMessage(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Message
	}
	return fmt.Sprint(err)
}
