// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Attempt returns the number of the current attempt.
func (s *MigrateStatus) Attempt() int32 {
	if n := len(s.Attempts); n > 0 {
		return s.Attempts[n-1].Number
	}
	return 1
}
