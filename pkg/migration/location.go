// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"fmt"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Located is what is seen of a cluster, unless that is of another Velero namespace than
// the recorded one: then nothing is known of the migration's objects, and Err says so.
func Located(m *v1alpha1.Migrate, c Cluster, seen Member) Member {
	part := partOf(&m.Status, c)
	if seen.Err != nil || part == nil || part.VeleroNamespace == "" || part.VeleroNamespace == seen.VeleroNamespace {
		return seen
	}
	return Member{Err: &movedError{c, part.VeleroNamespace, seen.VeleroNamespace}}
}

// settleNamespace notes in which Velero namespace a part is begun, once and for all.
func settleNamespace(part *v1alpha1.ClusterPart, member Member) {
	if part.VeleroNamespace == "" {
		part.VeleroNamespace = Shorten(member.VeleroNamespace, maxWordLength)
	}
}

// movedError says that a cluster's annotation leads to another namespace than before.
type movedError struct {
	cluster  Cluster
	was, now string
}

func (e *movedError) Error() string {
	return fmt.Sprintf("the migration is under way in namespace %s of %s, and annotation %s of %s %s now leads to %s; set it back",
		e.was, e.cluster.Name, v1alpha1.VeleroNamespaceAnnotation, e.cluster.Kind, e.cluster.Name, e.now)
}
