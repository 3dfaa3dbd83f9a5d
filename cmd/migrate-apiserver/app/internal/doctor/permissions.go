// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// hostRules are what the server needs in the whole host, as artifacts/deploy/base/rbac.yaml has it.
func hostRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule("", "get list watch", "namespaces"),
		rule("admissionregistration.k8s.io", "list watch", "mutatingwebhookconfigurations", "validatingwebhookconfigurations",
			"mutatingadmissionpolicies", "mutatingadmissionpolicybindings", "validatingadmissionpolicies", "validatingadmissionpolicybindings"),
		rule("", "list watch", "resourcequotas"),
		rule("", "update", "resourcequotas/status"),
		rule("networking.k8s.io", "list", "servicecidrs"),
		named(rule("", "get", "services"), "kubernetes"),
		named(rule("apiregistration.k8s.io", "get patch", "apiservices"), "v1alpha1.backup.kurator.dev"),
		rule("flowcontrol.apiserver.k8s.io", "list watch", "flowschemas", "prioritylevelconfigurations"),
	}
}

// delegationRules are those of ClusterRole system:auth-delegator.
func delegationRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule("authentication.k8s.io", "create", "tokenreviews"), rule("authorization.k8s.io", "create", "subjectaccessreviews"),
	}
}

// tenantRules are what the server needs in the namespaces of fleets.
func tenantRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule("fleet.kurator.dev", "get list watch", "fleets"),
		rule("cluster.kurator.dev", "get list watch", "attachedclusters", "clusters"),
		rule("multicluster.x-k8s.io", "get list watch", "clusterprofiles"),
		rule("", "get", "secrets"),
		rule("events.k8s.io", "create patch", "events"),
	}
}

// ownRules are what the server needs in its own namespace.
func ownRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule("coordination.k8s.io", "create", "leases"),
		named(rule("coordination.k8s.io", "get update", "leases"), "migrate-apiserver"),
		rule("", "create", "secrets"),
		named(rule("", "get update", "secrets"), "migrate-apiserver-tls"),
	}
}

func rule(group, verbs string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: strings.Fields(verbs)}
}

func named(r rbacv1.PolicyRule, name string) rbacv1.PolicyRule {
	r.ResourceNames = []string{name}
	return r
}

// checkPermissions checks what the server's ServiceAccount may do.
func (d *Doctor) checkPermissions(ctx context.Context, fleets []fleetRef) {
	var namespaces []string
	for _, f := range fleets {
		if !slices.Contains(namespaces, f.namespace) {
			namespaces = append(namespaces, f.namespace)
		}
	}
	d.checkRules(ctx, "the host", "", append(hostRules(), delegationRules()...))
	d.checkRules(ctx, "namespace "+d.options.Namespace, d.options.Namespace, ownRules())
	for _, namespace := range namespaces {
		d.checkRules(ctx, "namespace "+namespace, namespace, tenantRules())
	}
}

func (d *Doctor) checkRules(ctx context.Context, where, namespace string, rules []rbacv1.PolicyRule) {
	const check = "Permissions"
	account := fmt.Sprintf("system:serviceaccount:%s:%s", d.options.Namespace, d.options.ServiceAccount)
	var missing []string
	for _, r := range rules {
		for _, resource := range r.Resources {
			var verbs []string
			for _, verb := range r.Verbs {
				allowed, err := d.may(ctx, account, namespace, verb, r.APIGroups[0], resource, r.ResourceNames)
				if err != nil {
					d.add(check, where, Skipped, "what %s may do can't be reviewed: %v", account, err)
					return
				}
				if !allowed {
					verbs = append(verbs, verb)
				}
			}
			if len(verbs) > 0 {
				missing = append(missing, strings.Join(verbs, ", ")+" "+strings.TrimSuffix(resource+"."+r.APIGroups[0], "."))
			}
		}
	}
	if len(missing) > 0 {
		d.add(check, where, Failed, "%s may not %s: apply the manifests, made with the namespaces of the fleets", account, strings.Join(missing, "; "))
		return
	}
	d.add(check, where, OK, "%s may do what the server needs", account)
}

func (d *Doctor) may(ctx context.Context, account, namespace, verb, group, resource string, names []string) (bool, error) {
	resource, subresource, _ := strings.Cut(resource, "/")
	attributes := &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: verb, Group: group, Resource: resource, Subresource: subresource}
	if len(names) > 0 {
		attributes.Name = names[0]
	}
	review, err := d.kube.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: account, ResourceAttributes: attributes,
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + d.options.Namespace, "system:authenticated"},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return review.Status.Allowed, nil
}
