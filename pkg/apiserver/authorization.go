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
	// authorizationInterval is how often the host is asked while it answers.
	authorizationInterval = 10 * time.Second
	// authorizationRetry is how often while it does not.
	authorizationRetry = time.Second
)

// delegation is whether the host answers what somebody may do. The server is not
// ready while it doesn't: no request could be authorized.
//
// The host is asked in the background, so probes neither load it nor wait for it,
// however many there are. While the host's kube-apiserver is down the server is not
// ready. The host's aggregator, by which requests come, is down then too; once it is
// back the next question, a second later at most, makes the server ready again. That
// it is alive does not depend on the host.
type delegation struct {
	authorizer authorizer.UnconditionalAuthorizer

	mutex sync.Mutex
	// missing is why there is no answer; nil if there is one.
	missing error
}

func newDelegation(a authorizer.UnconditionalAuthorizer) *delegation {
	return &delegation{authorizer: a, missing: errors.New("the host has not been asked yet")}
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

// run asks until ctx ends.
func (d *delegation) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		err := d.ask(ctx, n)
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

// ask asks for the nth time what nobody has a right to. Each time it is another
// question, or the answer would come from the authorizer's cache.
func (d *delegation) ask(ctx context.Context, n int) error {
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

// knowsAggregator is a readyz check that fails until it is read from the host by which
// CA its aggregator is known: whom that brings along would be nobody before.
func knowsAggregator(aggregator *authenticatorfactory.RequestHeaderConfig) healthz.HealthChecker {
	return healthz.NamedCheck("aggregator-ca", func(*http.Request) error {
		if aggregator != nil && len(aggregator.CAContentProvider.CurrentCABundleContent()) == 0 {
			return errors.New("the CA of the host's aggregator is not read yet")
		}
		return nil
	})
}
