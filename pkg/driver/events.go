// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

const (
	// eventAction is the action of all Events.
	eventAction = "Migrate"
	// maxNote is the maximum length of an Event's note, in bytes.
	maxNote = 1024
)

// sendEvents sends an Event about the Migrate for each change between two recorded statuses. An Event
// about a cluster has the cluster as its related object, and one of a later attempt the attempt as its
// field, so that Events of two clusters, or attempts, are not aggregated.
func (l *loop) sendEvents(before, after *v1alpha1.Migrate) {
	regarding := &corev1.ObjectReference{
		APIVersion: v1alpha1.SchemeGroupVersion.String(),
		Kind:       "Migrate",
		Namespace:  after.Namespace,
		Name:       after.Name,
		UID:        after.UID,
	}
	if attempt := after.Status.Attempt(); attempt > 1 {
		regarding.FieldPath = fmt.Sprintf("status.attempts{%d}", attempt)
	}
	for _, event := range migration.Events(&before.Status, &after.Status) {
		var related runtime.Object
		note := event.Message
		if c := event.Cluster; c != nil {
			related = &corev1.ObjectReference{
				APIVersion: migration.ResourceFor(c.Kind).WithVersion("v1alpha1").GroupVersion().String(), Kind: c.Kind, Namespace: after.Namespace, Name: c.Name,
			}
			note = c.Name + ": " + note
		}
		l.Events.Eventf(regarding, related, event.Type, event.Reason, eventAction, "%s", migration.Shorten(note, maxNote))
	}
}
