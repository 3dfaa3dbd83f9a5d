// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

const (
	// eventAction is what we do, as events.k8s.io has it.
	eventAction = "Migrate"
	// maxNote is how long the note of an Event may be.
	maxNote = 1024
	// clusterAPIVersion is that of AttachedCluster and Cluster.
	clusterAPIVersion = "cluster.kurator.dev/v1alpha1"
)

// tell emits an Event on the Migrate for every step from one record to the next.
// An Event of one cluster's part names that cluster as related, which also keeps
// the Events of two clusters apart.
func (l *loop) tell(before, after *v1alpha1.Migrate) {
	regarding := &corev1.ObjectReference{
		APIVersion: v1alpha1.SchemeGroupVersion.String(),
		Kind:       "Migrate",
		Namespace:  after.Namespace,
		Name:       after.Name,
		UID:        after.UID,
	}
	for _, event := range migration.Events(&before.Status, &after.Status) {
		var related runtime.Object
		note := event.Message
		if c := event.Cluster; c != nil {
			related = &corev1.ObjectReference{
				APIVersion: clusterAPIVersion, Kind: c.Kind, Namespace: after.Namespace, Name: c.Name,
			}
			note = c.Name + ": " + note
		}
		l.Events.Eventf(regarding, related, event.Type, event.Reason, eventAction, "%s", migration.Shorten(note, maxNote))
	}
}
