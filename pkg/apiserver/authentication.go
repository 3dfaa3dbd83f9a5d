// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"net/http"
	"slices"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

// healthPaths are open to anonymous requests, such as kubelet's probes.
var healthPaths = []string{"/healthz", "/livez", "/readyz"}

// withoutAnonymous authenticates like next, but refuses anonymous users, of this server or of the
// host, except on healthPaths. The host's authorizer would also allow them other paths, such as
// the version.
func withoutAnonymous(next authenticator.Request) authenticator.Request {
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
