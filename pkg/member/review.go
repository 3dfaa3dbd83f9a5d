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

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

const (
	// maxGroupVersions is how many versions of API groups a discovery asks for one by
	// one, where the member does not answer with all of them.
	maxGroupVersions = 1000
	// maxQuestions is how many things a review asks about.
	maxQuestions = 50_000
)

// Review asks the member, by SubjectAccessReviews, whether the requester may do what a
// review needs, and returns what they may not do; empty if they may do all of it. For who
// may do it on every resource of the cluster that is the only question; else the question
// is asked for each resource that the review selects.
func (m *Member) Review(ctx context.Context, r migration.Review) (refusal string, err error) {
	everything := questions(r.Verbs, velero.AllResources(), []string{metav1.NamespaceAll})
	if r.WritesStatus() {
		everything = append(everything, statusQuestions(velero.AllResources(), []string{metav1.NamespaceAll})...)
	}
	refused, err := m.firstRefused(ctx, r.Requester, everything)
	if err != nil || refused == nil {
		return "", err
	}
	asked, less, err := m.questionsOf(ctx, r)
	if err != nil {
		return "", err
	}
	if less {
		if refused, err = m.firstRefused(ctx, r.Requester, asked); err != nil || refused == nil {
			return "", err
		}
	}
	reason := "which the migration would do for them"
	if refused.resource.Is(velero.AllResources()) {
		reason = "which is needed where the filter does not list, by name in includedResources, resources that the cluster has"
	}
	return fmt.Sprintf("user %q may not %s in %s, %s", r.Requester.Username, refused, m.key.velero.Cluster.Name, reason), nil
}

// questionsOf returns the questions that a review asks; false if it is about every
// resource of the cluster.
func (m *Member) questionsOf(ctx context.Context, r migration.Review) (asked []question, less bool, err error) {
	var resources []velero.Resource
	if r.NeedsDiscovery() {
		if resources, err = m.resources(ctx); err != nil {
			return nil, false, err
		}
	}
	selected, less := r.Select(resources)
	if !less {
		return nil, false, nil
	}
	namespaces := r.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	if n := len(selected) * len(namespaces) * len(r.Verbs); n > maxQuestions {
		return nil, false, fmt.Errorf("whether user %q may do all of it in %s would take %d questions, of which there may be %d; have the filter name fewer resources or namespaces",
			r.Requester.Username, m.key.velero.Cluster.Name, n, maxQuestions)
	}
	for _, resource := range selected {
		if resource.String() == velero.Namespaces && len(r.Namespaces) > 0 {
			asked = append(asked, m.questionsOfNamespaces(ctx, r, resource)...)
			continue
		}
		asked = append(asked, questions(r.Verbs, resource, namespaces)...)
	}
	for _, resource := range r.SelectStatus(selected, resources) {
		asked = append(asked, statusQuestions(resource, namespaces)...)
	}
	return asked, true, nil
}

// question is whether somebody may do something: to one object, if it has a name.
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

// statusQuestions are whether the status of objects may be written, which Velero does by
// an update of the subresource.
func statusQuestions(resource velero.Resource, namespaces []string) []question {
	all := questions([]string{"update"}, resource, namespaces)
	for i := range all {
		all[i].subresource = "status"
	}
	return all
}

// questionsOfNamespaces are about the namespaces that are named: whether each may be
// read in the source, and whether they may be created in a target that lacks one. Who
// reads a namespace does so in that namespace, by Kubernetes' rules: a Role there may
// grant it.
func (m *Member) questionsOfNamespaces(ctx context.Context, r migration.Review, resource velero.Resource) []question {
	if r.Target {
		if m.hasNamespaces(ctx, r.Namespaces) {
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

// hasNamespaces says whether all of some namespaces are known to be there to stay.
func (m *Member) hasNamespaces(ctx context.Context, names []string) bool {
	for _, name := range names {
		body, err := do(ctx, m, "get namespace "+name, func(ctx context.Context, c *connection) ([]byte, error) {
			return c.rest.Get().AbsPath("/api/v1/namespaces/" + name).Do(ctx).Raw()
		})
		var namespace metav1.PartialObjectMetadata
		if err != nil || json.Unmarshal(body, &namespace) != nil || namespace.Name != name || namespace.DeletionTimestamp != nil {
			return false
		}
	}
	return true
}

// firstRefused asks all questions and returns the first that is refused, in the order of
// their words; nil if none is.
func (m *Member) firstRefused(ctx context.Context, who v1alpha1.Requester, asked []question) (*question, error) {
	var mutex sync.Mutex
	var refused []question
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(m.options.MaxCalls/2, 1)) // others have something to ask, too
	for _, q := range asked {
		group.Go(func() error {
			allowed, err := m.allowed(ctx, who, q)
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

func (m *Member) allowed(ctx context.Context, who v1alpha1.Requester, q question) (bool, error) {
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
func (m *Member) resources(ctx context.Context) ([]velero.Resource, error) {
	ctx = m.allowing(ctx, "the list of its resources", limits.MaxList)
	lists, err := do(ctx, m, "list the resources", func(ctx context.Context, c *connection) ([]*metav1.APIResourceList, error) {
		return discovery.ServerPreferredResourcesWithContext(ctx, boundedDiscovery{discovery.NewDiscoveryClient(c.rest)})
	})
	if err != nil {
		return nil, err
	}
	var found []velero.Resource
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range list.APIResources {
			if strings.Contains(r.Name, "/") || !velero.IsBackedUp(r.Verbs) {
				continue
			}
			found = append(found, velero.Resource{
				Group: version.Group, Name: r.Name, Kind: r.Kind, Singular: r.SingularName, ShortNames: r.ShortNames, Namespaced: r.Namespaced,
			})
		}
	}
	return found, nil
}

// boundedDiscovery is discovery that doesn't ask for any number of versions of API groups
// at once, as it does where they don't come with their resources.
type boundedDiscovery struct{ *discovery.DiscoveryClient }

var _ discovery.AggregatedDiscoveryInterfaceWithContext = boundedDiscovery{}

func (d boundedDiscovery) GroupsAndMaybeResourcesWithContext(ctx context.Context) (
	*metav1.APIGroupList, map[schema.GroupVersion]*metav1.APIResourceList, map[schema.GroupVersion]error, error,
) {
	groups, resources, failed, err := d.DiscoveryClient.GroupsAndMaybeResourcesWithContext(ctx)
	if err != nil || resources != nil {
		return groups, resources, failed, err
	}
	versions := 0
	for i := range groups.Groups {
		versions += len(groups.Groups[i].Versions)
	}
	if versions > maxGroupVersions {
		return nil, nil, nil, limits.Exceeded(limits.Objects, "it has more than %d versions of API groups", maxGroupVersions)
	}
	return groups, resources, failed, nil
}
