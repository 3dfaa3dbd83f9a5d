// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

const (
	// verbUse is what a user needs on a cluster, or on the Fleet that stands for its
	// clusters, to have something migrated from or to it.
	verbUse = "use"
	// useRole is the ClusterRole, among our examples, that grants it.
	useRole = "migrate-cluster-user"
	// maxAsked is how many questions one request puts to the host at once.
	maxAsked = 16
)

// Use is one object on the host that a user needs the verb use on.
type Use struct {
	resource        schema.GroupResource
	kind            string
	namespace, name string
}

// UseOf is what is needed to have m act in a cluster that a destination means: use
// of the cluster if it is named, else use of the Fleet.
func UseOf(namespace string, d v1alpha1.Destination, c migration.Cluster) Use {
	if len(d.Clusters) == 0 {
		return useOf(kindFleet, namespace, d.Fleet)
	}
	return useOf(c.Kind, namespace, c.Name)
}

// UsesOf is all that a Migrate with this spec needs, each once.
func UsesOf(namespace string, spec *v1alpha1.MigrateSpec) []Use {
	var uses []Use
	seen := map[Use]bool{}
	add := func(d v1alpha1.Destination, c migration.Cluster) {
		if use := UseOf(namespace, d, c); !seen[use] {
			seen[use] = true
			uses = append(uses, use)
		}
	}
	for _, d := range []v1alpha1.Destination{spec.SourceCluster, spec.TargetCluster} {
		for _, ref := range d.Clusters {
			add(d, migration.ClusterFor(ref))
		}
		if len(d.Clusters) == 0 {
			add(d, migration.Cluster{})
		}
	}
	return uses
}

func useOf(kindName, namespace, name string) Use {
	use := Use{kind: kindName, namespace: namespace, name: name}
	for _, k := range kinds() {
		if k.name == kindName {
			use.resource = k.resource.GroupResource()
		}
	}
	return use
}

// String names the object for a person.
func (u Use) String() string { return fmt.Sprintf("%s %s/%s", u.kind, u.namespace, u.name) }

// Refusal tells a user that they may not use the object, and what would let them.
func (u Use) Refusal(username string) string {
	return fmt.Sprintf("user %q may not use %s: it takes verb %q on resource %q in API group %q with that name and namespace; "+
		"ask for a RoleBinding to ClusterRole %s, or to a Role with that rule", username, u, verbUse, u.resource.Resource, u.resource.Group, useRole)
}

// Access asks the host what users may use.
type Access struct {
	authorizer authorizer.UnconditionalAuthorizer
}

// NewAccess makes an Access that asks the host by its authorizer.
func NewAccess(a authorizer.UnconditionalAuthorizer) *Access { return &Access{a} }

// Refused are those of the given objects that a user may not use, in their order. An
// error means that the host could not be asked. Whoever may use all objects of a
// kind is asked for that once.
func (a *Access) Refused(ctx context.Context, u user.Info, uses []Use) ([]Use, error) {
	var left []Use
	all := map[string]bool{}
	for _, use := range uses {
		allowed, asked := all[use.kind]
		if !asked && len(uses) > 1 {
			var err error
			if allowed, err = a.allowed(ctx, u, useOf(use.kind, use.namespace, "")); err != nil {
				return nil, err
			}
			all[use.kind] = allowed
		}
		if !allowed {
			left = append(left, use)
		}
	}
	return a.refusedEach(ctx, u, left)
}

func (a *Access) refusedEach(ctx context.Context, u user.Info, uses []Use) ([]Use, error) {
	var mutex sync.Mutex
	refused := map[Use]bool{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxAsked)
	for _, use := range uses {
		group.Go(func() error {
			allowed, err := a.allowed(ctx, u, use)
			mutex.Lock()
			defer mutex.Unlock()
			refused[use] = !allowed
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(uses), func(use Use) bool { return !refused[use] }), nil
}

func (a *Access) allowed(ctx context.Context, u user.Info, use Use) (bool, error) {
	decision, reason, err := a.authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: u, Verb: verbUse, ResourceRequest: true,
		APIGroup: use.resource.Group, APIVersion: "*", Resource: use.resource.Resource, Namespace: use.namespace, Name: use.name,
	})
	if decision == authorizer.DecisionAllow {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking the host whether user %q may use %s: %w (%s)", u.GetName(), use, err, reason)
	}
	return false, nil
}

// MayUse says why who created m may not have it act in a cluster that a destination
// of its spec means; empty if they may.
func (a *Access) MayUse(ctx context.Context, m *v1alpha1.Migrate, d v1alpha1.Destination, c migration.Cluster) (refusal string, err error) {
	r := m.Spec.Requester
	if r == nil {
		return "it is not recorded who created the Migrate; create it again", nil
	}
	use := UseOf(m.Namespace, d, c)
	refused, err := a.Refused(ctx, &user.DefaultInfo{Name: r.Username, UID: r.UID, Groups: r.Groups, Extra: r.Extra}, []Use{use})
	if err != nil || len(refused) == 0 {
		return "", err
	}
	return use.Refusal(r.Username), nil
}
