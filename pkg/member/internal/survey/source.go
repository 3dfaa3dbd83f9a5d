// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"
	podresource "k8s.io/component-helpers/resource"
	"k8s.io/klog/v2"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/resources"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

const (
	// maxObjects is how many selected objects are kept by their names.
	maxObjects = 20_000
	// maxReferences is how many references to objects that the filter leaves behind are followed.
	maxReferences = 100
	// maxSamples is how many objects are read to ask the targets for, each of at most maxSampleSize bytes.
	maxSamples, maxSampleSize = 60, 64 << 10
)

// whole are the resources whose objects are read whole. Of all others only the metadata is read.
var whole = sets.New("pods", "deployments.apps", "statefulsets.apps", "daemonsets.apps", "replicasets.apps", "jobs.batch", "cronjobs.batch",
	"services", "persistentvolumeclaims", "rolebindings.rbac.authorization.k8s.io", "ingresses.networking.k8s.io")

// Source surveys a source.
func Source(ctx context.Context, c *client.Client, request migration.SurveyRequest) migration.SourceSurvey {
	s := &source{surveyor: newSurveyor(c), policy: request.Policy, unlisted: sets.New[string](), selected: sets.New[velero.Item](), references: map[velero.Item]migration.Reference{}, claims: map[migration.ObjectKey]claim{}}
	if request.Policy.ResourceFilter != nil {
		s.filter = *request.Policy.ResourceFilter
	}
	s.found.Needs, s.found.Largest = map[string]corev1.ResourceList{}, map[string][]corev1.LimitRangeItem{}
	s.startCluster(ctx, request.ServerStatus, &s.found.ClusterSurvey)
	s.readNamespaces(ctx)
	served, err := resources.Of(ctx, c)
	s.failed("some kinds of objects", err)
	if err == nil {
		s.found.UnknownNames = velero.UnknownNames(velero.ListedNames(s.filter), served)
	}
	for _, r := range served {
		if isRestored := velero.IsRestored(r.GroupVersionResource().GroupResource()); isRestored && velero.IncludesResource(s.filter, r) {
			s.start(ctx, "objects of "+r.String(), func() error { return s.list(ctx, r) })
		}
	}
	s.wait()
	s.addVolumes()
	slices.SortFunc(s.found.Selected, func(a, b migration.SelectedResource) int { return strings.Compare(a.String(), b.String()) })
	if !request.OnlySelected {
		s.readLeftBehind(ctx)
	}
	s.readSamples(ctx)
	s.wait()
	if s.more > 0 {
		s.failed("all objects", fmt.Errorf("%d more than %d are only counted", s.more, maxObjects))
	}
	s.found.NotChecked = s.notChecked
	return s.found
}

// source is the survey of a source under way.
type source struct {
	*surveyor
	policy v1alpha1.MigratePolicy
	filter v1alpha1.ResourceFilter
	// excluded are the namespaces that Velero excludes.
	excluded sets.Set[string]
	// unlisted are the resources whose objects could not all be listed.
	unlisted sets.Set[string]

	found    migration.SourceSurvey
	selected sets.Set[velero.Item]
	// references has one to each object that selected ones refer to.
	references map[velero.Item]migration.Reference
	// claims are all claims of the namespaces, and uses those that selected pods use.
	claims map[migration.ObjectKey]claim
	uses   []use
	// more is the number of selected objects beyond those that are kept.
	more int
}

// claim is a PersistentVolumeClaim.
type claim struct {
	class    string
	size     resource.Quantity
	selected bool
}

// use is a volume of a selected pod with a claim.
type use struct {
	claim     migration.ObjectKey
	running   bool
	annotated bool
}

// Object reads an object of a source.
func Object(ctx context.Context, c *client.Client, r velero.Resource, key migration.ObjectKey) ([]byte, error) {
	ctx = klog.NewContext(ctx, logr.Discard()) // it may be a Secret, which client-go must not log
	return client.Get(ctx, c, collectionOf(r, key.Namespace), key.Name)
}

// readNamespaces determines which of the selected namespaces are missing, and which Velero excludes.
func (s *source) readNamespaces(ctx context.Context) {
	s.excluded = sets.New[string]()
	missing := sets.New[string]()
	if velero.ListsNamespaces(s.filter) {
		missing.Insert(s.filter.IncludedNamespaces...)
	}
	all := client.Collection{Resource: corev1.SchemeGroupVersion.WithResource(velero.Namespaces), MetadataOnly: true}
	err := client.Each(ctx, s.Client, all, metav1.ListOptions{Limit: pageSize}, maxPages, func(o *metav1.PartialObjectMetadata) error {
		missing.Delete(o.Name)
		if isName(o.Name) && o.Labels[velerov1.ExcludeFromBackupLabel] == "true" && velero.IncludesNamespace(s.filter, o.Name) {
			s.excluded.Insert(o.Name)
		}
		return nil
	})
	s.failed("namespaces", err)
	if err == nil {
		s.found.MissingNamespaces, s.found.ExcludedNamespaces = sets.List(missing), sets.List(s.excluded)
	}
}

// list lists the selected objects of a resource.
func (s *source) list(ctx context.Context, r velero.Resource) error {
	var namespaces []string
	if velero.ListsNamespaces(s.filter) {
		namespaces = slices.DeleteFunc(slices.Clone(s.filter.IncludedNamespaces), s.excluded.Has)
	}
	opts, pages := metav1.ListOptions{Limit: pageSize}, maxPages
	if whole.Has(r.String()) {
		opts.Limit, pages = wholePageSize, maxPages*pageSize/wholePageSize
	}
	isClaim := r.Is(claims)
	if one, _ := velero.Selectors(s.filter); one != nil && !isClaim {
		selector, err := metav1.LabelSelectorAsSelector(one)
		if err != nil {
			return err
		}
		opts.LabelSelector = selector.String()
	}
	found := migration.SelectedResource{Resource: r}
	var err error
	for _, objects := range collectionsOf(r, namespaces) {
		objects.MetadataOnly = !whole.Has(r.String())
		err = errors.Join(err, client.Each(ctx, s.Client, objects, opts, pages, func(o *object) error {
			isExcluded := o.Metadata.Labels[velerov1.ExcludeFromBackupLabel] == "true"
			if isExcluded || !isName(o.Metadata.Name) || o.Metadata.Namespace != "" && !isName(o.Metadata.Namespace) {
				return nil
			}
			matches := velero.IncludesLabels(s.filter, labels.Set(o.Metadata.Labels))
			if r.Namespaced && (s.excluded.Has(o.Metadata.Namespace) || !velero.IncludesNamespace(s.filter, o.Metadata.Namespace)) || !matches && !isClaim {
				return nil
			}
			s.do(func() { s.add(r, o, matches, &found) })
			return nil
		}))
	}
	s.do(func() {
		if err != nil {
			s.unlisted.Insert(r.String())
		}
		if found.Count > 0 || isClaim {
			s.found.Selected = append(s.found.Selected, found)
		}
	})
	return err
}

// add adds an object. A claim is selected by its labels, or by a selected pod that uses it.
func (s *source) add(r velero.Resource, o *object, matches bool, to *migration.SelectedResource) {
	key := migration.ObjectKey{Namespace: o.Metadata.Namespace, Name: o.Metadata.Name}
	if r.Is(claims) {
		s.addClaim(key, o, matches)
		return
	}
	if velero.IsOwn(itemOf(r, key)) {
		return
	}
	if !s.count(to, key) {
		return
	}
	if !isFinished(r, o) {
		s.needOne(to.Resource, key)
	}
	for _, reference := range referencesOf(r, o) {
		to := itemOf(reference.Resource, reference.To)
		if _, known := s.references[to]; !known && len(s.references) < maxObjects {
			s.references[to] = reference
		}
	}
	switch r.String() {
	case "pods":
		s.addPod(key, o)
	case "services":
		s.addService(key, o)
	}
}

// count counts a selected object, and reports whether it is one of those that are kept.
func (s *source) count(to *migration.SelectedResource, key migration.ObjectKey) bool {
	to.Count++
	if len(s.selected) >= maxObjects {
		s.more++
		return false
	}
	to.Objects = append(to.Objects, key)
	s.selected.Insert(itemOf(to.Resource, key))
	return true
}

// isFinished reports whether an object is a Pod or a Job that has finished, which Velero does not restore.
func isFinished(r velero.Resource, o *object) bool {
	var status struct {
		Phase          corev1.PodPhase `json:"phase"`
		CompletionTime string          `json:"completionTime"`
	}
	if name := r.String(); name != "pods" && name != "jobs.batch" || json.Unmarshal(o.Status, &status) != nil {
		return false
	}
	return status.Phase == corev1.PodSucceeded || status.Phase == corev1.PodFailed || status.CompletionTime != ""
}

// needOne adds an object to what the objects of its namespace take of a quota.
func (s *source) needOne(r velero.Resource, key migration.ObjectKey) {
	one := *resource.NewQuantity(1, resource.DecimalSI)
	s.need(key.Namespace, corev1.ResourceName("count/"+r.String()), one)
	if r.Group == "" {
		s.need(key.Namespace, corev1.ResourceName(r.Name), one)
	}
}

// need adds to what the objects of a namespace take of a quota.
func (s *source) need(namespace string, name corev1.ResourceName, quantity resource.Quantity) {
	needs := s.found.Needs[namespace]
	if needs == nil {
		needs = corev1.ResourceList{}
		s.found.Needs[namespace] = needs
	}
	sum := needs[name]
	sum.Add(quantity)
	needs[name] = sum
}

// largest keeps the largest amounts of what LimitRanges limit.
func (s *source) largest(namespace string, of corev1.LimitType, amounts corev1.ResourceList) {
	items := s.found.Largest[namespace]
	i := slices.IndexFunc(items, func(item corev1.LimitRangeItem) bool { return item.Type == of })
	if i < 0 {
		i = len(items)
		items = append(items, corev1.LimitRangeItem{Type: of, Max: corev1.ResourceList{}})
		s.found.Largest[namespace] = items
	}
	for name, amount := range amounts {
		if before, ok := items[i].Max[name]; !ok || before.Cmp(amount) < 0 {
			items[i].Max[name] = amount
		}
	}
}

func (s *source) addClaim(key migration.ObjectKey, o *object, matches bool) {
	var spec corev1.PersistentVolumeClaimSpec
	var status corev1.PersistentVolumeClaimStatus
	if json.Unmarshal(o.Spec, &spec) != nil || len(s.claims) == maxObjects {
		return
	}
	_ = json.Unmarshal(o.Status, &status) // a claim without capacity has the size that it requests
	c := claim{size: spec.Resources.Requests[corev1.ResourceStorage], selected: matches}
	if capacity, ok := status.Capacity[corev1.ResourceStorage]; ok {
		c.size = capacity
	}
	if spec.StorageClassName != nil && isName(*spec.StorageClassName) {
		c.class = *spec.StorageClassName
	}
	s.claims[key] = c
}

func (s *source) addPod(key migration.ObjectKey, o *object) {
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	if json.Unmarshal(o.Spec, &pod.Spec) != nil {
		return
	}
	_ = json.Unmarshal(o.Status, &pod.Status) // only the phase matters
	annotated := strings.Split(o.Metadata.Annotations[velerov1.VolumesToBackupAnnotation], ",")
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		u := use{running: pod.Status.Phase == corev1.PodRunning, annotated: slices.Contains(annotated, v.Name)}
		switch {
		case v.PersistentVolumeClaim != nil:
			u.claim = migration.ObjectKey{Namespace: key.Namespace, Name: v.PersistentVolumeClaim.ClaimName}
		case v.Ephemeral != nil:
			u.claim = migration.ObjectKey{Namespace: key.Namespace, Name: key.Name + "-" + v.Name}
		default:
			continue
		}
		if isName(u.claim.Name) && len(s.uses) < maxObjects {
			s.uses = append(s.uses, u)
		}
	}
	if isFinished(velero.Resource{Name: "pods"}, o) {
		return
	}
	for name, quantity := range podresource.PodRequests(&pod, podresource.PodResourcesOptions{}) {
		s.need(key.Namespace, "requests."+name, quantity)
		s.need(key.Namespace, name, quantity)
	}
	for name, quantity := range podresource.PodLimits(&pod, podresource.PodResourcesOptions{}) {
		s.need(key.Namespace, "limits."+name, quantity)
	}
	for _, container := range pod.Spec.Containers {
		s.largest(key.Namespace, corev1.LimitTypeContainer, container.Resources.Limits)
	}
}

func (s *source) addService(key migration.ObjectKey, o *object) {
	var spec corev1.ServiceSpec
	if json.Unmarshal(o.Spec, &spec) != nil {
		return
	}
	one := *resource.NewQuantity(1, resource.DecimalSI)
	service := migration.ServiceAddresses{ObjectKey: key, LoadBalancerIP: spec.LoadBalancerIP}
	// Velero keeps the node ports that the last applied configuration has (service_action.go of v1.18.3).
	applied := o.Metadata.Annotations[corev1.LastAppliedConfigAnnotation]
	preserves := s.policy.PreserveNodePorts != nil && *s.policy.PreserveNodePorts
	for _, port := range spec.Ports {
		if port.NodePort == 0 {
			continue
		}
		s.need(key.Namespace, "services.nodeports", one)
		if preserves || strings.Contains(applied, fmt.Sprintf(`"nodePort":%d`, port.NodePort)) {
			service.NodePorts = append(service.NodePorts, port.NodePort)
		}
	}
	if spec.Type == corev1.ServiceTypeLoadBalancer {
		s.need(key.Namespace, "services.loadbalancers", one)
	}
	if len(service.LoadBalancerIP) > maxName {
		return
	}
	if len(service.NodePorts) > 0 || service.LoadBalancerIP != "" {
		s.found.Services = append(s.found.Services, service)
	}
}

// addVolumes counts the selected claims and determines how their data would be moved.
func (s *source) addVolumes() {
	i := slices.IndexFunc(s.found.Selected, func(r migration.SelectedResource) bool { return r.Is(claims) })
	if i < 0 {
		return
	}
	byClaim := map[migration.ObjectKey][]use{}
	for _, u := range s.uses {
		byClaim[u.claim] = append(byClaim[u.claim], u)
	}
	to := &s.found.Selected[i]
	compare := func(a, b migration.ObjectKey) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	}
	for _, key := range slices.SortedFunc(maps.Keys(s.claims), compare) {
		c := s.claims[key]
		if !c.selected && len(byClaim[key]) == 0 {
			continue
		}
		if !s.count(to, key) {
			continue
		}
		s.needOne(claims, key)
		s.need(key.Namespace, corev1.ResourceRequestsStorage, c.size)
		s.need(key.Namespace, corev1.ResourceName(s.mapped(c.class)+".storageclass.storage.k8s.io/requests.storage"), c.size)
		s.largest(key.Namespace, corev1.LimitTypePersistentVolumeClaim, corev1.ResourceList{corev1.ResourceStorage: c.size})
		s.found.Volumes = append(s.found.Volumes, v1alpha1.VolumePreview{
			Namespace: key.Namespace, Claim: key.Name, StorageClass: c.class, Bytes: c.size.Value(), Method: s.method(byClaim[key]),
		})
	}
	if to.Count == 0 {
		s.found.Selected = slices.Delete(s.found.Selected, i, i+1)
	}
}

// mapped returns the StorageClass that claims of a class get in the targets.
func (s *source) mapped(class string) string {
	if s.policy.Volumes == nil {
		return class
	}
	return cmp.Or(s.policy.Volumes.StorageClassMapping[class], class)
}

// method returns how the data of a claim with these uses would be moved; empty if Velero's configuration decides.
func (s *source) method(uses []use) string {
	var data v1alpha1.VolumeDataPolicy
	if s.policy.Volumes != nil {
		data = s.policy.Volumes.Data
	}
	isRunning := func(u use) bool { return u.running }
	isAnnotated := func(u use) bool { return u.running && u.annotated }
	switch {
	case data == v1alpha1.VolumeDataFileSystemBackup && !slices.ContainsFunc(uses, isRunning):
		return string(v1alpha1.VolumeDataNone)
	case data != "":
		return string(data)
	case slices.ContainsFunc(uses, isAnnotated):
		return string(v1alpha1.VolumeDataFileSystemBackup)
	}
	return ""
}

// readLeftBehind determines which objects that selected ones refer to are in the source and are not selected. The
// claims of a selected pod Velero selects itself.
func (s *source) readLeftBehind(ctx context.Context) {
	followed := 0
	for to, reference := range s.references {
		isUnknown := s.more > 0 || s.unlisted.Has(reference.Resource.String())
		if s.selected.Has(to) || isUnknown && velero.IncludesResource(s.filter, reference.Resource) {
			continue
		}
		if followed++; followed > maxReferences {
			s.failed("references", fmt.Errorf("there are more than %d", maxReferences))
			return
		}
		s.start(ctx, "what selected objects refer to", func() error {
			found, err := exists(ctx, s.Client, reference.Resource, reference.To)
			if found {
				s.do(func() { s.found.LeftBehind = append(s.found.LeftBehind, reference) })
			}
			return err
		})
	}
}

// exists reports whether a cluster has an object.
func exists(ctx context.Context, c *client.Client, r velero.Resource, key migration.ObjectKey) (bool, error) {
	objects := collectionOf(r, key.Namespace)
	objects.MetadataOnly = true
	_, err := client.Get(ctx, c, objects, key.Name)
	if apierrors.IsNotFound(err) || errors.Is(err, client.ErrVeleroNotInstalled) { // how Do reports any resource that is not served
		return false, nil
	}
	return err == nil, err
}

// readSamples reads an object of each resource and namespace.
func (s *source) readSamples(ctx context.Context) {
	samples := 0
	for _, r := range s.found.Selected {
		namespaces := sets.New[string]()
		for _, key := range r.Objects {
			if namespaces.Has(key.Namespace) || r.Name == velero.PersistentVolumes || r.Is(secrets) {
				continue
			}
			if namespaces.Insert(key.Namespace); samples == maxSamples {
				return
			}
			samples++
			s.start(ctx, "an object of each kind", func() error {
				body, err := Object(ctx, s.Client, r.Resource, key)
				if err == nil && len(body) <= maxSampleSize {
					s.do(func() {
						s.found.Samples = append(s.found.Samples, migration.Sample{Resource: r.Resource, ObjectKey: key, JSON: body})
					})
				}
				return err
			})
		}
	}
}
