// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// SurveyRequest is what a survey of a cluster looks for.
type SurveyRequest struct {
	// Policy is that of the Migrate.
	Policy v1alpha1.MigratePolicy
	// ServerStatus is the request by which Velero is asked for its version; nil if it is not.
	ServerStatus *velerov1.ServerStatusRequest
	// OnlySelected leaves out what the requester may not be permitted to read: all besides what the filter selects.
	OnlySelected bool
	// HideExisting leaves out which of the items a target has.
	HideExisting bool
}

// ClusterSurvey is what was read from a source or a target.
type ClusterSurvey struct {
	// Kubernetes is the version of the API server, and Velero that of Velero; empty if unknown.
	Kubernetes, Velero string
	// ClockAhead is how far the clock of the API server is ahead of ours, to the second; negative if it is behind.
	ClockAhead time.Duration
	// Server is what Velero's server does.
	Server ServerState
	// NodeAgent is node-agent; nil if it is not installed, or unknown.
	NodeAgent *v1alpha1.NodeAgentPreview
	// NotChecked are what could not be read.
	NotChecked []NotChecked
}

// NotChecked is something that could not be read, and why.
type NotChecked struct {
	What string
	Err  error
}

// SourceSurvey is what the source has that a Migrate would move.
type SourceSurvey struct {
	ClusterSurvey
	// Selected are the resources with selected items.
	Selected []SelectedResource
	// UnknownNames are the names of the filter that the cluster serves no resource for, and ExcludedNamespaces
	// the selected namespaces that Velero excludes by their label.
	UnknownNames, ExcludedNamespaces []string
	// MissingNamespaces are the namespaces that the filter names and the cluster does not have.
	MissingNamespaces []string
	// Volumes are those of the selected claims.
	Volumes []v1alpha1.VolumePreview
	// Services are those selected ones that ask for node ports or addresses.
	Services []ServiceAddresses
	// Needs is what the items of a namespace take of a quota.
	Needs map[string]corev1.ResourceList
	// Largest has, for each namespace, the largest container and the largest claim that are selected.
	Largest map[string][]corev1.LimitRangeItem
	// LeftBehind are the objects that selected ones refer to and the filter does not select.
	LeftBehind []Reference
	// Samples are an item of each resource and namespace, as JSON.
	Samples []Sample
}

// SelectedResource is a resource with its selected items.
type SelectedResource struct {
	velero.Resource
	// Count is the number of items.
	Count int64
	// Objects are the first of them.
	Objects []ObjectKey
}

// ObjectKey is the namespace, if it has one, and the name of an object.
type ObjectKey struct{ Namespace, Name string }

// ServiceAddresses are the node ports and the load balancer address of a Service.
type ServiceAddresses struct {
	ObjectKey
	NodePorts      []int32
	LoadBalancerIP string
}

// Reference is a reference from an item to an object.
type Reference struct {
	From velero.Item
	// Resource is that of the object.
	Resource velero.Resource
	To       ObjectKey
}

// Sample is an item of the source.
type Sample struct {
	Resource velero.Resource
	ObjectKey
	JSON []byte
}

// TargetSurvey is what a target has where the items would be created.
type TargetSurvey struct {
	ClusterSurvey
	// NotServed are the selected resources that it does not serve in the version of the source.
	NotServed []UnservedResource
	// Classes are its StorageClasses; nil if they are unknown.
	Classes []string
	// Existing are the items that it has; nil if they are unknown.
	Existing *ExistingItems
	// Terminating are those of the namespaces that are being deleted.
	Terminating []string
	// NodePorts and LoadBalancerIPs have the Services that use them.
	NodePorts       map[int32]ObjectKey
	LoadBalancerIPs map[string]ObjectKey
	// Quotas and LimitRanges are those of the namespaces.
	Quotas      []corev1.ResourceQuota
	LimitRanges []corev1.LimitRange
	// Missing are the references that lead to nothing in it.
	Missing []Reference
	// Denied are the samples that it refuses, and why.
	Denied []DeniedItem
}

// UnservedResource is a resource that a target does not serve in the version of the source.
type UnservedResource struct {
	velero.Resource
	// InOtherVersion is true if it serves another version.
	InOtherVersion bool
}

// ExistingItems are the selected items that a target has already, as they are named there.
type ExistingItems struct {
	// All are all of them.
	All map[velero.Item]bool
	// Same and NotCompared count them.
	Same, NotCompared int64
	// Different are those that differ from those of the source.
	Different []velero.Item
}

// DeniedItem is an item that a target refuses.
type DeniedItem struct {
	velero.Item
	Message string
}

// Surveys are the surveys of the clusters of a Migrate. A cluster that was not surveyed is not in them.
type Surveys struct {
	Source *SourceSurvey
	// Targets are by their clusters.
	Targets map[Cluster]*TargetSurvey
	// Running are the Backups that Velero in the source runs; nil if they were not read.
	Running *Running
	// NotChecked are what else could not be read of a cluster.
	NotChecked map[Cluster][]NotChecked
	// WaitingMigrates is the number of Migrates of the namespace that wait for their turn in the source.
	WaitingMigrates int64
}
