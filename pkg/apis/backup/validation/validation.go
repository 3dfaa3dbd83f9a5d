// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
)

// ValidateMigrate validates a new Migrate.
func ValidateMigrate(m *backup.Migrate) field.ErrorList {
	if errs := validateBytes(m); len(errs) > 0 {
		return errs
	}
	errs := validateMeta(&m.ObjectMeta)
	return firstOf(append(errs, validateSpec(&m.Spec, m.Namespace, field.NewPath("spec"))...))
}

// ValidateMigratePreview validates a preview as the Migrate with its spec. It needs no name.
func ValidateMigratePreview(p *backup.MigratePreview) field.ErrorList {
	m := &backup.Migrate{ObjectMeta: *p.ObjectMeta.DeepCopy(), Spec: p.Spec}
	if m.Name == "" {
		m.Name = "preview"
	}
	return ValidateMigrate(m)
}

// ValidateMigrateUpdate validates an update of a Migrate. The spec is immutable and not
// validated again, so that an object that was stored before a rule was added can still be
// labelled.
func ValidateMigrateUpdate(m, old *backup.Migrate) field.ErrorList {
	if errs := validateBytesUpdate(m, old); len(errs) > 0 {
		return errs
	}
	errs := validateMetaUpdate(&m.ObjectMeta, &old.ObjectMeta)
	return firstOf(append(errs, validateUnchanged(&m.Spec, &old.Spec, field.NewPath("spec"))...))
}

// validateUnchanged refuses a change of any field of the spec but suspend, including fields that are added
// to the type later.
func validateUnchanged(now, was *backup.MigrateSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	n, w := reflect.ValueOf(now).Elem(), reflect.ValueOf(was).Elem()
	for i := range n.NumField() {
		if n.Type().Field(i).Name == "Suspend" {
			continue
		}
		if !apiequality.Semantic.DeepEqual(n.Field(i).Interface(), w.Field(i).Interface()) {
			errs = append(errs, field.Forbidden(path.Child(jsonName(n.Type().Field(i).Name)),
				"can't be changed after creation: create another Migrate, or delete this one and create it again"))
		}
	}
	return errs
}

// jsonName returns the JSON name of a field of the spec, whose internal type has no tags.
func jsonName(name string) string { return strings.ToLower(name[:1]) + name[1:] }

// ValidateMigrateRecord validates an update of the status. A terminal phase never changes within an
// attempt. The next attempt begins after the end of the last one only, and keeps the targets that are Completed.
func ValidateMigrateRecord(m, old *backup.Migrate) field.ErrorList {
	path := field.NewPath("status")
	was, attempt, next := old.Status.Phase, old.Status.Attempt(), m.Status.Attempt()
	switch {
	case next == attempt && was.IsTerminal() && m.Status.Phase != was:
		return field.ErrorList{field.Forbidden(path.Child("phase"),
			fmt.Sprintf("is %s, which is terminal: it can't change to %q", was, m.Status.Phase))}
	case next == attempt:
		return nil
	case next != attempt+1 || !was.IsTerminal():
		return field.ErrorList{field.Forbidden(path.Child("attempts"),
			fmt.Sprintf("attempt %d can't follow attempt %d, which is %s", next, attempt, was))}
	}
	var errs field.ErrorList
	for i := range old.Status.TargetClusterStatus {
		target := &old.Status.TargetClusterStatus[i]
		if target.Phase != backup.MigratePhaseCompleted {
			continue
		}
		if i >= len(m.Status.TargetClusterStatus) || m.Status.TargetClusterStatus[i].Phase != target.Phase || m.Status.TargetClusterStatus[i].ClusterName != target.ClusterName {
			errs = append(errs, field.Forbidden(path.Child("targetClusterStatus").Index(i), target.ClusterName+" is Completed: a new attempt can't change that"))
		}
	}
	return errs
}

func validateSpec(spec *backup.MigrateSpec, namespace string, path *field.Path) field.ErrorList {
	source, target := path.Child("sourceCluster"), path.Child("targetCluster")

	errs := validateDestination(&spec.SourceCluster, namespace, source)
	if n := len(spec.SourceCluster.Clusters); n > 1 {
		errs = append(errs, field.Invalid(source.Child("clusters"), n,
			"a migration has one source: name one cluster, and make a Migrate for every other"))
	}
	errs = append(errs, validateDestination(&spec.TargetCluster, namespace, target)...)
	errs = append(errs, validateNotItsOwnTarget(spec, target.Child("clusters"))...)
	errs = append(errs, validatePolicy(spec.Policy, path.Child("policy"))...)

	if w := spec.WaitForWorkloads; w != nil && w.TimeoutSeconds <= 0 {
		errs = append(errs, field.Invalid(path.Child("waitForWorkloads", "timeoutSeconds"), w.TimeoutSeconds,
			"must be greater than 0; leave waitForWorkloads out to not wait"))
	}
	if s := spec.ProgressDeadlineSeconds; s != nil && *s <= 0 {
		errs = append(errs, field.Invalid(path.Child("progressDeadlineSeconds"), *s,
			"must be greater than 0; leave it out for the default of 600"))
	}
	return errs
}

func validateDestination(d *backup.Destination, namespace string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if d.Fleet == "" {
		errs = append(errs, field.Required(path.Child("fleet"), "name the Fleet that the clusters are members of"))
	} else {
		errs = append(errs, validateName(d.Fleet, "a Fleet", path.Child("fleet"))...)
	}

	if n := len(d.Clusters); n > backup.MaxClusters {
		return append(errs, field.TooMany(path.Child("clusters"), n, backup.MaxClusters))
	}
	seen := sets.New[string]()
	for i := range d.Clusters {
		ref, at := &d.Clusters[i], path.Child("clusters").Index(i)
		errs = append(errs, validateReference(ref, namespace, at)...)
		if ref.Name == "" {
			continue
		}
		if c := clusterKey(ref); seen.Has(c) {
			errs = append(errs, field.Duplicate(at, c))
		} else {
			seen.Insert(c)
		}
	}
	return errs
}

func validateReference(ref *corev1.ObjectReference, namespace string, path *field.Path) field.ErrorList {
	if *ref == (corev1.ObjectReference{}) {
		return field.ErrorList{field.Required(path, "write kind (AttachedCluster, Cluster or ClusterProfile) and name of a cluster, or remove the entry")}
	}
	var errs field.ErrorList
	kind := backup.ClusterKind(*ref)
	if !slices.Contains(backup.ClusterKinds(), kind) {
		errs = append(errs, field.NotSupported(path.Child("kind"), kind, backup.ClusterKinds()))
	}
	if ref.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), "name the cluster"))
	} else {
		errs = append(errs, validateName(ref.Name, "a cluster", path.Child("name"))...)
	}
	if group, _, versioned := strings.Cut(ref.APIVersion, "/"); ref.APIVersion != "" && (!versioned || group != backup.ClusterGroup(kind)) {
		errs = append(errs, field.Invalid(path.Child("apiVersion"), ref.APIVersion,
			"API group "+backup.ClusterGroup(kind)+" has kind "+kind+": remove apiVersion"))
	}
	for _, f := range []struct{ name, value string }{
		{"uid", string(ref.UID)}, {"resourceVersion", ref.ResourceVersion}, {"fieldPath", ref.FieldPath},
	} {
		if f.value != "" {
			errs = append(errs, field.Forbidden(path.Child(f.name), "a cluster is identified by kind and name: remove "+f.name))
		}
	}
	if ref.Namespace != "" && ref.Namespace != namespace {
		errs = append(errs, field.Invalid(path.Child("namespace"), ref.Namespace,
			"clusters are in the Migrate's namespace: remove namespace"))
	}
	return errs
}

// validateNotItsOwnTarget refuses the source as a target. It compares clusters, not
// references, because two fleets of a namespace can have the same cluster.
func validateNotItsOwnTarget(spec *backup.MigrateSpec, path *field.Path) field.ErrorList {
	sources := sets.New[string]()
	for i := range spec.SourceCluster.Clusters {
		sources.Insert(clusterKey(&spec.SourceCluster.Clusters[i]))
	}
	var errs field.ErrorList
	for i := range spec.TargetCluster.Clusters {
		ref := &spec.TargetCluster.Clusters[i]
		if c := clusterKey(ref); ref.Name != "" && sources.Has(c) {
			errs = append(errs, field.Invalid(path.Index(i), c,
				"is the source: remove it from the targets"))
		}
	}
	return errs
}

// clusterKey returns kind and name of the cluster that ref refers to.
func clusterKey(ref *corev1.ObjectReference) string {
	return backup.ClusterKind(*ref) + "/" + ref.Name
}

func validateName(name, of string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, msg := range apivalidation.NameIsDNSSubdomain(name, false) {
		errs = append(errs, field.Invalid(path, name, "is not the name of "+of+": "+msg))
	}
	return errs
}
