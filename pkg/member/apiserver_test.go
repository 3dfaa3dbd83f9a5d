// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
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

// apiServer is as much of a member's kube-apiserver as this package talks to:
// get, list, watch and create of Velero's resources, over TLS and HTTP/2.
type apiServer struct {
	t      *testing.T
	server *httptest.Server

	mu      sync.Mutex
	token   string
	fault   http.HandlerFunc                      // answers instead, if set
	objects map[string]*unstructured.Unstructured // by namespace/resource/name
	version int
	watches map[chan event]string // of namespace/resource
	// answers are what is answered at paths that nothing else is known of.
	answers map[string]string
	// onCreate is what Velero makes of a new object.
	onCreate func(resource string, obj *unstructured.Unstructured)
	// asked counts the requests by verb and resource.
	asked map[string]int
	// changed is closed and replaced when a watch is opened or closed.
	changed chan struct{}
}

type event struct {
	Type   string                     `json:"type"`
	Object *unstructured.Unstructured `json:"object"`
}

func newAPIServer(t *testing.T) *apiServer {
	s := &apiServer{
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
	t.Cleanup(s.stop)
	return s
}

// stop is the end of the process. The listener goes first, or a client that
// connects again at once would outlive it.
func (s *apiServer) stop() {
	s.server.Listener.Close()
	s.server.CloseClientConnections()
}

// startAgain starts another process on the same address with what was stored.
func (s *apiServer) startAgain() {
	s.t.Helper()
	address := s.server.Listener.Addr().String()
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

func (s *apiServer) kubeconfig() string {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw})
	return kubeconfig("https://"+s.server.Listener.Addr().String(), ca, s.token)
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

func (s *apiServer) setFault(f http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

func (s *apiServer) setToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = token
}

func (s *apiServer) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[what]
}

// awaitWatches returns when n watches are open.
func (s *apiServer) awaitWatches(n int) {
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

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
		answer1(w, http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized")
	case !ok && s.answers[r.URL.Path] != "":
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, s.answers[r.URL.Path])
	case !ok:
		http.NotFound(w, r)
	case verb == "watch":
		s.watch(w, r, collection)
	case verb == "list":
		s.list(w, r, collection)
	case verb == "get":
		s.get(w, collection, name)
	case verb == "post":
		s.create(w, r, collection)
	case verb == "delete":
		s.remove(resource, name)
		answer1(w, http.StatusOK, "", "")
	}
}

func answer1(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message,
	})
}

func (s *apiServer) get(w http.ResponseWriter, collection, name string) {
	s.mu.Lock()
	obj := s.objects[path.Join(collection, name)]
	s.mu.Unlock()
	if obj == nil {
		answer1(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("%s.velero.io %q not found", path.Base(collection), name))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(obj)
}

func (s *apiServer) list(w http.ResponseWriter, r *http.Request, collection string) {
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

func (s *apiServer) watch(w http.ResponseWriter, r *http.Request, collection string) {
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

func (s *apiServer) create(w http.ResponseWriter, r *http.Request, collection string) {
	obj := &unstructured.Unstructured{}
	_ = json.NewDecoder(r.Body).Decode(obj)
	s.mu.Lock()
	exists := s.objects[path.Join(collection, obj.GetName())] != nil
	s.mu.Unlock()
	if exists {
		answer1(w, http.StatusConflict, metav1.StatusReasonAlreadyExists, "already exists")
		return
	}
	if s.onCreate != nil {
		s.onCreate(path.Base(collection), obj)
	}
	obj = s.putInto(collection, obj)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(obj)
}

var kindsByResource = map[string]string{
	"backups": "Backup", "restores": "Restore",
	"backupstoragelocations": "BackupStorageLocation", "podvolumebackups": "PodVolumeBackup",
	"serverstatusrequests": "ServerStatusRequest", "downloadrequests": "DownloadRequest",
}

// put stores an object in namespace velero, as somebody in the member would.
func (s *apiServer) put(resource string, obj *unstructured.Unstructured) {
	s.putInto(path.Join("velero", resource), obj)
}

func (s *apiServer) putInto(collection string, obj *unstructured.Unstructured) *unstructured.Unstructured {
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

func (s *apiServer) remove(resource, name string) {
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

func (s *apiServer) send(collection string, e event) {
	for events, of := range s.watches {
		if of == collection {
			events <- e
		}
	}
}

func (s *apiServer) broadcast() {
	close(s.changed)
	s.changed = make(chan struct{})
}
