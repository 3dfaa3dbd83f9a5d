// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// Review asks the member, by SubjectAccessReviews, whether somebody may do what a
// review says, and tells what they may not; empty if they may all of it. Who may do
// it on every resource is asked no more than that; else every resource that the
// member has and the review selects is asked about.
func (m *Member) Review(ctx context.Context, r migration.Review) (refusal string, err error) {
	namespaces := r.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	resources := []migration.Resource{{Group: "*", Name: "*", Namespaced: true}}
	if refused, err := m.firstRefused(ctx, r, resources, []string{metav1.NamespaceAll}); err != nil || refused == "" {
		return "", err
	}
	if resources, err = m.resources(ctx); err != nil {
		return "", err
	}
	resources = slices.DeleteFunc(resources, func(resource migration.Resource) bool { return !r.Selects(resource) })
	refused, err := m.firstRefused(ctx, r, resources, namespaces)
	if err != nil || refused == "" {
		return "", err
	}
	return fmt.Sprintf("user %q may not %s in %s, which the migration would do for them", r.Requester.Username, refused, m.key.velero.Cluster.Name), nil
}

// firstRefused is one thing of all that is asked which is refused, in words; empty
// if nothing is.
func (m *Member) firstRefused(ctx context.Context, r migration.Review, resources []migration.Resource, namespaces []string) (string, error) {
	var mutex sync.Mutex
	var refused []string
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(m.options.MaxCalls/2, 1)) // others have something to ask, too
	ask := func(verb string, resource migration.Resource, namespace string) {
		group.Go(func() error {
			allowed, err := m.allowed(ctx, r, verb, resource, namespace)
			if err == nil && !allowed {
				mutex.Lock()
				defer mutex.Unlock()
				refused = append(refused, inWords(verb, resource, namespace))
			}
			return err
		})
	}
	for _, resource := range resources {
		for _, verb := range r.Verbs {
			if !resource.Namespaced {
				ask(verb, resource, metav1.NamespaceAll)
				continue
			}
			for _, namespace := range namespaces {
				ask(verb, resource, namespace)
			}
		}
	}
	if err := group.Wait(); err != nil || len(refused) == 0 {
		return "", err
	}
	return slices.Min(refused), nil
}

func (m *Member) allowed(ctx context.Context, r migration.Review, verb string, resource migration.Resource, namespace string) (bool, error) {
	review := &authorizationv1.SubjectAccessReview{
		TypeMeta: metav1.TypeMeta{APIVersion: authorizationv1.SchemeGroupVersion.String(), Kind: "SubjectAccessReview"},
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: r.Requester.Username, UID: r.Requester.UID, Groups: r.Requester.Groups,
			Extra: map[string]authorizationv1.ExtraValue{},
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: verb, Group: resource.Group, Version: "*", Resource: resource.Name, Namespace: namespace,
			},
		},
	}
	for key, values := range r.Requester.Extra {
		review.Spec.Extra[key] = values
	}
	body, err := json.Marshal(review)
	if err != nil {
		return false, err
	}
	answer, err := do(ctx, m, "create subjectaccessreview", func(ctx context.Context, c *connection) ([]byte, error) {
		result := c.rest.Post().AbsPath("/apis/authorization.k8s.io/v1/subjectaccessreviews").
			SetHeader("Content-Type", "application/json").Body(body).Do(ctx)
		if err := result.Error(); err != nil { // Raw's error does not say why
			return nil, err
		}
		return result.Raw()
	})
	if err != nil {
		return false, err
	}
	// Into another one: what was sent shares the requester with the Migrate.
	var answered authorizationv1.SubjectAccessReview
	err = json.Unmarshal(answer, &answered)
	return answered.Status.Allowed, err
}

// resources are those of the member that Velero takes, by its discovery.
func (m *Member) resources(ctx context.Context) ([]migration.Resource, error) {
	lists, err := do(ctx, m, "list the resources", func(ctx context.Context, c *connection) ([]*metav1.APIResourceList, error) {
		return discovery.ServerPreferredResourcesWithContext(ctx, discovery.NewDiscoveryClient(c.rest))
	})
	if err != nil {
		return nil, err
	}
	var found []migration.Resource
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range list.APIResources {
			if strings.Contains(r.Name, "/") || !velero.IsTaken(r.Verbs) {
				continue
			}
			found = append(found, migration.Resource{
				Group: version.Group, Name: r.Name, Kind: r.Kind, Singular: r.SingularName, ShortNames: r.ShortNames, Namespaced: r.Namespaced,
			})
		}
	}
	return found, nil
}

func inWords(verb string, resource migration.Resource, namespace string) string {
	name := schema.GroupResource{Group: resource.Group, Resource: resource.Name}.String()
	switch {
	case !resource.Namespaced:
		return verb + " " + name
	case namespace == metav1.NamespaceAll:
		return verb + " " + name + " in all namespaces"
	}
	return verb + " " + name + " in namespace " + namespace
}
