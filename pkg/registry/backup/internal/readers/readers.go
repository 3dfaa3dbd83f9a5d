// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package readers bounds the requests that read from the members of a Migrate: each calls clusters, while it is
// a single request to the host's API priority and fairness.
//
// It is used by the storages of the group, and imports nothing of ours.
package readers

import (
	"context"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// Readers bounds reads at the same time, in all and for each user.
type Readers struct {
	// What is read, and Instead what else a reader may do.
	What, Instead string
	// Most is the largest number of them, and MostOfUser that for one user.
	Most, MostOfUser int

	mutex  sync.Mutex
	all    int
	byUser map[string]int
}

// Admit admits a read, after which the caller calls done, or returns a 429.
func (r *Readers) Admit(ctx context.Context) (done func(), err error) {
	name := ""
	if u, ok := genericapirequest.UserFrom(ctx); ok {
		name = u.GetName()
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	switch {
	case r.byUser[name] >= r.MostOfUser:
		return nil, apierrors.NewTooManyRequests(fmt.Sprintf("user %q is reading %d %s, which is the limit; retry, or %s", name, r.MostOfUser, r.What, r.Instead), 1)
	case r.all >= r.Most:
		return nil, apierrors.NewTooManyRequests(fmt.Sprintf("%d %s are being read, which is the limit; retry, or %s", r.Most, r.What, r.Instead), 1)
	}
	if r.byUser == nil {
		r.byUser = map[string]int{}
	}
	r.all++
	r.byUser[name]++
	return func() { r.leave(name) }, nil
}

func (r *Readers) leave(name string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.all--
	if r.byUser[name]--; r.byUser[name] == 0 {
		delete(r.byUser, name)
	}
}
