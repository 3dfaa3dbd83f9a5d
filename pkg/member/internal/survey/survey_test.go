// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/clienttest"
	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// cluster answers requests by their method and path. Others it answers 404 as an API server does.
type cluster struct {
	answers map[string]string

	mutex  sync.Mutex
	bodies map[string]string
	asked  []string
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := r.Method + " " + r.URL.Path
	body, _ := io.ReadAll(r.Body)
	c.mutex.Lock()
	c.asked = append(c.asked, request)
	if r.Method == http.MethodPost {
		c.bodies[r.URL.Path+"?"+r.URL.RawQuery] = string(body)
	}
	c.mutex.Unlock()
	answer, ok := c.answers[request]
	code, text, isError := strings.Cut(answer, " ")
	switch {
	case strings.HasSuffix(r.URL.Path, "/serverstatusrequests") && r.Method == http.MethodPost:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	case !ok:
		membertest.WriteStatus(w, http.StatusNotFound, metav1.StatusReasonNotFound, "not found")
	case isError && code == "403":
		membertest.WriteStatus(w, http.StatusForbidden, metav1.StatusReasonForbidden, text)
	case isError && code == "409":
		membertest.WriteStatus(w, http.StatusConflict, metav1.StatusReasonAlreadyExists, text)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	}
}

// connect returns a client of a cluster with these answers.
func connect(t *testing.T, answers map[string]string) (*client.Client, *cluster) {
	t.Helper()
	s, c := membertest.NewAPIServer(t), &cluster{answers: answers, bodies: map[string]string{}}
	s.SetFault(c.ServeHTTP)
	return clienttest.New(s, client.Options{AnswerTimeout: 200 * time.Millisecond}), c
}

const discovery = `{"kind":"APIResourceList","groupVersion":"v1","resources":[
	{"name":"configmaps","singularName":"configmap","namespaced":true,"kind":"ConfigMap","verbs":["create","delete","get","list"]},
	{"name":"secrets","singularName":"secret","namespaced":true,"kind":"Secret","verbs":["create","delete","get","list"]},
	{"name":"pods","singularName":"pod","namespaced":true,"kind":"Pod","verbs":["create","delete","get","list"]},
	{"name":"events","singularName":"event","namespaced":true,"kind":"Event","verbs":["create","delete","get","list"]},
	{"name":"services","singularName":"service","namespaced":true,"kind":"Service","verbs":["create","delete","get","list"]},
	{"name":"persistentvolumeclaims","singularName":"persistentvolumeclaim","namespaced":true,"kind":"PersistentVolumeClaim","verbs":["create","delete","get","list"]},
	{"name":"nodes","singularName":"node","namespaced":false,"kind":"Node","verbs":["create","delete","get","list"]},
	{"name":"bindings","singularName":"","namespaced":true,"kind":"Binding","verbs":["create"]}]}`

// base are the answers of every cluster.
func base() map[string]string {
	return map[string]string{
		"GET /version": `{"gitVersion":"v1.37.2"}`,
		"GET /api":     `{"kind":"APIVersions","versions":["v1"]}`,
		"GET /apis":    `{"kind":"APIGroupList","apiVersion":"v1","groups":[]}`,
		"GET /api/v1":  discovery,
		"GET /apis/velero.io/v1/namespaces/velero/serverstatusrequests/ask": `{"metadata":{"name":"ask"},"status":{"phase":"Processed","serverVersion":"v1.18.3"}}`,
		"GET /apis/apps/v1/namespaces/velero/daemonsets/node-agent":         `{"spec":{"template":{"spec":{"containers":[{"args":["node-agent","server","--node-agent-configmap=agent"]}]}}},"status":{"numberReady":1,"desiredNumberScheduled":2}}`,
		"GET /api/v1/namespaces/velero/configmaps/agent":                    `{"data":{"config.json":"{\"loadConcurrency\":{\"globalConfig\":3}}"}}`,
		"GET /api/v1/namespaces":                                            `{"items":[{"metadata":{"name":"app"}},{"metadata":{"name":"kept","labels":{"velero.io/exclude-from-backup":"true"}}},{"metadata":{"name":"leaving","deletionTimestamp":"2026-01-01T00:00:00Z"}}]}`,
		"GET /api/v1/namespaces/app/configmaps":                             `{"items":[{"metadata":{"namespace":"app","name":"settings","labels":{"app":"x"}}},{"metadata":{"namespace":"app","name":"excluded","labels":{"app":"x","velero.io/exclude-from-backup":"true"}}},{"metadata":{"namespace":"app","name":"kube-root-ca.crt","labels":{"app":"x"}}}]}`,
		"GET /api/v1/namespaces/app/secrets":                                `{"items":[]}`,
		"GET /api/v1/namespaces/app/services":                               `{"items":[{"metadata":{"namespace":"app","name":"web","labels":{"app":"x"},"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"nodePort\":30001}"}},"spec":{"type":"LoadBalancer","loadBalancerIP":"192.0.2.1","ports":[{"nodePort":30001},{"nodePort":30002}]}}]}`,
		"GET /api/v1/namespaces/app/persistentvolumeclaims":                 `{"items":[{"metadata":{"namespace":"app","name":"data"},"spec":{"storageClassName":"fast","resources":{"requests":{"storage":"1Gi"}}},"status":{"capacity":{"storage":"2Gi"}}},{"metadata":{"namespace":"app","name":"idle"},"spec":{"resources":{"requests":{"storage":"1Gi"}}}}]}`,
		"GET /api/v1/namespaces/app/pods":                                   `{"items":[{"metadata":{"namespace":"app","name":"one","labels":{"app":"x"},"annotations":{"backup.velero.io/backup-volumes":"scratch,data"}},"spec":{"volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"data"}},{"name":"s","secret":{"secretName":"password"}},{"name":"o","secret":{"secretName":"optional","optional":true}}],"containers":[{"envFrom":[{"configMapRef":{"name":"settings"}},{"configMapRef":{"name":"gone"}}],"resources":{"requests":{"cpu":"100m"},"limits":{"memory":"1Gi"}}}],"serviceAccountName":"runner"},"status":{"phase":"Running"}}]}`,
		"GET /api/v1/namespaces/app/secrets/password":                       `{"metadata":{"name":"password"}}`,
		"GET /api/v1/namespaces/app/serviceaccounts/runner":                 `{"metadata":{"name":"runner"}}`,
		"GET /api/v1/namespaces/app/configmaps/settings":                    `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"app","name":"settings","uid":"1"},"data":{"a":"b"}}`,
		"GET /api/v1/namespaces/app/pods/one":                               `{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"app","name":"one"}}`,
		"GET /api/v1/namespaces/app/services/web":                           `{"apiVersion":"v1","kind":"Service","metadata":{"namespace":"app","name":"web"}}`,
		"GET /api/v1/namespaces/app/persistentvolumeclaims/data":            `{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"namespace":"app","name":"data"}}`,
	}
}

func request(policy v1alpha1.MigratePolicy) migration.SurveyRequest {
	return migration.SurveyRequest{Policy: policy, ServerStatus: &velerov1.ServerStatusRequest{ObjectMeta: metav1.ObjectMeta{Name: "ask"}}}
}

// ofApp selects what has the label app=x in the namespaces app and kept.
func ofApp() v1alpha1.MigratePolicy {
	return v1alpha1.MigratePolicy{ResourceFilter: &v1alpha1.ResourceFilter{
		IncludedNamespaces: []string{"app", "kept"}, ExcludedResources: []string{"ovens"},
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}},
	}}
}

// items returns the selected items.
func items(survey migration.SourceSurvey) (all []string) {
	for _, r := range survey.Selected {
		for _, key := range r.Objects {
			all = append(all, r.Name+" "+key.Namespace+"/"+key.Name)
		}
	}
	return all
}

func notChecked(survey migration.ClusterSurvey) (all []string) {
	for _, n := range survey.NotChecked {
		all = append(all, fmt.Sprintf("%s: %v", n.What, n.Err))
	}
	slices.Sort(all)
	return all
}

func TestSource(t *testing.T) {
	c, asked := connect(t, base())
	got := Source(t.Context(), c, request(ofApp()))
	if missing := notChecked(got.ClusterSurvey); len(missing) > 0 {
		t.Errorf("not checked: %q", missing)
	}
	if got.Kubernetes != "v1.37.2" || got.Velero != "v1.18.3" || got.Server != migration.ServerAnswers {
		t.Errorf("versions %q, %q, %s", got.Kubernetes, got.Velero, got.Server)
	}
	if d := cmp.Diff(&v1alpha1.NodeAgentPreview{Ready: 1, Desired: 2, LoadConcurrency: 3}, got.NodeAgent); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"configmaps app/settings", "persistentvolumeclaims app/data", "pods app/one", "services app/web"}, items(got)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]v1alpha1.VolumePreview{{Namespace: "app", Claim: "data", StorageClass: "fast", Bytes: 2 << 30, Method: "FileSystemBackup"}}, got.Volumes); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]migration.ServiceAddresses{{ObjectKey: migration.ObjectKey{Namespace: "app", Name: "web"}, NodePorts: []int32{30001}, LoadBalancerIP: "192.0.2.1"}}, got.Services); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([][]string{{"ovens"}, {"kept"}, {}}, [][]string{got.UnknownNames, got.ExcludedNamespaces, got.MissingNamespaces}); d != "" {
		t.Error(d)
	}
	var left []string
	for _, r := range got.LeftBehind {
		left = append(left, r.From.Name+" -> "+r.Resource.Kind+" "+r.To.Namespace+"/"+r.To.Name)
	}
	slices.Sort(left)
	if d := cmp.Diff([]string{"one -> Secret app/password", "one -> ServiceAccount app/runner"}, left); d != "" {
		t.Error(d)
	}
	needs := map[string]string{}
	for name, quantity := range got.Needs["app"] {
		needs[string(name)] = quantity.String()
	}
	if d := cmp.Diff(map[string]string{
		"configmaps": "1", "count/configmaps": "1", "pods": "1", "count/pods": "1", "services": "1", "count/services": "1",
		"persistentvolumeclaims": "1", "count/persistentvolumeclaims": "1", "requests.storage": "2Gi", "fast.storageclass.storage.k8s.io/requests.storage": "2Gi",
		"services.nodeports": "2", "services.loadbalancers": "1", "cpu": "100m", "requests.cpu": "100m", "limits.memory": "1Gi",
	}, needs); d != "" {
		t.Error(d)
	}
	if len(got.Samples) != 4 {
		t.Errorf("samples %+v", got.Samples)
	}
	for _, request := range asked.asked {
		if !strings.HasPrefix(request, "GET ") && request != "POST /apis/velero.io/v1/namespaces/velero/serverstatusrequests" {
			t.Errorf("the source was asked to %s", request)
		}
	}
}

// TestMethods determines how the data of claims would be moved.
func TestMethods(t *testing.T) {
	for _, tt := range []struct {
		data v1alpha1.VolumeDataPolicy
		uses []use
		want string
	}{
		{"", nil, ""},
		{"", []use{{running: true}}, ""},
		{"", []use{{annotated: true}}, ""},
		{"", []use{{running: true, annotated: true}}, "FileSystemBackup"},
		{"FileSystemBackup", nil, "None"},
		{"FileSystemBackup", []use{{running: true}}, "FileSystemBackup"},
		{"SnapshotDataMovement", nil, "SnapshotDataMovement"},
		{"None", []use{{running: true, annotated: true}}, "None"},
	} {
		s := &source{policy: v1alpha1.MigratePolicy{Volumes: &v1alpha1.VolumePolicy{Data: tt.data}}}
		if got := s.method(tt.uses); got != tt.want {
			t.Errorf("%q with %+v: %q, want %q", tt.data, tt.uses, got, tt.want)
		}
	}
}

// survey of a source with two ConfigMaps and a Pod in namespace app, which is mapped to there.
func surveyed() *migration.SourceSurvey {
	configMap := velero.Resource{Version: "v1", Name: "configmaps", Kind: "ConfigMap", Namespaced: true}
	pod := velero.Resource{Version: "v1", Name: "pods", Kind: "Pod", Namespaced: true}
	oven := velero.Resource{Group: "example.com", Version: "v1", Name: "ovens", Kind: "Oven", Namespaced: true}
	key := func(name string) migration.ObjectKey { return migration.ObjectKey{Namespace: "app", Name: name} }
	return &migration.SourceSurvey{
		Selected: []migration.SelectedResource{
			{Resource: configMap, Count: 2, Objects: []migration.ObjectKey{key("settings"), key("other")}},
			{Resource: pod, Count: 1, Objects: []migration.ObjectKey{key("one")}},
			{Resource: oven, Count: 1, Objects: []migration.ObjectKey{key("hot")}},
		},
		Volumes:    []v1alpha1.VolumePreview{{}},
		Services:   []migration.ServiceAddresses{{ObjectKey: key("web"), NodePorts: []int32{30001}, LoadBalancerIP: "192.0.2.1"}},
		LeftBehind: []migration.Reference{{Resource: secrets, To: key("password")}, {Resource: secrets, To: key("there")}},
		Samples: []migration.Sample{
			{Resource: configMap, ObjectKey: key("settings"), JSON: []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"app","name":"settings","uid":"u"},"data":{"a":"b"}}`)},
			{Resource: pod, ObjectKey: key("one"), JSON: []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"app","name":"one"},"spec":{"nodeName":"n"}}`)},
			{Resource: oven, ObjectKey: key("hot"), JSON: []byte(`{}`)},
		},
	}
}

// targetAnswers are the answers of a target that has one ConfigMap with other content and one that is the same.
func targetAnswers() map[string]string {
	answers := base()
	answers["GET /api/v1/namespaces"] = `{"items":[{"metadata":{"name":"there"}},{"metadata":{"name":"app"}}]}`
	answers["GET /api/v1/namespaces/there/configmaps"] = `{"items":[{"metadata":{"namespace":"there","name":"settings"}},{"metadata":{"namespace":"there","name":"other"}},{"metadata":{"namespace":"there","name":"unrelated"}}]}`
	answers["GET /api/v1/namespaces/there/configmaps/settings"] = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"there","name":"settings","uid":"2"},"data":{"a":"old"}}`
	answers["GET /api/v1/namespaces/there/configmaps/other"] = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"there","name":"other","uid":"3","labels":{"velero.io/backup-name":"b"}},"data":{"a":"b"}}`
	answers["GET /api/v1/namespaces/there/pods"] = `{"items":[]}`
	answers["GET /api/v1/namespaces/there/secrets/there"] = `{"metadata":{"name":"there"}}`
	answers["GET /apis/storage.k8s.io/v1/storageclasses"] = `{"items":[{"metadata":{"name":"slow"}}]}`
	answers["GET /api/v1/services"] = `{"items":[{"metadata":{"namespace":"x","name":"y"},"spec":{"ports":[{"nodePort":30001}]},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}}]}`
	answers["GET /api/v1/namespaces/there/resourcequotas"] = `{"items":[{"metadata":{"namespace":"there","name":"q"}}]}`
	answers["GET /api/v1/namespaces/there/limitranges"] = `{"items":[{"metadata":{"namespace":"there","name":"l"}}]}`
	answers["POST /api/v1/namespaces/there/configmaps"] = "409 settings already exists"
	answers["POST /api/v1/namespaces/there/pods"] = "403 violates a policy"
	return answers
}

// readSource returns ConfigMaps of the source.
func readSource(_ context.Context, _ velero.Resource, key migration.ObjectKey) ([]byte, error) {
	return json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"a": "b"},
		"metadata": map[string]any{"namespace": key.Namespace, "name": key.Name, "uid": "1", "managedFields": []any{}},
	})
}

func TestTarget(t *testing.T) {
	c, asked := connect(t, targetAnswers())
	policy := v1alpha1.MigratePolicy{NamespaceMapping: map[string]string{"app": "there"}}
	got := Target(t.Context(), c, request(policy), surveyed(), readSource)
	if missing := notChecked(got.ClusterSurvey); len(missing) > 0 {
		t.Errorf("not checked: %q", missing)
	}
	item := func(kind, name string) velero.Item { return velero.Item{Kind: kind, Namespace: "there", Name: name} }
	want := migration.TargetSurvey{
		ClusterSurvey: migration.ClusterSurvey{
			Kubernetes: "v1.37.2", Velero: "v1.18.3", Server: migration.ServerAnswers,
			NodeAgent: &v1alpha1.NodeAgentPreview{Ready: 1, Desired: 2, LoadConcurrency: 3},
		},
		NotServed: []migration.UnservedResource{{Resource: surveyed().Selected[2].Resource}},
		Classes:   []string{"slow"},
		Existing: &migration.ExistingItems{
			All:  map[velero.Item]bool{item("ConfigMap", "settings"): true, item("ConfigMap", "other"): true},
			Same: 1, Different: []velero.Item{item("ConfigMap", "settings")},
		},
		NodePorts:       map[int32]migration.ObjectKey{30001: {Namespace: "x", Name: "y"}},
		LoadBalancerIPs: map[string]migration.ObjectKey{"192.0.2.1": {Namespace: "x", Name: "y"}},
		Quotas:          got.Quotas, LimitRanges: got.LimitRanges,
		Missing: surveyed().LeftBehind[:1],
		Denied:  []migration.DeniedItem{{Item: item("Pod", "one"), Message: "violates a policy"}},
	}
	if d := cmp.Diff(want, got); d != "" || len(got.Quotas) != 1 || len(got.LimitRanges) != 1 {
		t.Error(d)
	}
	for path, body := range asked.bodies {
		if !strings.Contains(path, "serverstatusrequests") && (!strings.HasSuffix(path, "?dryRun=All") || strings.Contains(body, "uid") || strings.Contains(body, "nodeName") || !strings.Contains(body, `"namespace":"there"`)) {
			t.Errorf("POST %s: %s", path, body)
		}
	}
	if len(asked.bodies) != 3 {
		t.Errorf("POSTs %v", asked.bodies)
	}
}

// TestTargetWithoutAnswers surveys a target that forbids everything, and one in which the namespace does not exist.
func TestTargetWithoutAnswers(t *testing.T) {
	forbidding := map[string]string{}
	for request := range targetAnswers() {
		forbidding[request] = `403 user "x" cannot create resource`
	}
	c, _ := connect(t, forbidding)
	got := Target(t.Context(), c, request(v1alpha1.MigratePolicy{}), surveyed(), readSource)
	if len(notChecked(got.ClusterSurvey)) < 5 || got.Existing != nil && len(got.Existing.All) > 0 || len(got.Denied) > 0 || got.NotServed != nil {
		t.Errorf("%+v", got)
	}

	answers := targetAnswers()
	answers["GET /api/v1/namespaces"] = `{"items":[{"metadata":{"name":"app","deletionTimestamp":"2026-01-01T00:00:00Z"}}]}`
	c, asked := connect(t, answers)
	got = Target(t.Context(), c, request(v1alpha1.MigratePolicy{}), surveyed(), readSource)
	if len(got.Existing.All) > 0 || !slices.Equal(got.Terminating, []string{"app"}) || len(asked.bodies) != 1 {
		t.Errorf("%+v, POSTs %v", got, asked.bodies)
	}
}

// TestLackOfPermissionIsNoDenial tells what a dry run reports of the object from what it reports of us.
func TestLackOfPermissionIsNoDenial(t *testing.T) {
	answers := targetAnswers()
	answers["POST /api/v1/namespaces/there/pods"] = `403 pods is forbidden: User "x" cannot create resource "pods" in API group "" in the namespace "there"`
	c, _ := connect(t, answers)
	got := Target(t.Context(), c, request(v1alpha1.MigratePolicy{NamespaceMapping: map[string]string{"app": "there"}}), surveyed(), readSource)
	if missing := notChecked(got.ClusterSurvey); len(got.Denied) > 0 || len(missing) != 1 || !strings.HasPrefix(missing[0], "whether it accepts the objects (dry run): ") {
		t.Errorf("%+v, %q", got.Denied, missing)
	}
}

// TestUnreadableSource compares with objects that can't be read.
func TestUnreadableSource(t *testing.T) {
	c, _ := connect(t, targetAnswers())
	read := func(context.Context, velero.Resource, migration.ObjectKey) ([]byte, error) {
		return nil, errors.New("gone")
	}
	got := Target(t.Context(), c, request(v1alpha1.MigratePolicy{NamespaceMapping: map[string]string{"app": "there"}}), surveyed(), read)
	if missing := notChecked(got.ClusterSurvey); got.Existing.NotCompared != 2 || !slices.Contains(missing, "whether objects that it has are the same: gone") {
		t.Errorf("%+v, %q", got.Existing, missing)
	}
}

// TestOddAnswers surveys clusters that answer every request with the same odd JSON.
func TestOddAnswers(t *testing.T) {
	for _, answer := range []string{
		`null`, `[]`, `"x"`, `{}`, `{"items":null}`, `{"items":[null]}`, `{"items":[{"metadata":null,"spec":"x","status":[]}]}`,
		`{"items":[{"metadata":{"name":"` + strings.Repeat("n", 300) + `","namespace":"app"}}]}`, `{"metadata":{"continue":"again"},"items":[{}]}`,
		`{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"../../x","namespaced":true,"kind":"X","verbs":["create","delete","get","list"]}],"versions":["v1"],"groups":[{"name":"x/..","versions":[{"groupVersion":"x/../v1","version":"v1"}]}]}`,
	} {
		odd := map[string]string{}
		for request := range targetAnswers() {
			odd[request] = answer
		}
		c, _ := connect(t, odd)
		from := Source(t.Context(), c, request(ofApp()))
		to := Target(t.Context(), c, request(ofApp()), surveyed(), readSource)
		if len(from.Selected)+len(from.Volumes)+len(from.LeftBehind) > 0 || to.Existing != nil && len(to.Existing.All) > 0 || len(to.Denied) > 0 {
			t.Errorf("%.60s: %+v\n%+v", answer, from, to)
		}
	}
}
