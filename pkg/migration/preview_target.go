// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/version"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// addSurvey adds what the items would meet in a target.
func (p *preview) addSurvey(name string, survey *TargetSurvey, found *v1alpha1.TargetPreview) {
	source := p.surveys.Source
	if isOlder(survey.Kubernetes, source.Kubernetes) {
		p.warn(name, v1alpha1.ReasonKubernetesVersionSkew, "%s has Kubernetes %s, older than %s of the source; it may not serve all versions and fields of the objects.",
			name, survey.Kubernetes, source.Kubernetes)
	}
	p.addNotServed(name, survey)
	p.addClasses(name, survey)
	p.addExisting(name, survey, found)
	if len(survey.Terminating) > 0 {
		p.warn(name, v1alpha1.ReasonNamespaceTerminating, "Namespaces are being deleted in %s, and Velero waits until they are gone: %s.", name, listed(survey.Terminating))
	}
	p.addAddresses(name, survey)
	p.addQuotas(name, survey)
	p.addMissing(name, survey)
	if len(survey.Denied) > 0 {
		var denied []string
		for _, d := range survey.Denied {
			denied = append(denied, describeException(velero.ItemResult{Item: d.Item, Message: d.Message}))
		}
		p.warn(name, v1alpha1.ReasonAdmissionDenied, "%s does not accept objects as they are in the source (tried without creating them): %s.", name, listed(denied))
	}
}

// isOlder reports whether a version of Kubernetes is of an older minor version than another one.
func isOlder(a, b string) bool {
	older, err := version.ParseGeneric(a)
	if err != nil {
		return false
	}
	newer, err := version.ParseGeneric(b)
	return err == nil && (older.Major() < newer.Major() || older.Major() == newer.Major() && older.Minor() < newer.Minor())
}

// addNotServed adds the kinds that a target does not serve. Velero migrates a definition with its objects, but does not
// change one that the target has.
func (p *preview) addNotServed(name string, survey *TargetSurvey) {
	var filter v1alpha1.ResourceFilter
	if p.m.Spec.Policy != nil && p.m.Spec.Policy.ResourceFilter != nil {
		filter = *p.m.Spec.Policy.ResourceFilter
	}
	var kinds []string
	for _, r := range survey.NotServed {
		if !r.InOtherVersion && velero.IsCustom(r.Resource) && !velero.ExcludesClusterScoped(filter) {
			continue
		}
		kinds = append(kinds, fmt.Sprintf("%s (%s)", r.String(), r.Version))
	}
	if len(kinds) > 0 {
		p.warn(name, v1alpha1.ReasonKindNotServed, "%s does not serve these kinds in the version of the source, so their objects are left out: %s. Install their definitions there, or exclude them in the filter.",
			name, listed(kinds))
	}
}

// addClasses adds the StorageClasses that a target lacks, unless the target waits for them.
func (p *preview) addClasses(name string, survey *TargetSurvey) {
	if survey.Classes == nil {
		return
	}
	var mapping map[string]string
	if p.m.Spec.Policy != nil && p.m.Spec.Policy.Volumes != nil {
		if p.m.Spec.Policy.Volumes.Data != "" {
			return
		}
		mapping = p.m.Spec.Policy.Volumes.StorageClassMapping
	}
	missing := sets.New[string]()
	for _, v := range p.surveys.Source.Volumes {
		if class := cmp.Or(mapping[v.StorageClass], v.StorageClass); class != "" && !slices.Contains(survey.Classes, class) {
			missing.Insert(class)
		}
	}
	if len(missing) > 0 {
		p.warn(name, v1alpha1.ReasonStorageClassNotFound, "Claims have StorageClasses that do not exist in %s: %s. Create them, or set spec.policy.volumes.storageClassMapping.",
			name, listed(sets.List(missing)))
	}
}

// addExisting adds the items that a target has already.
func (p *preview) addExisting(name string, survey *TargetSurvey, found *v1alpha1.TargetPreview) {
	existing := survey.Existing
	if existing == nil {
		return
	}
	found.Existing = &v1alpha1.ExistingItems{Same: existing.Same, Different: int64(len(existing.Different)), NotCompared: existing.NotCompared}
	var items []string
	for _, item := range existing.Different {
		items = append(items, describeException(velero.ItemResult{Item: item}))
	}
	switch {
	case len(items) > 0 && !allowsExistingItems(p.m):
		p.warn(name, v1alpha1.ReasonExistingItemsKept, "%s has these objects with other content, and they are left as they are: %s. Delete them there, or set spec.policy.existingResourcePolicy.",
			name, listed(items))
	case len(items) > 0 && p.m.Spec.Policy.ExistingResourcePolicy == v1alpha1.ExistingResourceUpdate:
		p.warn(name, v1alpha1.ReasonExistingItems, "%s has these objects with other content, and spec.policy.existingResourcePolicy changes them: %s.", name, listed(items))
	case len(items) > 0:
		p.inform(name, v1alpha1.ReasonExistingItems, "%s has these objects with other content, and they are left as they are: %s.", name, listed(items))
	}
	if existing.NotCompared > 0 {
		p.warn(name, v1alpha1.ReasonExistingItems, "%s has %s that were not compared.", name, count(existing.NotCompared, "more selected object"))
	}
}

// addAddresses adds the node ports and load balancer addresses that others have in a target.
func (p *preview) addAddresses(name string, survey *TargetSurvey) {
	var taken []string
	mapping := p.mapping()
	for _, service := range p.surveys.Source.Services {
		own := ObjectKey{cmp.Or(mapping[service.Namespace], service.Namespace), service.Name}
		for _, port := range service.NodePorts {
			if by, used := survey.NodePorts[port]; used && by != own {
				taken = append(taken, fmt.Sprintf("node port %d of Service %s/%s by %s/%s", port, own.Namespace, own.Name, by.Namespace, by.Name))
			}
		}
		if by, used := survey.LoadBalancerIPs[service.LoadBalancerIP]; used && by != own {
			taken = append(taken, fmt.Sprintf("load balancer address %s of Service %s/%s by %s/%s", service.LoadBalancerIP, own.Namespace, own.Name, by.Namespace, by.Name))
		}
	}
	if len(taken) > 0 {
		p.warn(name, v1alpha1.ReasonAddressTaken, "Other Services in %s use what selected ones ask for: %s.", name, listed(taken))
	}
}

func (p *preview) mapping() map[string]string {
	if p.m.Spec.Policy == nil {
		return nil
	}
	return p.m.Spec.Policy.NamespaceMapping
}

// addMissing adds what selected objects refer to and a target would not have.
func (p *preview) addMissing(name string, survey *TargetSurvey) {
	var missing []string
	for _, reference := range survey.Missing {
		missing = append(missing, fmt.Sprintf("%s %s, which %s refers to",
			reference.Resource.Kind, strings.TrimPrefix(reference.To.Namespace+"/"+reference.To.Name, "/"), describeException(velero.ItemResult{Item: reference.From})))
	}
	if len(missing) > 0 {
		p.warn(name, v1alpha1.ReasonReferenceLeftBehind, "The filter leaves objects behind that selected ones refer to, and %s does not have them: %s. Select them, or create them there.",
			name, listed(missing))
	}
}

// addQuotas adds the ResourceQuotas and LimitRanges of a target that do not allow the items. A quota with scopes is
// not considered, nor an amount of which some items take a part that the target has already.
func (p *preview) addQuotas(name string, survey *TargetSurvey) {
	var exceeded []string
	needs, existing := p.needs(survey)
	for _, quota := range survey.Quotas {
		if len(quota.Spec.Scopes) > 0 || quota.Spec.ScopeSelector != nil {
			continue
		}
		for _, resourceName := range slices.Sorted(maps.Keys(quota.Status.Hard)) {
			need, needed := needs[quota.Namespace][resourceName]
			if !needed || existing.Has(quota.Namespace+"/"+takerOf(resourceName)) {
				continue
			}
			hard, sum := quota.Status.Hard[resourceName], quota.Status.Used[resourceName]
			used := sum.DeepCopy()
			if sum.Add(need); sum.Cmp(hard) > 0 {
				exceeded = append(exceeded, fmt.Sprintf("ResourceQuota %s/%s allows %s of %s, of which %s are used and %s more are needed",
					quota.Namespace, quota.Name, hard.String(), resourceName, used.String(), need.String()))
			}
		}
	}
	for _, limits := range survey.LimitRanges {
		for _, item := range limits.Spec.Limits {
			for _, resourceName := range slices.Sorted(maps.Keys(item.Max)) {
				most, largest := item.Max[resourceName], p.largest(limits.Namespace, item.Type, resourceName)
				if largest.Cmp(most) > 0 {
					exceeded = append(exceeded, fmt.Sprintf("LimitRange %s/%s allows a %s to have at most %s of %s, and one has %s",
						limits.Namespace, limits.Name, item.Type, most.String(), resourceName, largest.String()))
				}
			}
		}
	}
	if len(exceeded) > 0 {
		p.warn(name, v1alpha1.ReasonQuotaExceeded, "Not all objects are allowed in %s: %s.", name, listed(exceeded))
	}
}

// takerOf returns the kind of the items that take amounts of a resource of a quota; empty for a number of objects.
func takerOf(name corev1.ResourceName) string {
	switch text := string(name); {
	case strings.HasPrefix(text, "services."):
		return "Service"
	case strings.HasSuffix(text, "requests.storage"):
		return "PersistentVolumeClaim"
	case strings.HasPrefix(text, "requests."), strings.HasPrefix(text, "limits."), name == corev1.ResourceCPU, name == corev1.ResourceMemory:
		return "Pod"
	}
	return ""
}

// needs returns what the items that a target lacks take of a quota, by its namespaces, and which it has already, as
// NAMESPACE/KIND.
func (p *preview) needs(survey *TargetSurvey) (map[string]corev1.ResourceList, sets.Set[string]) {
	mapping, needs, existing := p.mapping(), map[string]corev1.ResourceList{}, sets.New[string]()
	for namespace, list := range p.surveys.Source.Needs {
		needs[cmp.Or(mapping[namespace], namespace)] = list.DeepCopy()
	}
	if survey.Existing == nil {
		return needs, existing
	}
	one := *resource.NewQuantity(1, resource.DecimalSI)
	resources := map[string]velero.Resource{}
	for _, r := range p.surveys.Source.Selected {
		resources[r.ItemKind()] = r.Resource
	}
	for item := range survey.Existing.All {
		existing.Insert(item.Namespace + "/" + item.Kind)
		r := resources[item.Kind]
		for _, name := range []corev1.ResourceName{corev1.ResourceName("count/" + r.String()), corev1.ResourceName(r.Name)} {
			if need, ok := needs[item.Namespace][name]; ok {
				need.Sub(one)
				needs[item.Namespace][name] = need
			}
		}
	}
	return needs, existing
}

// largest returns the largest amount of a resource that an item of a namespace of the target has.
func (p *preview) largest(namespace string, of corev1.LimitType, name corev1.ResourceName) (amount resource.Quantity) {
	mapping := p.mapping()
	for from, items := range p.surveys.Source.Largest {
		if cmp.Or(mapping[from], from) != namespace {
			continue
		}
		for _, item := range items {
			if largest := item.Max[name]; item.Type == of && largest.Cmp(amount) > 0 {
				amount = largest
			}
		}
	}
	return amount
}
