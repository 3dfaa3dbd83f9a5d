// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Item is an object of a Backup as Velero's lists name it.
type Item struct {
	// Kind is its kind with its group, such as ConfigMap or Deployment.apps.
	Kind string
	// Namespace is empty for a cluster-scoped object.
	Namespace, Name string
}

// IsNamespace reports whether the item is a Namespace.
func (i Item) IsNamespace() bool { return i.Kind == kindNamespace }

// kind returns the kind without the group.
func (i Item) kind() string {
	kind, _, _ := strings.Cut(i.Kind, ".")
	return kind
}

// ItemResult is what became of an item.
type ItemResult struct {
	Item
	Outcome v1alpha1.ItemOutcome
	// Message is what Velero reports about it; may be empty.
	Message string
}

// Visitor receives each item that counts and each volume while the lists are read. An error ends reading.
// A nil function is not called.
type Visitor struct {
	Item   func(ItemResult) error
	Volume func(VolumeResult) error
}

func (v Visitor) item(r ItemResult) error {
	if v.Item == nil {
		return nil
	}
	return v.Item(r)
}

// MaxExceptions is how many exceptions with each outcome are kept.
const MaxExceptions = 20

// Exceptions are the exceptions of a Backup or Restore, with each outcome in the order of Velero's
// lists.
type Exceptions struct {
	// First are the first MaxExceptions with each outcome.
	First map[v1alpha1.ItemOutcome][]ItemResult
	// Count is the number of all with each outcome.
	Count map[v1alpha1.ItemOutcome]int64
}

// Add adds an exception.
func (e *Exceptions) Add(x ItemResult) {
	e.init()
	if e.Count[x.Outcome]++; e.Count[x.Outcome] <= MaxExceptions {
		for _, text := range []*string{&x.Kind, &x.Namespace, &x.Name, &x.Message} {
			*text = strings.Clone((*text)[:min(len(*text), maxErrorLength)])
		}
		e.First[x.Outcome] = append(e.First[x.Outcome], x)
	}
}

func (e *Exceptions) init() {
	if e.Count == nil {
		e.First, e.Count = map[v1alpha1.ItemOutcome][]ItemResult{}, map[v1alpha1.ItemOutcome]int64{}
	}
}

// Join adds the exceptions of other.
func (e *Exceptions) Join(other Exceptions) {
	e.init()
	for outcome, total := range other.Count {
		for _, x := range other.First[outcome] {
			e.Add(x)
		}
		if more := total - int64(len(other.First[outcome])); more > 0 {
			e.Count[outcome] += more
		}
	}
}

// Total returns the number of exceptions with any outcome.
func (e *Exceptions) Total() (total int64) {
	for _, n := range e.Count {
		total += n
	}
	return total
}

// BackedUp is what a Backup has by its list of resources.
type BackedUp struct {
	// Items is the number of its items that count; see IsOwn.
	Items int64
	// Claims are its PersistentVolumeClaims, at most maxVolumes.
	Claims []Claim
	// Kinds are the kinds of its items, at most maxKinds, and Namespaces those that have items, at most
	// one more than maxContents.
	Kinds, Namespaces sets.Set[string]
}

// maxKinds is the largest number of kinds of a Backup that are kept, each of at most maxKindLength bytes.
const maxKinds, maxKindLength = 10000, 300

// HasVolumes reports whether the Backup may have volumes: those of pods, or claims.
func (b *BackedUp) HasVolumes() bool { return b.Kinds.Has(kindPod) || len(b.Claims) > 0 }

// ReadBackedUp reads the list of resources of a Backup (BackupResourceList), whose items to receives.
func ReadBackedUp(file io.Reader, to Visitor) (BackedUp, error) {
	var found BackedUp
	err := eachItem(file, func(item Item, _ string) error {
		if err := found.add(item); err != nil || IsOwn(item) {
			return err
		}
		return to.item(ItemResult{Item: item, Outcome: v1alpha1.ItemBackedUp})
	})
	return found, err
}

// addKind adds the kind of an item, unless there are too many.
func addKind(kinds sets.Set[string], item Item) {
	if !kinds.Has(item.Kind) && len(kinds) < maxKinds && len(item.Kind) <= maxKindLength {
		kinds.Insert(strings.Clone(item.Kind))
	}
}

// add counts an item.
func (b *BackedUp) add(item Item) error {
	if !IsOwn(item) {
		b.Items++
	}
	if b.Kinds == nil {
		b.Kinds = sets.New[string]()
	}
	addKind(b.Kinds, item)
	namespace := item.Namespace
	if item.Kind == kindNamespace {
		namespace = item.Name
	}
	if namespace != "" && len(b.Namespaces) <= maxContents && !b.Namespaces.Has(namespace) {
		if b.Namespaces == nil {
			b.Namespaces = sets.New[string]()
		}
		b.Namespaces.Insert(clip(namespace))
	}
	if item.Kind == kindClaim {
		if len(b.Claims) == maxVolumes {
			return fmt.Errorf("it has more than %d claims", maxVolumes)
		}
		b.Claims = append(b.Claims, Claim{clip(item.Namespace), clip(item.Name)})
	}
	return nil
}

// The kinds that have rules of their own.
const (
	kindNamespace      = "Namespace"
	kindClaim          = "PersistentVolumeClaim"
	kindVolume         = "PersistentVolume"
	kindPod            = "Pod"
	kindSecret         = "Secret"
	kindServiceAccount = "ServiceAccount"
	kindConfigMap      = "ConfigMap"
	kindService        = "Service"
	kindEndpoints      = "Endpoints"
	kindEndpointSlice  = "EndpointSlice.discovery.k8s.io"
	kindJob            = "Job.batch"
	kindCronJob        = "CronJob.batch"
	kindReplicaSet     = "ReplicaSet.apps"
	kindStatefulSet    = "StatefulSet.apps"
	kindDaemonSet      = "DaemonSet.apps"
)

// IsOwn reports whether every cluster has an object of its own in place of item, so that it does not
// count: a Namespace, the ServiceAccount default and the ConfigMap kube-root-ca.crt of a namespace,
// the Service kubernetes with its endpoints, what Velero never restores, such as Events, and the
// snapshots of volumes, which are counted instead.
func IsOwn(item Item) bool {
	switch item.Kind {
	case kindNamespace:
		return true
	case kindServiceAccount:
		return item.Name == "default"
	case kindConfigMap:
		// Of Kubernetes, Istio and OpenShift.
		return slices.Contains([]string{"kube-root-ca.crt", "istio-ca-root-cert", "openshift-service-ca.crt"}, item.Name)
	case kindService, kindEndpoints, kindEndpointSlice:
		return item.Namespace == "default" && item.Name == "kubernetes"
	}
	return isSnapshot(item) || !IsRestored(resourceOf(item))
}

// isSnapshot reports whether item belongs to the snapshot of a volume. Velero restores it under another
// name, or not at all.
func isSnapshot(item Item) bool {
	return slices.Contains([]string{
		"DataUpload.velero.io", "VolumeSnapshot.snapshot.storage.k8s.io", "VolumeSnapshotContent.snapshot.storage.k8s.io",
		"VolumeSnapshotClass.snapshot.storage.k8s.io",
	}, item.Kind)
}

// isBootstrapped reports whether a cluster creates an object like item itself, at its start or as it
// runs. If it has one, that is not an exception.
func isBootstrapped(item Item) bool {
	switch item.Kind {
	case "ClusterRole.rbac.authorization.k8s.io", "ClusterRoleBinding.rbac.authorization.k8s.io":
		return strings.HasPrefix(item.Name, "system:") ||
			slices.Contains([]string{"cluster-admin", "admin", "edit", "view"}, item.Name)
	case "Role.rbac.authorization.k8s.io", "RoleBinding.rbac.authorization.k8s.io":
		return item.Namespace == "kube-system" || item.Namespace == "kube-public"
	case "PriorityClass.scheduling.k8s.io":
		return strings.HasPrefix(item.Name, "system-")
	case "Lease.coordination.k8s.io":
		return item.Namespace == "kube-system" || item.Namespace == "kube-node-lease"
	case kindConfigMap:
		return item.Namespace == "kube-system" && slices.Contains([]string{
			"extension-apiserver-authentication", "kube-apiserver-legacy-service-account-token-tracking",
		}, item.Name)
	case "APIService.apiregistration.k8s.io", "IPAddress.networking.k8s.io", "ServiceCIDR.networking.k8s.io",
		"FlowSchema.flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration.flowcontrol.apiserver.k8s.io":
		return true
	}
	return false
}

// Restored are the items that a Restore has processed, with what it did with each.
type Restored struct {
	items itemSet
	// WithoutPods is true if it leaves the pods out.
	WithoutPods bool
	// existing are the kinds of items that it has found, at most maxKinds.
	existing sets.Set[string]
	earlier  []*Earlier
}

// Earlier are the items that are in a target by the Restore of an earlier attempt. That they have other content now, as
// the cluster has changed them since, is no exception.
type Earlier struct {
	items   itemSet
	results Results
}

// Existing returns the kinds of the items that the target may have had.
func (r *Restored) Existing() []string { return sets.List(r.existing) }

// Created reports whether the Restore has created an item.
func (r *Restored) Created(item Item) bool {
	action, processed := r.items.find(hashOf(item.Kind, item.Namespace, item.Name))
	return processed && action == actionCreated
}

// AddEarlier adds a Restore of an earlier attempt, with its results.
func (r *Restored) AddEarlier(results Results) *Earlier {
	e := &Earlier{itemSet{use: r.items.use}, results}
	r.earlier = append(r.earlier, e)
	return e
}

// Add adds an item.
func (e *Earlier) Add(item Item) error {
	return e.items.add(hashOf(item.Kind, item.Namespace, item.Name))
}

// earlierOf returns the Restore of an earlier attempt by which an item is there; nil if there is none.
func (r *Restored) earlierOf(item Item) *Earlier {
	for _, e := range r.earlier {
		if _, is := e.items.find(hashOf(item.Kind, item.Namespace, item.Name)); is {
			return e
		}
	}
	return nil
}

// hasEarlier reports whether anything is there by an earlier attempt.
func (r *Restored) hasEarlier() bool {
	return slices.ContainsFunc(r.earlier, func(e *Earlier) bool { return len(e.items.hashes) > 0 })
}

// LastingErrors returns the errors of the Restores by which something is there that a later attempt neither mends nor tells of
// again, such as those of hooks.
func (r *Restored) LastingErrors() []string {
	var lasting []string
	for _, e := range r.earlier {
		if len(e.items.hashes) == 0 {
			continue
		}
		for _, message := range e.results.Errors[min(e.results.veleros, len(e.results.Errors)):] {
			if !isToldAgain(message) {
				lasting = append(lasting, message)
			}
		}
		if len(e.results.Errors) >= maxErrors {
			lasting = append(lasting, fmt.Sprintf("it has more errors than the first %d, which are not known", maxErrors))
		}
	}
	return lasting
}

// The actions of a Restore, as pkg/restore/request.go of Velero v1.18.3 names them in its list.
const (
	actionUnknown = iota
	actionCreated
	actionUpdated
	actionSkipped
	actionFailed
)

var actions = map[string]uint64{"created": actionCreated, "updated": actionUpdated, "skipped": actionSkipped, "failed": actionFailed}

// ReadRestored reads the list of resources of a Restore (RestoreResourceList).
func ReadRestored(file io.Reader, use Use) (*Restored, error) {
	found := &Restored{items: itemSet{use: use}, existing: sets.New[string]()}
	err := eachItem(file, func(item Item, action string) error {
		if is := actions[action]; is != actionCreated && is != actionUpdated {
			addKind(found.existing, item)
		}
		return found.items.add(hashOf(item.Kind, item.Namespace, item.Name) | actions[action])
	})
	found.items.sort()
	return found, err
}

// Outcomes is what became of the items of a Backup in a target.
type Outcomes struct {
	BackedUp
	// Counts has the number of items with each outcome.
	Counts v1alpha1.ItemCounts
	// Exceptions are the items that were not restored as they are in the source.
	Exceptions Exceptions
}

// ReadOutcomes reads the list of resources of a Backup (BackupResourceList), and determines what
// became of each item in a target, which to receives, from the list and the results of its Restore.
// mapping is the Restore's namespaceMapping, and status selects the items whose status is to be restored
// too; nil for none.
func ReadOutcomes(file io.Reader, restored *Restored, results *Results, mapping map[string]string, status *v1alpha1.PreserveStatus, to Visitor) (Outcomes, error) {
	var found Outcomes
	made := makers{}
	for _, e := range restored.earlier {
		e.items.sort()
	}
	err := eachItem(file, func(item Item, _ string) error {
		if err := found.add(item); err != nil {
			return err
		}
		made.add(item)
		there := item
		there.Namespace = cmp.Or(mapping[item.Namespace], item.Namespace)
		action, processed := restored.items.find(hashOf(there.Kind, there.Namespace, there.Name))
		is := outcomeOf(there, action, processed, results)
		of := results
		if e := restored.earlierOf(there); e != nil && mayBeEarlier(there, is, results) {
			is, of = restoredEarlier, &e.results
		} else if is == kept && item.Kind == kindPod && restored.hasEarlier() && isMadeAnew(item, made) {
			is = discarded
		}
		if lacksStatus(there, is, of, status) {
			is = withoutStatus
		}
		if exists := is == kept || is == unchanged || is == restoredEarlier; IsOwn(item) || exists && isBootstrapped(item) {
			return nil
		}
		if is == leftOut && isMadeAnew(item, made) {
			is = discarded
		}
		return to.item(found.count(there, is, results, restored.WithoutPods))
	})
	return found, err
}

// maxDescribed is how many failed items are looked up in the errors and warnings, of which as many are kept.
const maxDescribed = maxErrors

// count counts an item of the target, and returns what became of it. withoutPods is whether its Restore leaves the pods out.
func (o *Outcomes) count(item Item, is outcome, results *Results, withoutPods bool) ItemResult {
	r := ItemResult{Item: item}
	o.Counts.Total++
	switch is {
	case created:
		o.Counts.Created++
		r.Outcome = v1alpha1.ItemCreated
	case updated:
		o.Counts.Updated++
		r.Outcome = v1alpha1.ItemUpdated
	case unchanged:
		o.Counts.Unchanged++
		r.Outcome = v1alpha1.ItemUnchanged
	case restoredEarlier:
		o.Counts.Unchanged++
		r.Outcome, r.Message = v1alpha1.ItemUnchanged, "an earlier attempt restored it"
	case kept:
		o.Counts.Kept++
		r.Outcome, r.Message = v1alpha1.ItemKept, "it exists with other content"
	case failed:
		o.Counts.Failed++
		r.Outcome = v1alpha1.ItemFailed
		if o.Counts.Failed <= maxDescribed {
			r.Message = results.about(item)
		}
	case withoutStatus:
		o.Counts.LeftOut++
		r.Outcome, r.Message = v1alpha1.ItemLeftOut, "its status was not restored"
	case discarded:
		o.Counts.LeftOut++
		r.Outcome, r.Message = v1alpha1.ItemLeftOut, "the cluster makes it anew"
	case leftOut:
		o.Counts.LeftOut++
		r.Outcome, r.Message = v1alpha1.ItemLeftOut, whyLeftOut(item, results, withoutPods)
	}
	if is == kept || is == failed || is == withoutStatus || is == leftOut {
		o.Exceptions.Add(r)
	}
	return r
}

// whyLeftOut describes why Velero did not restore an item.
func whyLeftOut(item Item, results *Results, withoutPods bool) string {
	switch {
	case withoutPods && item.Kind == kindPod:
		return "the data of the volumes has arrived, so no pods are restored again; create it if it is needed"
	case len(results.Errors) > 0:
		return "Velero did not restore it; see its errors"
	case item.Kind == kindPod, item.Kind == kindJob:
		return "Velero does not restore a " + item.kind() + " that has finished"
	}
	return "Velero did not restore it: the cluster does not serve its kind, or the filter does not select it"
}

// outcome is what became of an item.
type outcome int

const (
	created outcome = iota
	updated
	unchanged
	// restoredEarlier means there by an earlier attempt, and changed since.
	restoredEarlier
	kept
	failed
	// discarded means left out because it is made anew.
	discarded
	// withoutStatus means there, but without the status that is to be restored.
	withoutStatus
	leftOut
)

// outcomeOf returns the outcome of an item, in the target's namespace, that the Restore has processed
// or not.
func outcomeOf(item Item, action uint64, processed bool, results *Results) outcome {
	switch {
	case !processed:
		return leftOut
	case action == actionCreated:
		return created
	case action == actionUpdated:
		return updated
	case action == actionSkipped && isDiscarded(item):
		return discarded
	case action == actionSkipped:
		return unchanged
	}
	if _, exists := results.kept.find(hashOf(item.Namespace, item.kind(), item.Name)); exists {
		return kept
	}
	return failed
}

// mayBeEarlier reports whether an item that is there by an earlier attempt is as that left it: the Restore found it, or left it
// out, or could not change it, which Velero reports in a warning.
func mayBeEarlier(item Item, is outcome, results *Results) bool {
	return is == kept || is == unchanged || is == leftOut || is == discarded || is == failed && !results.hasErrorAbout(item)
}

// lacksStatus reports whether the status of an item that is there was to be restored, and was not: Velero
// v1.18.3 restores that of a created item only, and an error in doing so is a warning. results are those of the Restore that
// created it.
func lacksStatus(item Item, is outcome, results *Results, status *v1alpha1.PreserveStatus) bool {
	if status == nil || is != created && is != updated && is != unchanged && is != restoredEarlier {
		return false
	}
	resource := resourceOfKind(item.Kind)
	return listsResource(status.IncludedResources, resource) && !listsResource(status.ExcludedResources, resource) &&
		(is != created && is != restoredEarlier || results.about(item) != "")
}

// isDiscarded reports whether Velero v1.18.3 skips an item of this kind although the target lacks it,
// because it is made anew: the volume of a claim, the Pod of a kubelet (an equal Pod is never there),
// tokens and what the API server registers itself (pkg/restore/actions).
func isDiscarded(item Item) bool {
	return slices.Contains([]string{kindVolume, kindPod, "APIService.apiregistration.k8s.io"}, item.Kind) || isToken(item)
}

// isToken reports whether item is a Secret with the name of a token that a ServiceAccount got from its
// cluster (secret_action.go of Velero v1.18.3).
func isToken(item Item) bool {
	_, suffix, found := cutLast(item.Name, "-token-")
	return item.Kind == kindSecret && found && isRandom(suffix)
}

// isMadeAnew reports whether an item that was not restored is no loss: a cluster makes such objects
// itself, or another item of the Backup, one of made, makes it anew.
func isMadeAnew(item Item, made makers) bool {
	switch item.Kind {
	case kindVolume:
		return true
	case kindPod:
		owner, suffix, found := cutLast(item.Name, "-")
		switch {
		case !found:
			return false
		case made.has(kindStatefulSet, item.Namespace, owner):
			return isNumber(suffix)
		case !isRandom(suffix):
			return false
		}
		// The pods of an indexed Job have its index before the suffix.
		job, index, _ := cutLast(owner, "-")
		return made.has(kindJob, item.Namespace, owner) || made.has(kindReplicaSet, item.Namespace, owner) ||
			made.has(kindDaemonSet, item.Namespace, owner) || isNumber(index) && made.has(kindJob, item.Namespace, job)
	case kindJob:
		// The CronJob controller appends the minutes since 1970.
		const digits = 8
		cronJob, minutes, found := cutLast(item.Name, "-")
		return found && len(minutes) == digits && isNumber(minutes) && made.has(kindCronJob, item.Namespace, cronJob)
	}
	return isBootstrapped(item) && item.Namespace == ""
}

// makers are the items of a Backup that make Jobs and Pods, at most maxMakers. In its list, which is
// sorted by version and kind, they are before these.
type makers map[uint64]struct{}

const maxMakers = 1 << 16

func (m makers) add(item Item) {
	isMaker := slices.Contains([]string{kindJob, kindCronJob, kindReplicaSet, kindStatefulSet, kindDaemonSet}, item.Kind)
	if isMaker && len(m) < maxMakers {
		m[hashOf(item.Kind, item.Namespace, item.Name)] = struct{}{}
	}
}

func (m makers) has(kind, namespace, name string) bool {
	_, ok := m[hashOf(kind, namespace, name)]
	return ok
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// isRandom reports whether s may be a suffix of a generated name: SimpleNameGenerator of
// k8s.io/apiserver.
func isRandom(s string) bool {
	const length, alphabet = 5, "bcdfghjklmnpqrstvwxz2456789"
	return len(s) == length && strings.Trim(s, alphabet) == ""
}

// cutLast cuts s at the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// resourceOf returns the resource of an item, by the usual plural of its kind.
func resourceOf(item Item) schema.GroupResource {
	kind, group, _ := strings.Cut(item.Kind, ".")
	plural, _ := meta.UnsafeGuessKindToResource(schema.GroupVersionKind{Group: group, Kind: kind})
	return plural.GroupResource()
}

// about returns the first error or warning that names an item; empty if none does.
func (r *Results) about(item Item) string {
	return cmp.Or(firstAbout(r.Errors, item), firstAbout(r.Warnings, item))
}

// hasErrorAbout reports whether an error names an item, or one that was not kept may.
func (r *Results) hasErrorAbout(item Item) bool {
	return len(r.Errors) >= maxErrors || firstAbout(r.Errors, item) != ""
}

// firstAbout returns the first of messages that names an item; empty if none does.
func firstAbout(messages []string, item Item) string {
	for _, message := range messages {
		place := ""
		if item.Namespace != "" {
			place = placeOf(item.Namespace)
		}
		if strings.HasPrefix(message, place) && names(message[len(place):], item.Name) {
			return strings.TrimPrefix(message, place)
		}
	}
	return ""
}

// names reports whether text has name as a whole word.
func names(text, name string) bool {
	isPart := func(c byte) bool {
		return c == '-' || c == '.' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	}
	for from := 0; ; {
		i := strings.Index(text[from:], name)
		if i < 0 || name == "" {
			return false
		}
		begin, end := from+i, from+i+len(name)
		if (begin == 0 || !isPart(text[begin-1])) && (end == len(text) || !isPart(text[end])) {
			return true
		}
		from = begin + 1
	}
}

// eachItem calls f for each entry of a list of resources: an object from apiVersion/Kind to lists of
// namespace/name or name, in the list of a Restore with the action in parentheses.
func eachItem(file io.Reader, f func(item Item, action string) error) error {
	items := 0
	return decode(file, "list of resources", func(d *json.Decoder) error {
		return fields(d, func(versionAndKind string) error {
			kind := kindOf(versionAndKind)
			return texts(d, func(entry string) error {
				if items++; items > maxItems {
					return fmt.Errorf("it has more than %d items", maxItems)
				}
				entry, action, _ := strings.Cut(strings.TrimSuffix(entry, ")"), "(")
				item := Item{Kind: kind, Name: entry}
				if namespace, name, ok := strings.Cut(entry, "/"); ok {
					item.Namespace, item.Name = namespace, name
				}
				return f(item, action)
			})
		})
	})
}

// kindOf returns the kind and the group of apiVersion/Kind, such as apps/v1/Deployment or v1/Pod. The
// version doesn't matter: a target may prefer another one.
func kindOf(versionAndKind string) string {
	version, kind, _ := cutLast(versionAndKind, "/")
	if group, _, ok := strings.Cut(version, "/"); ok {
		return kind + "." + group
	}
	return kind
}
