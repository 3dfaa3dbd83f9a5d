// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package membertest

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

// APIServer models a member's kube-apiserver: get, list, watch, create and delete of
// Velero's resources, over TLS and HTTP/2.
type APIServer struct {
	t      *testing.T
	server *httptest.Server

	mu      sync.Mutex
	token   string
	fault   http.HandlerFunc                      // answers instead, if set
	objects map[string]*unstructured.Unstructured // by namespace/resource/name
	version int
	watches map[chan event]string // of namespace/resource
	// Answers are the bodies of the answers at paths of other resources. It is set before the first request.
	Answers map[string]string
	// OnCreate changes a new object as Velero would; may be nil.
	OnCreate func(resource string, obj *unstructured.Unstructured)
	// asked has the number of requests, by verb and resource.
	asked map[string]int
	// changed is closed and replaced when a watch is opened or closed.
	changed chan struct{}
}

type event struct {
	Type   string                     `json:"type"`
	Object *unstructured.Unstructured `json:"object"`
}

// NewAPIServer starts an APIServer, and stops it with the test.
func NewAPIServer(t *testing.T) *APIServer {
	s := &APIServer{
		t:       t,
		token:   "secret-token",
		objects: map[string]*unstructured.Unstructured{},
		version: 1,
		watches: map[chan event]string{},
		asked:   map[string]int{},
		changed: make(chan struct{}),
	}
	s.server = httptest.NewUnstartedServer(s)
	s.server.EnableHTTP2 = true
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.server.StartTLS()
	t.Cleanup(s.Stop)
	return s
}

// Stop stops the server. It closes the listener first, so that no client can reconnect meanwhile.
func (s *APIServer) Stop() {
	s.server.Listener.Close()
	s.server.CloseClientConnections()
}

// StartAgain starts a server at the same address with the stored objects.
func (s *APIServer) StartAgain() {
	s.t.Helper()
	address := s.Address()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		s.t.Fatalf("listen again: %v", err)
	}
	old := s.server
	s.server = httptest.NewUnstartedServer(s)
	s.server.Listener.Close()
	s.server.Listener = listener
	s.server.EnableHTTP2 = true
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.server.TLS = old.TLS.Clone()
	s.server.StartTLS()
}

// Address returns the host and port at which the server listens.
func (s *APIServer) Address() string { return s.server.Listener.Addr().String() }

// Kubeconfig returns a kubeconfig with the server's current token.
func (s *APIServer) Kubeconfig() string {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw})
	return kubeconfig("https://"+s.Address(), ca, s.token)
}

func kubeconfig(server string, ca []byte, token string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: it
contexts: [{name: it, context: {cluster: it, user: it}}]
clusters: [{name: it, cluster: {server: %q, tls-server-name: example.com, certificate-authority-data: %s}}]
users: [{name: it, user: {token: %s}}]
`, server, base64.StdEncoding.EncodeToString(ca), token)
}

// SetFault makes f answer every request; nil restores the normal answers.
func (s *APIServer) SetFault(f http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// SetToken sets the only token that is accepted.
func (s *APIServer) SetToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = token
}

// Count returns the number of requests of a verb and resource, such as "list backups".
func (s *APIServer) Count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[what]
}

// Requests returns the number of requests by verb and resource.
func (s *APIServer) Requests() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.asked)
}

// AwaitWatches returns when n watches are open.
func (s *APIServer) AwaitWatches(n int) {
	s.t.Helper()
	for {
		s.mu.Lock()
		open, changed := len(s.watches), s.changed
		s.mu.Unlock()
		if open == n {
			return
		}
		select {
		case <-changed:
		case <-s.t.Context().Done():
			s.t.Fatalf("%d watches are open, want %d", open, n)
		}
	}
}

// ServeHTTP answers a request.
func (s *APIServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(r.URL.Path, "/apis/velero.io/v1/namespaces/")
	namespace, rest, _ := strings.Cut(rest, "/")
	resource, name, _ := strings.Cut(rest, "/")
	collection := path.Join(namespace, resource)
	verb := strings.ToLower(r.Method)
	switch {
	case r.URL.Query().Get("watch") != "":
		verb = "watch"
	case verb == "get" && name == "":
		verb = "list"
	}

	if !ok {
		resource = r.URL.Path
	}
	s.mu.Lock()
	s.asked[verb+" "+resource]++
	fault, token := s.fault, s.token
	s.mu.Unlock()
	switch {
	case fault != nil:
		fault(w, r)
	case r.Header.Get("Authorization") != "Bearer "+token:
		WriteStatus(w, http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized")
	case !ok && s.Answers[r.URL.Path] == Absent:
		WriteStatus(w, http.StatusNotFound, metav1.StatusReasonNotFound, path.Base(r.URL.Path)+" not found")
	case !ok && s.Answers[r.URL.Path] == Forbidden:
		WriteStatus(w, http.StatusForbidden, metav1.StatusReasonForbidden, path.Base(r.URL.Path)+" is forbidden")
	case !ok && s.Answers[r.URL.Path] == Broken:
		WriteStatus(w, http.StatusInternalServerError, metav1.StatusReasonInternalError, "internal error")
	case !ok && s.Answers[r.URL.Path] != "":
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, s.Answers[r.URL.Path])
	case !ok:
		http.NotFound(w, r)
	case verb == "watch":
		s.Watch(w, r, collection)
	case verb == "list":
		s.List(w, r, collection)
	case verb == "get":
		s.get(w, collection, name)
	case verb == "post":
		s.create(w, r, collection)
	case verb == "delete":
		s.Remove(resource, name)
		WriteStatus(w, http.StatusOK, "", "")
	}
}

// WriteStatus answers with a Status.
func WriteStatus(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message,
	})
}

func (s *APIServer) get(w http.ResponseWriter, collection, name string) {
	s.mu.Lock()
	obj := s.objects[path.Join(collection, name)]
	s.mu.Unlock()
	if obj == nil {
		WriteStatus(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("%s.velero.io %q not found", path.Base(collection), name))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(obj)
}

// List answers a list of a collection, which is NAMESPACE/RESOURCE.
func (s *APIServer) List(w http.ResponseWriter, r *http.Request, collection string) {
	selector, _ := labels.Parse(r.URL.Query().Get("labelSelector"))
	kind := kindsByResource[path.Base(collection)]
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion("velero.io/v1")
	list.SetKind(kind + "List")
	s.mu.Lock()
	list.SetResourceVersion(strconv.Itoa(s.version))
	for key, obj := range s.objects {
		if strings.HasPrefix(key, collection+"/") && selector.Matches(labels.Set(obj.GetLabels())) {
			list.Items = append(list.Items, *obj)
		}
	}
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list)
}

// Watch answers a watch of a collection, which is NAMESPACE/RESOURCE.
func (s *APIServer) Watch(w http.ResponseWriter, r *http.Request, collection string) {
	selector, _ := labels.Parse(r.URL.Query().Get("labelSelector"))
	events := make(chan event, 100)
	s.mu.Lock()
	from, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	for key, obj := range s.objects {
		if version, _ := strconv.Atoi(obj.GetResourceVersion()); version > from && strings.HasPrefix(key, collection+"/") {
			events <- event{"ADDED", obj}
		}
	}
	s.watches[events] = collection
	s.broadcast()
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watches, events)
		s.broadcast()
	}()

	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case e := <-events:
			if !selector.Matches(labels.Set(e.Object.GetLabels())) {
				continue
			}
			_ = json.NewEncoder(w).Encode(e)
			_ = http.NewResponseController(w).Flush()
		}
	}
}

func (s *APIServer) create(w http.ResponseWriter, r *http.Request, collection string) {
	obj := &unstructured.Unstructured{}
	_ = json.NewDecoder(r.Body).Decode(obj)
	s.mu.Lock()
	exists := s.objects[path.Join(collection, obj.GetName())] != nil
	s.mu.Unlock()
	if exists {
		WriteStatus(w, http.StatusConflict, metav1.StatusReasonAlreadyExists, "already exists")
		return
	}
	if s.OnCreate != nil {
		s.OnCreate(path.Base(collection), obj)
	}
	obj = s.PutInto(collection, obj)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(obj)
}

var kindsByResource = map[string]string{
	"backups": "Backup", "restores": "Restore",
	"backupstoragelocations": "BackupStorageLocation", "podvolumebackups": "PodVolumeBackup",
	"serverstatusrequests": "ServerStatusRequest", "downloadrequests": "DownloadRequest",
}

// Put stores an object in namespace velero, as another client.
func (s *APIServer) Put(resource string, obj *unstructured.Unstructured) {
	s.PutInto(path.Join("velero", resource), obj)
}

// PutInto stores an object in a collection, which is NAMESPACE/RESOURCE.
func (s *APIServer) PutInto(collection string, obj *unstructured.Unstructured) *unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	obj = obj.DeepCopy()
	obj.SetAPIVersion("velero.io/v1")
	obj.SetKind(kindsByResource[path.Base(collection)])
	obj.SetNamespace(path.Dir(collection))
	s.version++
	obj.SetResourceVersion(strconv.Itoa(s.version))
	key := path.Join(collection, obj.GetName())
	kind := "MODIFIED"
	if s.objects[key] == nil {
		kind = "ADDED"
	}
	s.objects[key] = obj
	s.send(collection, event{kind, obj})
	return obj
}

// DropWatches sends no more events to the watches that are open.
func (s *APIServer) DropWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches = map[chan event]string{}
}

// Remove deletes an object in namespace velero.
func (s *APIServer) Remove(resource, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	collection := path.Join("velero", resource)
	key := path.Join(collection, name)
	obj := s.objects[key].DeepCopy()
	delete(s.objects, key)
	s.version++
	obj.SetResourceVersion(strconv.Itoa(s.version))
	s.send(collection, event{"DELETED", obj})
}

func (s *APIServer) send(collection string, e event) {
	for events, of := range s.watches {
		if of == collection {
			events <- e
		}
	}
}

func (s *APIServer) broadcast() {
	close(s.changed)
	s.changed = make(chan struct{})
}
