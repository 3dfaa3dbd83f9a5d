// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package review

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

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/resources"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// maxQuestions is the largest number of SubjectAccessReviews of a review.
const maxQuestions = 50_000

// Check checks, by SubjectAccessReviews, whether the requester may do in the member what a
// review needs, and returns what they may not do; empty if they may do all of it. It first
// checks for permission on every resource of the cluster, and without that on each resource
// that the review selects.
func Check(ctx context.Context, c *client.Client, r migration.Review) (refusal string, err error) {
	everything := questions(r.Verbs, velero.AllResources(), []string{metav1.NamespaceAll})
	if r.WritesStatus() {
		everything = append(everything, statusQuestions(velero.AllResources(), []string{metav1.NamespaceAll})...)
	}
	refused, err := firstRefused(ctx, c, r.Requester, everything)
	if err != nil || refused == nil {
		return "", err
	}
	asked, less, err := questionsOf(ctx, c, r)
	if err != nil {
		return "", err
	}
	if less {
		if refused, err = firstRefused(ctx, c, r.Requester, asked); err != nil || refused == nil {
			return "", err
		}
	}
	reason := "which the migration would do for them"
	if refused.resource.Is(velero.AllResources()) {
		reason = "which is needed where the filter does not list, by name in includedResources, resources that the cluster has"
	}
	return fmt.Sprintf("user %q may not %s in %s, %s", r.Requester.Username, refused, c.ClusterName(), reason), nil
}

// questionsOf returns the questions of a review; less is false if it needs every resource of
// the cluster.
func questionsOf(ctx context.Context, c *client.Client, r migration.Review) (asked []question, less bool, err error) {
	var served []velero.Resource
	if r.NeedsDiscovery() {
		if served, err = resources.Of(ctx, c); err != nil {
			return nil, false, err
		}
	}
	selected, less := r.Select(served)
	if !less {
		return nil, false, nil
	}
	namespaces := r.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	if n := len(selected) * len(namespaces) * len(r.Verbs); n > maxQuestions {
		return nil, false, fmt.Errorf("whether user %q may do all of it in %s would take %d questions, of which there may be %d; have the filter name fewer resources or namespaces",
			r.Requester.Username, c.ClusterName(), n, maxQuestions)
	}
	for _, resource := range selected {
		if resource.String() == velero.Namespaces && len(r.Namespaces) > 0 {
			asked = append(asked, questionsOfNamespaces(ctx, c, r, resource)...)
			continue
		}
		asked = append(asked, questions(r.Verbs, resource, namespaces)...)
	}
	for _, resource := range r.SelectStatus(selected, served) {
		asked = append(asked, statusQuestions(resource, namespaces)...)
	}
	return asked, true, nil
}

// question is one SubjectAccessReview: about a single object if it has a name.
type question struct {
	verb            string
	resource        velero.Resource
	namespace, name string
	subresource     string
}

func (q question) String() string {
	if q.subresource != "" {
		whole := q
		whole.subresource = ""
		return strings.Replace(whole.String(), q.verb+" ", q.verb+" "+q.subresource+" of ", 1)
	}
	resource := q.resource.String()
	if q.resource.Is(velero.AllResources()) {
		resource = "every resource"
	}
	switch {
	case q.name != "":
		return q.verb + " " + resource + " " + q.name
	case !q.resource.Namespaced:
		return q.verb + " " + resource
	case q.namespace == metav1.NamespaceAll:
		return q.verb + " " + resource + " in all namespaces"
	}
	return q.verb + " " + resource + " in namespace " + q.namespace
}

func questions(verbs []string, resource velero.Resource, namespaces []string) []question {
	if !resource.Namespaced {
		namespaces = []string{metav1.NamespaceAll}
	}
	var all []question
	for _, verb := range verbs {
		for _, namespace := range namespaces {
			all = append(all, question{verb: verb, resource: resource, namespace: namespace})
		}
	}
	return all
}

// statusQuestions returns the questions whether the status of objects may be written, which
// Velero does by updating the subresource.
func statusQuestions(resource velero.Resource, namespaces []string) []question {
	all := questions([]string{"update"}, resource, namespaces)
	for i := range all {
		all[i].subresource = "status"
	}
	return all
}

// questionsOfNamespaces returns the questions about namespace objects: in the source, whether
// each may be read; in a target that lacks one, whether they may be created. A namespace is
// read within itself, so a Role there can grant that.
func questionsOfNamespaces(ctx context.Context, c *client.Client, r migration.Review, resource velero.Resource) []question {
	if r.Target {
		if hasNamespaces(ctx, c, r.Namespaces) {
			return nil
		}
		return []question{{verb: "create", resource: resource}}
	}
	var all []question
	for _, namespace := range r.Namespaces {
		all = append(all, question{verb: "get", resource: resource, namespace: namespace, name: namespace})
	}
	return all
}

// hasNamespaces reports whether all namespaces exist and are not being deleted.
func hasNamespaces(ctx context.Context, c *client.Client, names []string) bool {
	for _, name := range names {
		body, err := client.Do(ctx, c, "get namespace "+name, func(ctx context.Context, conn *client.Connection) ([]byte, error) {
			return conn.REST.Get().AbsPath("/api/v1/namespaces/" + name).Do(ctx).Raw()
		})
		var namespace metav1.PartialObjectMetadata
		if err != nil || json.Unmarshal(body, &namespace) != nil || namespace.Name != name || namespace.DeletionTimestamp != nil {
			return false
		}
	}
	return true
}

// firstRefused asks all questions and returns the first that is refused, sorted by their text;
// nil if none is.
func firstRefused(ctx context.Context, c *client.Client, who v1alpha1.Requester, asked []question) (*question, error) {
	var mutex sync.Mutex
	var refused []question
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(c.Options().MaxCalls/2, 1)) // leave slots for other calls
	for _, q := range asked {
		group.Go(func() error {
			allowed, err := allowed(ctx, c, who, q)
			if err == nil && !allowed {
				mutex.Lock()
				defer mutex.Unlock()
				refused = append(refused, q)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil || len(refused) == 0 {
		return nil, err
	}
	first := slices.MinFunc(refused, func(a, b question) int { return strings.Compare(a.String(), b.String()) })
	return &first, nil
}

func allowed(ctx context.Context, c *client.Client, who v1alpha1.Requester, q question) (bool, error) {
	review := &authorizationv1.SubjectAccessReview{
		TypeMeta: metav1.TypeMeta{APIVersion: authorizationv1.SchemeGroupVersion.String(), Kind: "SubjectAccessReview"},
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: who.Username, UID: who.UID, Groups: who.Groups,
			Extra: map[string]authorizationv1.ExtraValue{},
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: q.verb, Group: q.resource.Group, Version: "*", Resource: q.resource.Name, Subresource: q.subresource, Namespace: q.namespace, Name: q.name,
			},
		},
	}
	for key, values := range who.Extra {
		review.Spec.Extra[key] = values
	}
	body, err := json.Marshal(review)
	if err != nil {
		return false, err
	}
	answer, err := client.Do(ctx, c, "create subjectaccessreview", func(ctx context.Context, conn *client.Connection) ([]byte, error) {
		result := conn.REST.Post().AbsPath("/apis/authorization.k8s.io/v1/subjectaccessreviews").
			SetHeader("Content-Type", "application/json").Body(body).Do(ctx)
		if err := result.Error(); err != nil { // Raw's error lacks the reason
			return nil, err
		}
		return result.Raw()
	})
	if err != nil {
		return false, err
	}
	// Decode into another object: the one sent shares the requester with the Migrate.
	var answered authorizationv1.SubjectAccessReview
	err = json.Unmarshal(answer, &answered)
	return answered.Status.Allowed, err
}
