// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestAdmissionWebhooks checks that our server calls the host's mutating and validating webhooks.
func TestAdmissionWebhooks(t *testing.T) {
	n := newNamespace(t)
	hook := newWebhook(t)
	n.apply(hook.configuration("MutatingWebhookConfiguration", n.name, "/mutate", "CREATE"))
	n.apply(hook.configuration("ValidatingWebhookConfiguration", n.name, "/validate", "CREATE, DELETE"))
	forbidden := n.file("forbidden.yaml", manifest("forbidden"), 0o600)
	eventually(t, "both webhooks to be called", func(context.Context) bool {
		out, err := n.try("", "create", "--dry-run=server", "-f", forbidden)
		return err != nil && strings.Contains(out, "denied by the webhook: forbidden, noted by the webhook")
	})
	n.create("a")
	equal(t, "annotation", n.get("a", "{.metadata.annotations.note}"), "by the webhook")
	contains(t, n.fail("delete", "migrate", "a"), "denied by the webhook: a, noted by the webhook")

	request := hook.last("/validate")
	equal(t, "requester", request.UserInfo.Username, "kubernetes-admin")
	equal(t, "resource", request.Resource.String(), "backup.kurator.dev/v1alpha1, Resource=migrates")
	equal(t, "operation", string(request.Operation), "DELETE")

	// The failurePolicy is Fail.
	hook.server.Close()
	contains(t, n.fail("create", "-f", n.file("b.yaml", manifest("b"), 0o600)), `failed calling webhook "mutate.test.kurator.dev"`)
}

// webhook is a webhook server. It has the last request for each path.
type webhook struct {
	server *httptest.Server

	mu       sync.Mutex
	requests map[string]*admissionv1.AdmissionRequest
}

func newWebhook(t *testing.T) *webhook {
	w := &webhook{requests: map[string]*admissionv1.AdmissionRequest{}}
	w.server = httptest.NewTLSServer(w)
	t.Cleanup(w.server.Close)
	return w
}

// ServeHTTP records the request. On /mutate it adds an annotation; on /validate it denies
// deletions and objects with the name forbidden.
func (w *webhook) ServeHTTP(out http.ResponseWriter, request *http.Request) {
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(request.Body).Decode(&review); err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	w.mu.Lock()
	w.requests[request.URL.Path] = review.Request
	w.mu.Unlock()

	answer := &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	if request.URL.Path == "/mutate" {
		patchType := admissionv1.PatchTypeJSONPatch
		answer.PatchType = &patchType
		answer.Patch = []byte(`[{"op":"add","path":"/metadata/annotations","value":{"note":"by the webhook"}}]`)
	} else if review.Request.Operation == admissionv1.Delete || review.Request.Name == "forbidden" {
		answer.Allowed = false
		answer.Result = denial(review.Request)
	}
	review.Request, review.Response = nil, answer
	if err := json.NewEncoder(out).Encode(review); err != nil {
		http.Error(out, err.Error(), http.StatusInternalServerError)
	}
}

// denial returns a message with the name of the object and the annotation of the mutating
// webhook, which must have been called before.
func denial(request *admissionv1.AdmissionRequest) *metav1.Status {
	raw := request.Object.Raw
	if request.Operation == admissionv1.Delete {
		raw = request.OldObject.Raw
	}
	var object metav1.PartialObjectMetadata
	if err := json.Unmarshal(raw, &object); err != nil {
		return &metav1.Status{Message: err.Error()}
	}
	return &metav1.Status{Message: fmt.Sprintf("denied by the webhook: %s, noted %s", request.Name, object.Annotations["note"])}
}

func (w *webhook) last(path string) *admissionv1.AdmissionRequest {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests[path]
}

// configuration returns a manifest that registers a path of the webhook for the Migrates of a
// namespace.
func (w *webhook) configuration(kind, namespace, path, operations string) string {
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.server.Certificate().Raw})
	return fmt.Sprintf(`apiVersion: admissionregistration.k8s.io/v1
kind: %s
metadata:
  name: %s
webhooks:
- name: %s.test.kurator.dev
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 5
  namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: %s
  rules:
  - apiGroups: [backup.kurator.dev]
    apiVersions: [v1alpha1]
    resources: [migrates]
    operations: [%s]
  clientConfig:
    url: %s%s
    caBundle: %s
`, kind, namespace, strings.TrimPrefix(path, "/"), namespace, operations,
		w.server.URL, path, base64.StdEncoding.EncodeToString(authority))
}
