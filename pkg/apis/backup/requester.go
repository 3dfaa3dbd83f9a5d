// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"maps"
	"strings"
)

// DropCredentials removes from the extra of a user what authentication notes of the
// credential, such as its id and the pod that a token is bound to: whoever may read a
// Migrate would read it, and it means nothing in a member. The keys are those of
// k8s.io/apiserver/pkg/authentication/serviceaccount and of KEP-4193.
func DropCredentials(extra map[string][]string) {
	maps.DeleteFunc(extra, func(key string, _ []string) bool {
		return strings.HasPrefix(key, "authentication.kubernetes.io/")
	})
}
