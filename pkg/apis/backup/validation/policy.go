// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/gobwas/glob"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
)

func validatePolicy(policy *backup.MigratePolicy, path *field.Path) field.ErrorList {
	if policy == nil {
		return nil
	}
	errs := validateResourceFilter(policy.ResourceFilter, path.Child("resourceFilter"))
	errs = append(errs, validateOrderedResources(policy.OrderedResources, path.Child("orderedResources"))...)
	errs = append(errs, validateNamespaceMapping(policy.NamespaceMapping, path.Child("namespaceMapping"))...)
	errs = append(errs, validateNoMerge(policy, path.Child("namespaceMapping"))...)
	if s := policy.MigrateStatus; s != nil {
		errs = append(errs, validateFilter(path.Child("migrateStatus"), resources,
			list{"includedResources", s.IncludedResources}, list{"excludedResources", s.ExcludedResources})...)
	}
	errs = append(errs, validateChoice(policy.ExistingResourcePolicy, path.Child("existingResourcePolicy"),
		backup.ExistingResourceNone, backup.ExistingResourceUpdate)...)
	if policy.StorageLocation != "" {
		errs = append(errs, validateName(policy.StorageLocation, "a BackupStorageLocation", path.Child("storageLocation"))...)
	}
	if v := policy.Volumes; v != nil {
		errs = append(errs, validateChoice(v.Data, path.Child("volumes", "data"),
			backup.VolumeDataFileSystemBackup, backup.VolumeDataSnapshotDataMovement, backup.VolumeDataNone)...)
		errs = append(errs, validateNoVolumes(policy, path.Child("resourceFilter"))...)
		errs = append(errs, validateStorageClassMapping(v.StorageClassMapping, path.Child("volumes", "storageClassMapping"))...)
	}
	return errs
}

// validateChoice accepts an empty value, or one of choices.
func validateChoice[T ~string](value T, path *field.Path, choices ...T) field.ErrorList {
	if value == "" || slices.Contains(choices, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, value, choices)}
}

func validateResourceFilter(f *backup.ResourceFilter, path *field.Path) field.ErrorList {
	if f == nil {
		return nil
	}
	errs := validateFilter(path, namespaces,
		list{"includedNamespaces", f.IncludedNamespaces}, list{"excludedNamespaces", f.ExcludedNamespaces})
	errs = append(errs, validateFilter(path, resources,
		list{"includedResources", f.IncludedResources}, list{"excludedResources", f.ExcludedResources})...)
	errs = append(errs, validateFilter(path, scopedResources,
		list{"includedClusterScopedResources", f.IncludedClusterScopedResources},
		list{"excludedClusterScopedResources", f.ExcludedClusterScopedResources})...)
	errs = append(errs, validateFilter(path, scopedResources,
		list{"includedNamespaceScopedResources", f.IncludedNamespaceScopedResources},
		list{"excludedNamespaceScopedResources", f.ExcludedNamespaceScopedResources})...)

	if usesOldFilters(f) && usesScopedFilters(f) {
		errs = append(errs, field.Forbidden(path,
			"includedResources, excludedResources and includeClusterResources can't be used together with "+
				"the filters by scope (included/excludedClusterScopedResources, included/excludedNamespaceScopedResources): "+
				"use the one kind or the other"))
	}
	return append(errs, validateSelectors(f, path)...)
}

func usesOldFilters(f *backup.ResourceFilter) bool {
	return len(f.IncludedResources) > 0 || len(f.ExcludedResources) > 0 || f.IncludeClusterResources != nil
}

func usesScopedFilters(f *backup.ResourceFilter) bool {
	return len(f.IncludedClusterScopedResources) > 0 || len(f.ExcludedClusterScopedResources) > 0 ||
		len(f.IncludedNamespaceScopedResources) > 0 || len(f.ExcludedNamespaceScopedResources) > 0
}

func validateSelectors(f *backup.ResourceFilter, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if f.LabelSelector != nil {
		errs = append(errs, validateSelector(f.LabelSelector, path.Child("labelSelector"))...)
	}
	or := path.Child("orLabelSelectors")
	for i, s := range f.OrLabelSelectors {
		if s == nil {
			errs = append(errs, field.Required(or.Index(i), "write a label selector, or remove the entry"))
			continue
		}
		errs = append(errs, validateSelector(s, or.Index(i))...)
	}
	if f.LabelSelector != nil && len(f.OrLabelSelectors) > 0 {
		errs = append(errs, field.Forbidden(or,
			"can't be used together with labelSelector: put its labels into every one of orLabelSelectors, or use only one of the two"))
	}
	return errs
}

func validateSelector(s *metav1.LabelSelector, path *field.Path) field.ErrorList {
	return metav1validation.ValidateLabelSelector(s, metav1validation.LabelSelectorValidationOptions{}, path)
}

// list is a list of included or excluded names.
type list struct {
	name  string
	items []string
}

// rules are the rules for the entries of a list.
type rules struct {
	// validate returns what is wrong with an entry other than "*".
	validate func(string) []string
	// excludeAll allows to exclude "*" if nothing is included.
	excludeAll bool
}

// Velero's ValidateNamespaceIncludesExcludes, ValidateIncludesExcludes and
// ValidateScopedIncludesExcludes.
var (
	namespaces      = rules{validate: isNamespacePattern}
	resources       = rules{validate: isResourcePattern}
	scopedResources = rules{validate: isResourcePattern, excludeAll: true}
)

const all = "*"

func validateFilter(path *field.Path, r rules, includes, excludes list) field.ErrorList {
	errs := validateEntries(path.Child(includes.name), r, includes.items)
	errs = append(errs, validateEntries(path.Child(excludes.name), r, excludes.items)...)

	included := sets.New(includes.items...)
	if included.Has(all) && len(included) > 1 {
		errs = append(errs, field.Invalid(path.Child(includes.name), includes.items,
			`"*" includes everything: write it alone, or write only names`))
	}

	excluded := sets.New(excludes.items...)
	switch {
	case !excluded.Has(all):
	case !r.excludeAll:
		errs = append(errs, field.Invalid(path.Child(excludes.name), excludes.items,
			`"*" can't be excluded: nothing would be left; write names`))
	case len(excluded) > 1:
		errs = append(errs, field.Invalid(path.Child(excludes.name), excludes.items,
			`"*" excludes everything: write it alone, or write only names`))
	case len(included) > 0:
		errs = append(errs, field.Invalid(path.Child(excludes.name), excludes.items,
			fmt.Sprintf(`"*" excludes everything: leave %s out, or write names`, includes.name)))
	}

	for i, item := range excludes.items {
		if item != all && included.Has(item) {
			errs = append(errs, field.Invalid(path.Child(excludes.name).Index(i), item,
				fmt.Sprintf("is in %s too: remove it from one of the two", includes.name)))
		}
	}
	return errs
}

func validateEntries(path *field.Path, r rules, items []string) field.ErrorList {
	var errs field.ErrorList
	for i, item := range items {
		if item == all {
			continue
		}
		if item == "" {
			errs = append(errs, field.Required(path.Index(i), "write a name, or remove the entry"))
			continue
		}
		for _, msg := range r.validate(item) {
			errs = append(errs, field.Invalid(path.Index(i), item, msg))
		}
	}
	return errs
}

// isNamespacePattern accepts the name of a namespace with the wildcards *, ? and [abc], as
// Velero does.
func isNamespacePattern(pattern string) []string {
	if strings.Contains(pattern, "**") {
		return []string{`is not the name of a namespace: write one "*" instead of several`}
	}
	if msg := hasTooManyWildcards(pattern); msg != "" {
		return []string{msg}
	}
	name, err := withoutWildcards(pattern)
	if err != nil {
		return []string{"is not the name of a namespace: " + err.Error()}
	}
	return prefixed("is not the name of a namespace: ", apivalidation.ValidateNamespaceName(name, false))
}

// isResourcePattern accepts a resource as in kubectl, "deployments" or "deployments.apps" in
// upper or lower case, with wildcards. Velero silently ignores the whole list if it can't
// compile a pattern.
func isResourcePattern(pattern string) []string {
	if msg := hasTooManyWildcards(pattern); msg != "" {
		return []string{msg}
	}
	name, err := withoutWildcards(pattern)
	if err != nil {
		return []string{"is not a resource: " + err.Error()}
	}
	if len(validation.IsDNS1123Subdomain(strings.ToLower(name))) > 0 {
		return []string{`is not a resource: write one resource an entry, as "deployments" or "deployments.apps"`}
	}
	return nil
}

// maxWildcards is the largest number of "*" in a pattern. In the library that Velero uses,
// each further one doubles the time to match, which is noticeable from about ten.
const maxWildcards = 5

func hasTooManyWildcards(pattern string) string {
	if n := strings.Count(pattern, "*"); n > maxWildcards {
		return fmt.Sprintf(`has %d "*", and matching it takes too long: write at most %d, or several entries`, n, maxWildcards)
	}
	return ""
}

// withoutWildcards replaces each wildcard by a letter, as Velero does, so that the result
// can be validated as a name.
func withoutWildcards(pattern string) (string, error) {
	var name strings.Builder
	for rest := pattern; rest != ""; {
		switch rest[0] {
		case '*', '?':
			name.WriteByte('x')
			rest = rest[1:]
		case '[':
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return "", fmt.Errorf(`"[" is not closed: write "]" after the characters to choose from`)
			}
			if end == 1 {
				return "", fmt.Errorf(`"[]" is empty: write the characters to choose from in it`)
			}
			if _, err := glob.Compile(rest[:end+1]); err != nil {
				return "", fmt.Errorf("%q is no choice of characters: write them all, as [abc], or from one to another, as [a-c]", rest[:end+1])
			}
			name.WriteString("x" + rest[1:end] + "x")
			rest = rest[end+1:]
		case ']':
			return "", fmt.Errorf(`"]" closes nothing: write "[" before the characters to choose from`)
		default:
			name.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	return name.String(), nil
}

// validateOrderedResources is stricter than Velero, which silently ignores an invalid entry.
func validateOrderedResources(ordered map[string]string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, resource := range slices.Sorted(maps.Keys(ordered)) {
		at := path.Key(resource)
		if len(validation.IsDNS1123Label(resource)) > 0 {
			errs = append(errs, field.Invalid(at, resource,
				`is not a resource: write its plural name without a group, as "pods"`))
		}
		for entry := range strings.SplitSeq(ordered[resource], ",") {
			if msg := orderedEntry(entry); msg != "" {
				// One error is enough: it contains the whole value.
				errs = append(errs, field.Invalid(at, ordered[resource], msg))
				break
			}
		}
	}
	return errs
}

func orderedEntry(entry string) string {
	const want = `write "namespace/name", or "name" for a cluster-scoped resource, separated by "," without spaces`
	if strings.TrimSpace(entry) == "" {
		return "has an empty entry: " + want
	}
	namespace, name, namespaced := strings.Cut(entry, "/")
	if !namespaced {
		namespace, name = "default", entry
	}
	if len(apivalidation.ValidateNamespaceName(namespace, false)) > 0 ||
		name == "" || len(content.IsPathSegmentName(name)) > 0 || strings.ContainsFunc(name, unicode.IsSpace) {
		return fmt.Sprintf("%q is not the name of an object: %s", entry, want)
	}
	return ""
}

func validateNamespaceMapping(mapping map[string]string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	from := map[string]string{}
	for _, source := range slices.Sorted(maps.Keys(mapping)) {
		target, at := mapping[source], path.Key(source)
		for _, msg := range apivalidation.ValidateNamespaceName(source, false) {
			errs = append(errs, field.Invalid(at, source, "is not the name of a namespace: "+msg))
		}
		if target == "" {
			errs = append(errs, field.Required(at, "write its name in the targets, or remove the entry"))
			continue
		}
		for _, msg := range apivalidation.ValidateNamespaceName(target, false) {
			errs = append(errs, field.Invalid(at, target, "is not the name of a namespace: "+msg))
		}
		if first, taken := from[target]; taken {
			errs = append(errs, field.Invalid(at, target,
				fmt.Sprintf("namespace %q is already mapped to it: use a different name for each namespace", first)))
			continue
		}
		from[target] = source
	}
	return errs
}

// validateNoMerge refuses to map a namespace to the name of another included one, because
// Velero would restore only the first of two objects with the same name. It can't check this
// if the filter does not name the included namespaces.
func validateNoMerge(policy *backup.MigratePolicy, path *field.Path) field.ErrorList {
	if policy.ResourceFilter == nil {
		return nil
	}
	var errs field.ErrorList
	included := sets.New(policy.ResourceFilter.IncludedNamespaces...)
	excluded := sets.New(policy.ResourceFilter.ExcludedNamespaces...)
	for _, source := range slices.Sorted(maps.Keys(policy.NamespaceMapping)) {
		target := policy.NamespaceMapping[source]
		moved, mapped := policy.NamespaceMapping[target]
		keepsItsName := !mapped || moved == target
		if target != source && included.Has(target) && !excluded.Has(target) && keepsItsName {
			errs = append(errs, field.Invalid(path.Key(source), target,
				fmt.Sprintf("is included too, so namespaces %q and %q would become one: map %q to another name, or exclude it", source, target, target)))
		}
	}
	return errs
}

// validateNoVolumes refuses to select PersistentVolumes if no data of volumes is to be moved: they are
// left out, so that claims get new ones.
func validateNoVolumes(policy *backup.MigratePolicy, path *field.Path) field.ErrorList {
	if policy.Volumes.Data != backup.VolumeDataNone || policy.ResourceFilter == nil {
		return nil
	}
	var errs field.ErrorList
	f := policy.ResourceFilter
	for _, l := range []list{{"includedResources", f.IncludedResources}, {"includedClusterScopedResources", f.IncludedClusterScopedResources}} {
		for i, name := range l.items {
			if slices.Contains([]string{"persistentvolumes", "persistentvolume", "pv"}, strings.ToLower(name)) {
				errs = append(errs, field.Invalid(path.Child(l.name).Index(i), name,
					"selects PersistentVolumes, which are not migrated if spec.policy.volumes.data is None: remove it, or choose another way to move the data"))
			}
		}
	}
	return errs
}

func prefixed(prefix string, msgs []string) []string {
	for i := range msgs {
		msgs[i] = prefix + msgs[i]
	}
	return msgs
}

// maxStorageClasses is the largest number of StorageClasses in a mapping: Velero compares each of them
// with every claim.
const maxStorageClasses = 64

func validateStorageClassMapping(mapping map[string]string, path *field.Path) field.ErrorList {
	if n := len(mapping); n > maxStorageClasses {
		return field.ErrorList{field.TooMany(path, n, maxStorageClasses)}
	}
	var errs field.ErrorList
	for _, from := range slices.Sorted(maps.Keys(mapping)) {
		for _, name := range []string{from, mapping[from]} {
			for _, message := range apivalidation.NameIsDNSSubdomain(name, false) {
				errs = append(errs, field.Invalid(path.Key(from), name, "must be the name of a StorageClass: "+message))
			}
		}
	}
	return errs
}
