// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"net/http"
	"slices"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

// healthPaths are what may be asked by whoever can connect, as kubelet's probes do.
var healthPaths = []string{"/healthz", "/livez", "/readyz"}

// known authenticates as next does, but takes nobody for somebody: who is anonymous,
// here or at the host, gets health and nothing else. The host's authorizer would also
// let them have the version.
func known(next authenticator.Request) authenticator.Request {
	if next == nil {
		return nil
	}
	return authenticator.RequestFunc(func(request *http.Request) (*authenticator.Response, bool, error) {
		health := slices.Contains(healthPaths, request.URL.Path)
		response, ok, err := next.AuthenticateRequest(request)
		if ok && !health && response.User.GetName() == user.Anonymous {
			return nil, false, nil
		}
		return response, ok, err
	})
}
