// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
)

// neverRestored are the resources that Velero skips in every Restore: nonRestorableResources of
// pkg/controller/restore_controller.go of v1.18.3.
var neverRestored = []schema.GroupResource{
	{Resource: "nodes"},
	{Resource: "events"},
	{Group: "events.k8s.io", Resource: "events"},
	{Group: "velero.io", Resource: "backups"},
	{Group: "velero.io", Resource: "restores"},
	{Group: "velero.io", Resource: "resticrepositories"},
	{Group: "velero.io", Resource: "backuprepositories"},
	{Group: "storage.k8s.io", Resource: "csinodes"},
	{Group: "storage.k8s.io", Resource: "volumeattachments"},
}

// snapshotResources are the resources of CSI snapshots, which Velero's CSI plugin creates.
var snapshotResources = []schema.GroupResource{
	{Group: "snapshot.storage.k8s.io", Resource: "volumesnapshots"},
	{Group: "snapshot.storage.k8s.io", Resource: "volumesnapshotcontents"},
	{Group: "snapshot.storage.k8s.io", Resource: "volumesnapshotclasses"},
}

// IsBackedUp reports whether Velero backs up a resource that supports verbs: filterByVerbs of
// pkg/discovery/helper.go of v1.18.3.
func IsBackedUp(verbs []string) bool {
	for _, needed := range []string{"list", "create", "get", "delete"} {
		if !slices.Contains(verbs, needed) {
			return false
		}
	}
	return true
}

// IsRestored reports whether Velero restores objects of resource.
func IsRestored(resource schema.GroupResource) bool { return !slices.Contains(neverRestored, resource) }

// Names and groups of the resources that kube-apiserver v1.37 serves and Velero backs up: plural,
// singular and short names, as `kubectl api-resources` lists them.
var (
	builtinNames = sets.New(strings.Fields(`
		configmaps configmap cm endpoints ep events event ev limitranges limitrange limits namespaces namespace ns nodes node no
		persistentvolumeclaims persistentvolumeclaim pvc persistentvolumes persistentvolume pv pods pod po podtemplates podtemplate
		replicationcontrollers replicationcontroller rc resourcequotas resourcequota quota secrets secret serviceaccounts
		serviceaccount sa services service svc
		mutatingadmissionpolicies mutatingadmissionpolicy mutatingadmissionpolicybindings mutatingadmissionpolicybinding
		mutatingwebhookconfigurations mutatingwebhookconfiguration validatingadmissionpolicies validatingadmissionpolicy
		validatingadmissionpolicybindings validatingadmissionpolicybinding validatingwebhookconfigurations
		validatingwebhookconfiguration customresourcedefinitions customresourcedefinition crd crds apiservices apiservice
		controllerrevisions controllerrevision daemonsets daemonset ds deployments deployment deploy replicasets replicaset rs
		statefulsets statefulset sts horizontalpodautoscalers horizontalpodautoscaler hpa cronjobs cronjob cj jobs job
		certificatesigningrequests certificatesigningrequest csr clustertrustbundles clustertrustbundle podcertificaterequests
		podcertificaterequest leases lease endpointslices endpointslice flowschemas flowschema prioritylevelconfigurations
		prioritylevelconfiguration ingressclasses ingressclass ingresses ingress ing ipaddresses ipaddress ip networkpolicies
		networkpolicy netpol servicecidrs servicecidr runtimeclasses runtimeclass poddisruptionbudgets poddisruptionbudget pdb
		clusterrolebindings clusterrolebinding clusterroles clusterrole rolebindings rolebinding roles role deviceclasses
		deviceclass devicetaintrules devicetaintrule resourceclaims resourceclaim resourceclaimtemplates resourceclaimtemplate
		resourceslices resourceslice priorityclasses priorityclass pc csidrivers csidriver csinodes csinode csistoragecapacities
		csistoragecapacity storageclasses storageclass sc volumeattachments volumeattachment volumeattributesclasses
		volumeattributesclass vac storageversionmigrations storageversionmigration`)...)
	builtinGroups = strings.Fields(`
		admissionregistration.k8s.io apiextensions.k8s.io apiregistration.k8s.io apps autoscaling batch certificates.k8s.io
		coordination.k8s.io discovery.k8s.io events.k8s.io extensions flowcontrol.apiserver.k8s.io networking.k8s.io node.k8s.io policy
		rbac.authorization.k8s.io resource.k8s.io scheduling.k8s.io storage.k8s.io storagemigration.k8s.io`)
)

// IsCustom reports whether a resource is not built in, and so may have a CustomResourceDefinition.
func IsCustom(r Resource) bool { return isCustom(r.String()) }

// isCustom reports whether name, with or without a group, names a resource that is not built in,
// and so may have a CustomResourceDefinition.
func isCustom(name string) bool {
	name, group, _ := strings.Cut(strings.ToLower(name), ".")
	isBuiltin := func(builtin string) bool { return strings.HasPrefix(builtin, group) }
	return !builtinNames.Has(name) || !slices.ContainsFunc(builtinGroups, isBuiltin)
}

// isClaim reports whether name names the resource of PersistentVolumeClaims.
func isClaim(name string) bool {
	return slices.Contains([]string{"persistentvolumeclaims", "persistentvolumeclaim", "pvc"}, strings.ToLower(name))
}
