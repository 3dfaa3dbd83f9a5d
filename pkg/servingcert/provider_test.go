// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package servingcert

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	testclock "k8s.io/utils/clock/testing"

	"kurator.dev/migrate-apiserver/pkg/aggregation"
)

var (
	secretName = types.NamespacedName{Namespace: "migrate-system", Name: "migrate-apiserver-tls"}
	secrets    = schema.GroupResource{Resource: "secrets"}
)

// host is a host with the Secret and the APIService, which has resourceVersions.
type host struct {
	t     *testing.T
	clock *testclock.FakeClock

	mutex        sync.Mutex
	version      int
	secret       *corev1.Secret
	registration *unstructured.Unstructured
	writes       []string
	// refuse returns the error of a call, such as "update secrets", or nil.
	refuse func(call string) error
}

func newHost(t *testing.T) *host {
	t.Helper()
	return &host{t: t, clock: testclock.NewFakeClock(start), refuse: func(string) error { return nil }}
}

// register creates the APIService for a Service, with more fields in its spec.
func (h *host) register(service types.NamespacedName, fields map[string]any) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	spec := map[string]any{"service": map[string]any{"namespace": service.Namespace, "name": service.Name}}
	for k, v := range fields {
		spec[k] = v
	}
	h.registration = &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": "v1alpha1.backup.kurator.dev"}, "spec": spec,
	}}
	h.registration.SetResourceVersion(h.next())
}

func (h *host) next() string {
	h.version++
	return strconv.Itoa(h.version)
}

// provider returns the Provider of a replica.
func (h *host) provider() *Provider {
	kube, objects := fake.NewClientset(), dynamicfake.NewSimpleDynamicClient(runtime.NewScheme())
	kube.PrependReactor("*", "secrets", h.react)
	objects.PrependReactor("*", "apiservices", h.react)
	return New(kube.CoreV1(), objects, Options{Secret: secretName, Service: service, Clock: h.clock})
}

func (h *host) react(action clienttesting.Action) (bool, runtime.Object, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	call := action.GetVerb() + " " + action.GetResource().Resource
	if err := h.refuse(call); err != nil {
		return true, nil, err
	}
	switch call {
	case "get secrets":
		if h.secret == nil {
			return true, nil, apierrors.NewNotFound(secrets, secretName.Name)
		}
		return true, h.secret.DeepCopy(), nil
	case "get apiservices":
		if h.registration == nil {
			return true, nil, apierrors.NewNotFound(aggregation.APIServices.GroupResource(), aggregation.APIServiceName)
		}
		return true, h.registration.DeepCopy(), nil
	case "create secrets":
		if h.secret != nil {
			return true, nil, apierrors.NewAlreadyExists(secrets, secretName.Name)
		}
		h.secret = action.(clienttesting.CreateAction).GetObject().(*corev1.Secret).DeepCopy()
		h.secret.ResourceVersion = h.next()
	case "update secrets":
		updated := action.(clienttesting.UpdateAction).GetObject().(*corev1.Secret).DeepCopy()
		if h.secret == nil || h.secret.ResourceVersion != updated.ResourceVersion {
			return true, nil, apierrors.NewConflict(secrets, secretName.Name, errors.New("it has changed"))
		}
		h.secret = updated
		h.secret.ResourceVersion = h.next()
	case "patch apiservices":
		patch := action.(clienttesting.PatchActionImpl)
		applied := &unstructured.Unstructured{}
		if err := json.Unmarshal(patch.Patch, applied); err != nil {
			return true, nil, err
		}
		if patch.PatchType != types.ApplyPatchType || applied.GetResourceVersion() != h.registration.GetResourceVersion() {
			return true, nil, apierrors.NewConflict(aggregation.APIServices.GroupResource(), aggregation.APIServiceName, errors.New("it has changed"))
		}
		bundle, _, _ := unstructured.NestedString(applied.Object, "spec", "caBundle")
		if err := unstructured.SetNestedField(h.registration.Object, bundle, "spec", "caBundle"); err != nil {
			return true, nil, err
		}
		h.registration.SetResourceVersion(h.next())
		h.writes = append(h.writes, call)
		return true, h.registration.DeepCopy(), nil
	default:
		h.t.Errorf("unexpected call: %s", call)
	}
	h.writes = append(h.writes, call)
	return true, h.secret.DeepCopy(), nil
}

// expect checks the writes since it was called last.
func (h *host) expect(want ...string) {
	h.t.Helper()
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if got := strings.Join(h.writes, ", "); got != strings.Join(want, ", ") {
		h.t.Errorf("wrote %q, want %q", got, want)
	}
	h.writes = nil
}

// serves checks that the host trusts what a replica serves, and that it is that of the Secret.
func (h *host) serves(p *Provider) {
	h.t.Helper()
	certificate, key := p.CurrentCertKeyContent()
	c := parse(map[string][]byte{"tls.crt": certificate, "tls.key": key})
	if c.serving == nil {
		h.t.Fatal("it serves no certificate")
	}
	if err := verify(aggregation.CABundle(h.registration), c.serving.leaf, "migrate-apiserver.migrate-system.svc", h.clock.Now()); err != nil {
		h.t.Error(err)
	}
	if string(h.secret.Data["tls.crt"]) != string(certificate) {
		h.t.Error("it does not serve the certificate of the Secret")
	}
}

func run(t *testing.T, p *Provider) {
	t.Helper()
	if err := p.RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
}

type countingListener int

func (c *countingListener) Enqueue() { *c++ }

func TestProvider(t *testing.T) {
	h := newHost(t)
	p := h.provider()
	var notified countingListener
	p.AddListener(&notified)
	if err := p.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.expect("create secrets")
	if h.secret.Type != "kubernetes.io/tls" || h.secret.Labels["app.kubernetes.io/name"] != "migrate-apiserver" {
		t.Errorf("Secret %s with labels %v", h.secret.Type, h.secret.Labels)
	}

	// The APIService is applied later, and by somebody again.
	h.register(service, nil)
	run(t, p)
	h.expect("patch apiservices")
	h.serves(p)
	h.register(service, map[string]any{"caBundle": ""})
	run(t, p)
	h.expect("patch apiservices")
	h.serves(p)
	run(t, p)
	h.expect()
	if notified != 1 {
		t.Errorf("notified %d times, want 1", notified)
	}

	h.clock.Step(60 * day)
	run(t, p)
	h.expect("update secrets")
	h.serves(p)
	if notified != 2 {
		t.Errorf("notified %d times, want 2", notified)
	}

	h.secret = nil
	run(t, p)
	h.expect("create secrets", "patch apiservices")
	h.serves(p)

	h.secret.Data["tls.crt"], h.secret.Data["more"], h.secret.ResourceVersion = []byte("rubbish"), []byte("kept"), h.next()
	run(t, p)
	h.expect("update secrets")
	h.serves(p)
	if string(h.secret.Data["more"]) != "kept" {
		t.Error("other data of the Secret is lost")
	}
}

// TestReplicasAgree starts replicas at once, each of which finds no Secret.
func TestReplicasAgree(t *testing.T) {
	h := newHost(t)
	h.register(service, nil)
	var running sync.WaitGroup
	providers := make([]*Provider, 5)
	for i := range providers {
		providers[i] = h.provider()
		running.Go(func() {
			if err := providers[i].Load(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	h.expect("create secrets", "patch apiservices")
	for _, p := range providers {
		h.serves(p)
	}

	h.clock.Step(60 * day)
	for _, p := range providers {
		running.Go(func() { run(t, p) })
	}
	running.Wait()
	h.expect("update secrets")
	for _, p := range providers {
		h.serves(p)
	}
}

// TestOnlyItsOwnAPIService checks that an APIService which does not lead to this server is left as it is.
func TestOnlyItsOwnAPIService(t *testing.T) {
	for name, register := range map[string]func(*host){
		"none": func(*host) {},
		"of CustomResourceDefinitions": func(h *host) {
			h.register(service, nil)
			unstructured.RemoveNestedField(h.registration.Object, "spec", "service")
		},
		"of another Service":   func(h *host) { h.register(types.NamespacedName{Namespace: "other", Name: "migrate-apiserver"}, nil) },
		"without verification": func(h *host) { h.register(service, map[string]any{"insecureSkipTLSVerify": true}) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			register(h)
			p := h.provider()
			run(t, p)
			h.expect("create secrets")
			if certificate, _ := p.CurrentCertKeyContent(); len(certificate) == 0 {
				t.Error("it serves no certificate")
			}
		})
	}
}

// TestRefused checks what is served while the host refuses calls, and the errors.
func TestRefused(t *testing.T) {
	forbidden := func(refused string) func(string) error {
		return func(call string) error {
			if call != refused {
				return nil
			}
			verb, resource, _ := strings.Cut(call, " ")
			return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "it", errors.New("no "+verb))
		}
	}
	for call, test := range map[string]struct {
		want   string
		serves bool
	}{
		"get secrets":       {`read Secret migrate-system/migrate-apiserver-tls: secrets "it" is forbidden: no get: apply the RBAC of the manifests`, false},
		"create secrets":    {`create Secret migrate-system/migrate-apiserver-tls: secrets "it" is forbidden: no create: apply the RBAC of the manifests`, false},
		"update secrets":    {`update Secret migrate-system/migrate-apiserver-tls: secrets "it" is forbidden: no update: apply the RBAC of the manifests`, true},
		"get apiservices":   {`read APIService v1alpha1.backup.kurator.dev: apiservices "it" is forbidden: no get: apply the RBAC of the manifests`, true},
		"patch apiservices": {`set spec.caBundle of APIService v1alpha1.backup.kurator.dev: apiservices "it" is forbidden: no patch: apply the RBAC of the manifests`, true},
	} {
		t.Run(call, func(t *testing.T) {
			h := newHost(t)
			if call != "create secrets" {
				run(t, h.provider())
				h.clock.Step(60 * day) // due, and still valid
			}
			h.register(service, nil)
			h.refuse = forbidden(call)
			p := h.provider()
			if err := p.RunOnce(t.Context()); err == nil || err.Error() != test.want {
				t.Errorf("%v\nwant %s", err, test.want)
			}
			if certificate, _ := p.CurrentCertKeyContent(); len(certificate) > 0 != test.serves {
				t.Errorf("serves: %t, want %t", len(certificate) > 0, test.serves)
			}
			h.refuse = func(string) error { return nil }
			run(t, p)
			h.serves(p)
		})
	}
}

func TestLoadReturnsWhyItWasStopped(t *testing.T) {
	h := newHost(t)
	ctx, cancel := context.WithCancel(t.Context())
	h.refuse = func(string) error {
		cancel()
		return errors.New("the host does not answer")
	}
	err := h.provider().Load(ctx)
	const want = "no serving certificate: read Secret migrate-system/migrate-apiserver-tls: the host does not answer\ncontext canceled"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestSecretsOfOthersAreLeft checks that a Secret which cert-manager writes, or which has something else, is neither served nor
// overwritten.
func TestSecretsOfOthersAreLeft(t *testing.T) {
	for want, secret := range map[string]*corev1.Secret{
		"Certificate migrate of cert-manager writes it": {
			ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"cert-manager.io/certificate-name": "migrate"}},
		},
		"it holds something else": {Data: map[string][]byte{"password": []byte("secret")}},
	} {
		h := newHost(t)
		h.secret = secret
		if err := h.provider().RunOnce(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		h.expect()
	}
}

// TestSettledSinceItIsKnown checks that a CA is not used before the APIService has had it for a while, by the clock of the replica.
func TestSettledSinceItIsKnown(t *testing.T) {
	h := newHost(t)
	h.register(service, nil)
	p := h.provider()
	run(t, p)
	h.expect("create secrets", "patch apiservices")
	for h.clock.Since(start) < 2400*day {
		h.clock.Step(60 * day)
		run(t, p)
		h.expect("update secrets")
	}
	h.clock.Step(40 * day)
	run(t, p)
	h.expect("update secrets", "patch apiservices") // the next CA
	run(t, p)
	h.clock.Step(9 * time.Minute)
	run(t, p)
	h.expect()
	h.clock.Step(time.Minute)
	run(t, p)
	h.expect("update secrets")
	h.serves(p)
}
