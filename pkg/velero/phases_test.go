// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"testing"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
)

func TestIsRejectedEarly(t *testing.T) {
	const unknown = `Error retrieving backup: can't find backup velero/b: Backup.velero.io "b" not found`
	for _, c := range []struct {
		phase  velerov1.RestorePhase
		errors []string
		want   bool
	}{
		{velerov1.RestorePhaseFailedValidation, []string{unknown}, true},
		{velerov1.RestorePhaseFailedValidation, []string{"failed to get resource modifiers configmap velero/r"}, true},
		{velerov1.RestorePhaseFailedValidation, []string{unknown, "invalid restore hooks"}, false},
		{velerov1.RestorePhaseFailedValidation, []string{"The BSL default is unavailable, cannot retrieve the backup"}, false},
		{velerov1.RestorePhaseFailedValidation, nil, false},
		{velerov1.RestorePhaseFailed, []string{unknown}, false},
	} {
		restore := &velerov1.Restore{Status: velerov1.RestoreStatus{Phase: c.phase, ValidationErrors: c.errors}}
		if got := IsRejectedEarly(restore); got != c.want {
			t.Errorf("%s for %q: %t, want %t", c.phase, c.errors, got, c.want)
		}
	}
}
