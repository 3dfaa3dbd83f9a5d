// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"fmt"
	"net/http"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/healthz"
)

// authoritiesRead is a check that the server has read from the host whose client
// certificates it trusts. Until then it asks nobody for one, and a connection that the
// aggregator has opened by then stays one of nobody in particular: every user of it
// would be refused.
func authoritiesRead(authorities ...dynamiccertificates.CAContentProvider) healthz.HealthChecker {
	return healthz.NamedCheck("client-authorities", func(*http.Request) error {
		for _, a := range authorities {
			if len(a.CurrentCABundleContent()) == 0 {
				return fmt.Errorf("%s has not been read from the host yet", a.Name())
			}
		}
		return nil
	})
}
