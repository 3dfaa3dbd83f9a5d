// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	fakediscovery "k8s.io/client-go/discovery/fake"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/util/cert"

	"kurator.dev/migrate-apiserver/pkg/aggregation"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	versionedfake "kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned/fake"
)

// TestRulesAreThoseOfTheManifests compares the permissions that are checked with those that are granted.
func TestRulesAreThoseOfTheManifests(t *testing.T) {
	content, err := os.ReadFile("../../../../../artifacts/deploy/base/rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	granted := map[string][]rbacv1.PolicyRule{}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4<<10)
	for {
		var role rbacv1.ClusterRole
		if err := decoder.Decode(&role); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(role.Rules) > 0 {
			granted[role.Kind+" "+role.Name] = role.Rules
		}
	}
	want := map[string][]rbacv1.PolicyRule{
		"ClusterRole migrate-apiserver": hostRules(), "ClusterRole migrate-apiserver:tenants": tenantRules(), "Role migrate-apiserver": ownRules(),
	}
	if !reflect.DeepEqual(granted, want) {
		t.Errorf("granted %v, checked %v", granted, want)
	}
}

func TestCertificate(t *testing.T) {
	now := time.Now()
	host := "migrate-apiserver.migrate-system.svc"
	chain, key := newCertificate(t, host)
	other, otherKey := newCertificate(t, host)
	elsewhere, elsewhereKey := newCertificate(t, "localhost")
	for name, tc := range map[string]struct {
		chain, key, bundle []byte
		at                 time.Time
		want               string
	}{
		"good":               {chain, key, chain, now, "OK OK"},
		"expires soon":       {chain, key, chain, now.Add(340 * 24 * time.Hour), "expires at"},
		"expired":            {chain, key, chain, now.Add(400 * 24 * time.Hour), "expired at"},
		"before it is valid": {chain, key, chain, now.Add(-400 * 24 * time.Hour), "is not valid before"},
		"of another CA":      {other, otherKey, chain, now, "Failed the host does not accept it for " + host},
		"for another name":   {elsewhere, elsewhereKey, elsewhere, now, "Failed the host does not accept it for " + host},
		"with another key":   {chain, otherKey, chain, now, "Failed tls.crt and tls.key are no certificate with its key"},
		"no certificate":     {nil, nil, chain, now, "Failed tls.crt and tls.key are no certificate with its key"},
		"no CA":              {chain, key, []byte("none"), now, "Failed spec.caBundle of the APIService has no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			service := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": aggregation.APIServiceName},
				"spec": map[string]any{"caBundle": base64.StdEncoding.EncodeToString(tc.bundle), "service": map[string]any{"name": "migrate-apiserver", "namespace": "migrate-system"}},
			}}
			d := newDoctor(service, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "migrate-system", Name: "tls"}, Data: map[string][]byte{"tls.crt": tc.chain, "tls.key": tc.key}})
			d.now = func() time.Time { return tc.at }
			d.checkCertificate(t.Context(), service, no)
			var all []string
			for _, f := range d.findings {
				all = append(all, string(f.Result)+" "+f.Message)
			}
			got := strings.Join(all, "\n")
			if tc.want == "OK OK" {
				if strings.Contains(got, "Failed") || strings.Contains(got, "Warning") || len(all) != 1 {
					t.Errorf("got %s", got)
				}
			} else if !strings.Contains(got, tc.want) {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestAPIService(t *testing.T) {
	for name, tc := range map[string]struct {
		service map[string]any
		served  answer
		want    string
	}{
		"none":              {nil, no, "Failed it does not exist"},
		"definitions":       {map[string]any{"spec": map[string]any{"service": nil}}, no, "Failed CustomResourceDefinitions of Kurator serve"},
		"not checked":       {map[string]any{"spec": map[string]any{"service": map[string]any{"name": "a"}}}, no, "Failed the host has not checked it"},
		"not available":     {map[string]any{"spec": map[string]any{"service": map[string]any{"name": "a"}}, "status": map[string]any{"conditions": []any{map[string]any{"type": "Available", "status": "False", "reason": "MissingEndpoints", "message": "no endpoints"}}}}, no, "Failed it is not available (MissingEndpoints): no endpoints"},
		"available":         {map[string]any{"spec": map[string]any{"service": map[string]any{"name": "a"}}, "status": map[string]any{"conditions": []any{map[string]any{"type": "Available", "status": "True"}}}}, yes, "OK it is available"},
		"managed by itself": {map[string]any{"metadata": map[string]any{"labels": map[string]any{"kube-aggregator.kubernetes.io/automanaged": "true"}}, "spec": map[string]any{"service": map[string]any{"name": "a"}}}, no, "Failed its label"},
	} {
		t.Run(name, func(t *testing.T) {
			var objects []runtime.Object
			if tc.service != nil {
				u := &unstructured.Unstructured{Object: tc.service}
				u.SetAPIVersion("apiregistration.k8s.io/v1")
				u.SetKind("APIService")
				u.SetName(aggregation.APIServiceName)
				objects = append(objects, u)
			}
			d := newDoctor(objects...)
			_, served := d.checkAPIService(t.Context())
			if first := d.findings[0]; served != tc.served || !strings.HasPrefix(string(first.Result)+" "+first.Message, tc.want) {
				t.Errorf("got %v, %+v, want %v, %s", served, d.findings, tc.served, tc.want)
			}
		})
	}
}

// TestHiddenObjects checks that somebody who has switched to the server without an import is told that Kurator's objects are hidden.
func TestHiddenObjects(t *testing.T) {
	definition := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": "backups.backup.kurator.dev"}}}
	backup := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "backup.kurator.dev/v1alpha1", "kind": "Backup", "metadata": map[string]any{"name": "nightly", "namespace": "default"}}}
	for name, tc := range map[string]struct {
		objects []runtime.Object
		want    string
	}{
		"without Kurator": {nil, "OK it has backups, migratepreviews"},
		"not imported":    {[]runtime.Object{definition}, "Warning Kurator's CustomResourceDefinitions are on the host, and this server has no Backup, Restore or Migrate: if they had objects, these are hidden"},
		"imported":        {[]runtime.Object{definition, backup}, "OK it has backups, migratepreviews"},
	} {
		d := newDoctor(tc.objects...)
		d.discovery = &fakediscovery.FakeDiscovery{Fake: &clienttesting.Fake{Resources: []*metav1.APIResourceList{{
			GroupVersion: "backup.kurator.dev/v1alpha1", APIResources: []metav1.APIResource{{Name: "backups"}, {Name: "migratepreviews"}},
		}}}}
		d.checkDiscovery(t.Context())
		if len(d.findings) != 1 || !strings.HasPrefix(string(d.findings[0].Result)+" "+d.findings[0].Message, tc.want) {
			t.Errorf("%s: got %+v, want %s", name, d.findings, tc.want)
		}
	}
}

// TestIssuedCertificate checks what to do about a certificate that the server issues itself.
func TestIssuedCertificate(t *testing.T) {
	chain, key := newCertificate(t, "migrate-apiserver.migrate-system.svc")
	other, _ := newCertificate(t, "migrate-apiserver.migrate-system.svc")
	for name, tc := range map[string]struct {
		bundle []byte
		skips  bool
		want   string
	}{
		"good":            {bundle: chain, want: "OK "},
		"no CA":           {want: "Failed spec.caBundle of the APIService is empty, so the host does not accept the server: the server issues it again by itself, so see the log of its pods"},
		"another CA":      {bundle: other, want: "so see the log of its pods"},
		"does not matter": {skips: true, want: "OK "},
	} {
		t.Run(name, func(t *testing.T) {
			service := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
				"caBundle": base64.StdEncoding.EncodeToString(tc.bundle), "insecureSkipTLSVerify": tc.skips,
				"service": map[string]any{"name": "migrate-apiserver", "namespace": "migrate-system"},
			}}}
			d := newDoctor(&corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: "migrate-system", Name: "tls"},
				Data:       map[string][]byte{"ca.key": key, "tls.crt": chain, "tls.key": key},
			})
			d.checkCertificate(t.Context(), service, no)
			last := d.findings[len(d.findings)-1]
			if got := string(last.Result) + " " + last.Message; !strings.Contains(got, tc.want) {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// TestCertificateOfAnother: where the host accepts the server, it has another certificate than the Secret's.
func TestCertificateOfAnother(t *testing.T) {
	d := newDoctor()
	d.checkCertificate(t.Context(), nil, yes)
	if f := d.findings[0]; f.Result != Warning {
		t.Errorf("got %+v", f)
	}
}

func newDoctor(objects ...runtime.Object) *Doctor {
	var typed, untyped []runtime.Object
	for _, o := range objects {
		if _, ok := o.(*unstructured.Unstructured); ok {
			untyped = append(untyped, o)
		} else {
			typed = append(typed, o)
		}
	}
	lists := map[schema.GroupVersionResource]string{aggregation.APIServices: "APIServiceList"}
	for resource, list := range map[string]string{"backups": "BackupList", "restores": "RestoreList", "migrates": "MigrateList"} {
		lists[v1alpha1.SchemeGroupVersion.WithResource(resource)] = list
	}
	return &Doctor{
		options: Options{Namespace: "migrate-system", ServiceAccount: "migrate-apiserver", Secret: "tls"},
		kube:    fake.NewClientset(typed...), dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists, untyped...),
		now: time.Now,
	}
}

func newCertificate(t *testing.T, host string) (chain, key []byte) {
	t.Helper()
	chain, key, err := cert.GenerateSelfSignedCertKey(host, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return chain, key
}

// TestClusters previews fleets whose clusters are reachable, or not: the server looks at targets only if it can use the source.
func TestClusters(t *testing.T) {
	refs := func(names ...string) []corev1.ObjectReference {
		var refs []corev1.ObjectReference
		for _, name := range names {
			refs = append(refs, corev1.ObjectReference{Kind: "AttachedCluster", Name: name})
		}
		return refs
	}
	one, other := fleetRef{"default", "one", refs("alone")}, fleetRef{"default", "other", refs("down", "good")}
	for name, tc := range map[string]struct {
		fleets []fleetRef
		err    error
		want   []string
	}{
		"the first is down": {[]fleetRef{{"default", "f", refs("down", "good", "agentless", "unavailable")}}, nil, []string{
			"Failed AttachedCluster default/down MemberUnreachable: no route",
			"OK AttachedCluster default/good Kubernetes v1.37.2; Velero v1.18.3; node-agent on 2 nodes; storage location default, access mode ReadWrite",
			"OK AttachedCluster default/agentless Kubernetes v1.37.2; Velero v1.18.3; no node-agent, so no file-system backups; storage location default, sharing Same, by Backup daily",
			"Warning AttachedCluster default/unavailable node-agent is ready on 1 of 2 nodes: the data of volumes on the others is not moved",
		}},
		"nobody can look at the second": {[]fleetRef{other}, nil, []string{
			"Failed AttachedCluster default/down MemberUnreachable: no route",
			"Skipped AttachedCluster default/good the server has not looked at it",
		}},
		"one cluster each": {[]fleetRef{one, {"default", "two", refs("good")}}, nil, []string{
			"OK AttachedCluster default/alone Kubernetes", "OK AttachedCluster default/good Kubernetes",
			"OK AttachedCluster default/good Kubernetes", "OK AttachedCluster default/alone Kubernetes",
		}},
		"a single cluster": {[]fleetRef{one, {"another", "two", refs("good")}}, nil, []string{
			"Skipped default/one alone is the only cluster", "Skipped another/two good is the only cluster",
		}},
		"no permission":      {[]fleetRef{other}, apierrors.NewForbidden(schema.GroupResource{Resource: "migratepreviews"}, "", nil), []string{"Skipped default/other you may not preview"}},
		"the server is down": {[]fleetRef{other}, apierrors.NewServiceUnavailable("no endpoints"), []string{"Failed default/other its clusters can't be previewed: no endpoints"}},
	} {
		t.Run(name, func(t *testing.T) {
			previews := versionedfake.NewClientset()
			previews.PrependReactor("create", "migratepreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
				preview := action.(clienttesting.CreateAction).GetObject().(*v1alpha1.MigratePreview).DeepCopy()
				serve(preview)
				return true, preview, tc.err
			})
			d := newDoctor()
			d.previews = previews
			d.checkClusters(t.Context(), tc.fleets)
			var got []string
			for _, f := range d.findings {
				got = append(got, string(f.Result)+" "+f.Object+" "+f.Message)
			}
			if !slices.EqualFunc(got, tc.want, strings.HasPrefix) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
}

// serve sets the status of a preview as the server does.
func serve(preview *v1alpha1.MigratePreview) {
	of := func(name string, surveyed bool) v1alpha1.ClusterPreview {
		c := v1alpha1.ClusterPreview{ClusterName: name, ClusterKind: "AttachedCluster", Reachable: name != "down"}
		if !c.Reachable {
			preview.Status.Findings = append(preview.Status.Findings, v1alpha1.PreviewFinding{Severity: v1alpha1.SeverityBlocking, ClusterName: name, Reason: "MemberUnreachable", Message: "no route"})
		}
		if !c.Reachable || !surveyed {
			return c
		}
		c.KubernetesVersion, c.VeleroVersion = "v1.37.2", "v1.18.3"
		c.StorageLocation = &v1alpha1.StorageLocationPreview{Name: "default", AccessMode: "ReadWrite"}
		switch name {
		case "agentless":
			c.StorageLocation.Sharing = "Same"
			c.StorageLocation.Proof = &v1alpha1.StorageProof{Type: v1alpha1.StorageProofSyncedBackup, BackupName: "daily"}
		case "unavailable":
			c.NodeAgent = &v1alpha1.NodeAgentPreview{Ready: 1, Desired: 2}
		default:
			c.NodeAgent = &v1alpha1.NodeAgentPreview{Ready: 2, Desired: 2}
		}
		return c
	}
	source := preview.Spec.SourceCluster.Clusters[0].Name
	preview.Status.Findings = []v1alpha1.PreviewFinding{{Severity: v1alpha1.SeverityWarning, ClusterName: source, Reason: v1alpha1.ReasonNothingMatched, Message: "as meant"}}
	preview.Status.Source = &v1alpha1.SourcePreview{ClusterPreview: of(source, true)}
	for _, target := range preview.Spec.TargetCluster.Clusters {
		preview.Status.Targets = append(preview.Status.Targets, v1alpha1.TargetPreview{ClusterPreview: of(target.Name, source != "down")})
	}
}
