// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

func TestAnonymousUsersGetHealthOnly(t *testing.T) {
	as := func(name string) authenticator.Request {
		return authenticator.RequestFunc(func(*http.Request) (*authenticator.Response, bool, error) {
			return &authenticator.Response{User: &user.DefaultInfo{Name: name}}, true, nil
		})
	}
	for path, want := range map[string]bool{
		"/healthz": true, "/livez": true, "/readyz": true, "/readyz?verbose": true,
		"/healthz/": false, "/readyz/etcd": false, "//readyz": false, "/version": false, "/metrics": false, "/": false,
	} {
		request := httptest.NewRequest(http.MethodGet, "https://server"+path, nil)
		if _, ok, err := withoutAnonymous(as(user.Anonymous)).AuthenticateRequest(request); ok != want || err != nil {
			t.Errorf("anonymous at %s: got %v, %v, want %v", path, ok, err, want)
		}
		if _, ok, err := withoutAnonymous(as("jane")).AuthenticateRequest(request); !ok || err != nil {
			t.Errorf("a user at %s: got %v, %v", path, ok, err)
		}
	}
	if withoutAnonymous(nil) != nil {
		t.Error("withoutAnonymous(nil) returned an authenticator")
	}
}

// TestReadyzChecksTheAuthorization of a host that answers, then fails, then answers again.
func TestReadyzChecksTheAuthorization(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := &fakeAuthorizer{}
		d := newDelegation(host)
		if d.check(nil) == nil {
			t.Error("ready before the first request to the host")
		}
		go d.run(t.Context())
		check := func(after time.Duration, ready bool, requests int) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			for range 100 { // probes
				if err := d.check(nil); (err == nil) != ready {
					t.Errorf("ready: %v, want %v (%v)", err == nil, ready, err)
				}
			}
			if got := host.requests(); got != requests {
				t.Errorf("the host got %d different requests, want %d", got, requests)
			}
		}
		check(0, true, 1)
		check(25*time.Second, true, 3)
		host.set(errors.New("subjectaccessreviews is forbidden"))
		check(5*time.Second, false, 4)
		check(3*time.Second, false, 7)
		host.set(nil)
		check(time.Second, true, 8)
		check(9*time.Second, true, 8)
	})
}

type fakeAuthorizer struct {
	mutex sync.Mutex
	err   error
	paths map[string]bool
}

func (a *fakeAuthorizer) Authorize(_ context.Context, attributes authorizer.Attributes) (authorizer.Decision, string, error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.paths == nil {
		a.paths = map[string]bool{}
	}
	a.paths[attributes.GetPath()] = true
	return authorizer.DecisionNoOpinion, "", a.err
}

func (a *fakeAuthorizer) requests() int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return len(a.paths)
}

func (a *fakeAuthorizer) set(err error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.err = err
}

func TestYAMLAliasesAreRefused(t *testing.T) {
	const limit = 1000
	bomb := "a: &a " + strings.Repeat("x", 100) + "\nb: [" + strings.Repeat("*a,", 100) + "]\n"
	for name, test := range map[string]struct {
		contentType, body string
		want              int
	}{
		"YAML":                   {"application/yaml", "a: &a 1\nb: a\n", 200},
		"an alias":               {"application/yaml", "a: &a 1\nb: *a\n", 400},
		"an apply":               {"application/apply-patch+yaml", `{"a": "b"}`, 200},
		"a bomb":                 {"application/yaml", bomb, 400},
		"a bomb in capitals":     {"Application/YAML;charset=utf-8", bomb, 400},
		"a bomb in an apply":     {"application/apply-patch+yaml", bomb, 400},
		"an alias of itself":     {"application/yaml", "a: &a [*a]", 400},
		"malformed YAML":         {"application/yaml", "{", 400},
		"YAML sent as JSON":      {"application/json", bomb, 200},
		"a body above the limit": {"application/yaml", "a: " + strings.Repeat("x", limit), 200},
	} {
		t.Run(name, func(t *testing.T) {
			passed := ""
			handler := withoutYAMLAliases(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				passed = string(body)
			}), limit, serializer.NewCodecFactory(runtime.NewScheme()))
			request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(test.body))
			request.Header.Set("Content-Type", test.contentType)
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, request)
			if answer.Code != test.want {
				t.Errorf("got %d, want %d: %s", answer.Code, test.want, answer.Body)
			}
			if test.want == 200 && passed != test.body {
				t.Errorf("passed on %d bytes of %d", len(passed), len(test.body))
			}
		})
	}
}
