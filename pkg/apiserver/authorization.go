// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
)

const (
	// authorizationInterval is the time between two checks while the host answers.
	authorizationInterval = 10 * time.Second
	// authorizationRetry is the time between two checks while it does not.
	authorizationRetry = time.Second
)

// delegation checks whether the host answers SubjectAccessReviews. The server is not ready while
// it does not, because no request can be authorized. Its liveness does not depend on the host.
//
// It checks in the background, so that probes neither load the host nor wait for it. While the
// host's kube-apiserver is down its aggregator, through which requests come, is down, too; the
// next check, at most a second after it is back, makes the server ready again.
type delegation struct {
	authorizer authorizer.UnconditionalAuthorizer

	mutex sync.Mutex
	// missing is the error of the last check; nil if the host answered.
	missing error
}

func newDelegation(a authorizer.UnconditionalAuthorizer) *delegation {
	return &delegation{authorizer: a, missing: errors.New("the first SubjectAccessReview is not answered yet")}
}

func (d *delegation) addTo(server *genericapiserver.GenericAPIServer) error {
	const name = "delegated-authorization"
	if err := server.AddPostStartHook("start-"+name, func(hook genericapiserver.PostStartHookContext) error {
		go d.run(hook.Context)
		return nil
	}); err != nil {
		return err
	}
	return server.AddReadyzChecks(healthz.NamedCheck(name, d.check))
}

func (d *delegation) check(*http.Request) error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.missing
}

// run checks until ctx ends.
func (d *delegation) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		err := d.review(ctx, n)
		d.set(err)
		pause := authorizationInterval
		if err != nil {
			pause = authorizationRetry
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// review sends the nth SubjectAccessReview. Each has another path, so that the answer does not
// come from the authorizer's cache.
func (d *delegation) review(ctx context.Context, n int) error {
	_, _, err := d.authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: &user.DefaultInfo{Name: "system:migrate-apiserver:readyz"},
		Verb: "get",
		Path: "/readyz/delegated-authorization/" + strconv.Itoa(n),
	})
	if err != nil {
		return fmt.Errorf("the host does not answer a SubjectAccessReview: %w", err)
	}
	return nil
}

func (d *delegation) set(missing error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.missing = missing
}

// aggregatorCACheck returns a readyz check that fails until the CA of the host's aggregator has
// been read: before that, users of requests through the aggregator can't be authenticated.
func aggregatorCACheck(aggregator *authenticatorfactory.RequestHeaderConfig) healthz.HealthChecker {
	return healthz.NamedCheck("aggregator-ca", func(*http.Request) error {
		if aggregator != nil && len(aggregator.CAContentProvider.CurrentCABundleContent()) == 0 {
			return errors.New("the CA of the host's aggregator is not read yet")
		}
		return nil
	})
}
