// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package membertest

import (
	"fmt"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Object returns an object of Velero with the label of a Migrate, if uid is not empty.
func Object(name, uid string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetName(name)
	if uid != "" {
		u.SetLabels(map[string]string{"backup.kurator.dev/migrate-uid": uid})
	}
	return u
}

// WithPhase returns a copy of an object in a phase.
func WithPhase(u *unstructured.Unstructured, phase string) *unstructured.Unstructured {
	u = u.DeepCopy()
	_ = unstructured.SetNestedField(u.Object, phase, "status", "phase")
	return u
}

// Answers for the path of an object, in place of its body.
const (
	// Absent answers that the object does not exist.
	Absent = "absent"
	// Forbidden answers that it may not be read.
	Forbidden = "forbidden"
	// Broken answers with an internal error.
	Broken = "broken"
)

// Status answers with a Status.
func Status(code int, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { WriteStatus(w, code, "", message) }
}

// Busy answers that there are too many requests, and to wait for an hour.
func Busy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "3600")
	WriteStatus(w, http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "too many")
}

// Answer answers with any body.
func Answer(code int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

// Garbage answers with a Backup that can't be decoded.
func Garbage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"kind":"Backup","apiVersion":"velero.io/v1","metadata":[]}`))
}

// Backup returns the JSON of a Backup, with more fields of its metadata and of its own.
func Backup(name, metadata, more string) string {
	return fmt.Sprintf(`{"kind":"Backup","apiVersion":"velero.io/v1","metadata":{"name":%q,"namespace":"velero","resourceVersion":"2"%s}%s}`, name, metadata, more)
}

// Label returns the field of metadata that has the label of a Migrate.
func Label(uid string) string { return `,"labels":{"backup.kurator.dev/migrate-uid":"` + uid + `"}` }

// BackupList returns the JSON of a page of Backups, and the token of the next one.
func BackupList(continues, items string) string {
	return fmt.Sprintf(`{"kind":"BackupList","apiVersion":"velero.io/v1","metadata":{"resourceVersion":"1","continue":%q},"items":[%s]}`, continues, items)
}

// Discovery has the answers of a member's discovery, and of its namespaces: one exists, one is
// being deleted. Velero does not back up the last three resources of v1: a subresource, one that
// can't be created, and one that can't be listed.
var Discovery = map[string]string{
	"/api/v1/namespaces/there":   `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"there"}}`,
	"/api/v1/namespaces/leaving": `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"leaving","deletionTimestamp":"2024-01-01T00:00:00Z"}}`,
	"/api/v1/namespaces/hidden":  `{"kind":"Status","apiVersion":"v1","status":"Failure"}`,
	"/api":                       `{"kind":"APIVersions","versions":["v1"]}`,
	"/apis":                      `{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"apps","versions":[{"groupVersion":"apps/v1","version":"v1"}],"preferredVersion":{"groupVersion":"apps/v1","version":"v1"}}]}`,
	"/api/v1": `{"kind":"APIResourceList","groupVersion":"v1","resources":[
		{"name":"configmaps","singularName":"configmap","namespaced":true,"kind":"ConfigMap","verbs":["create","delete","get","list"],"shortNames":["cm"]},
		{"name":"secrets","singularName":"secret","namespaced":true,"kind":"Secret","verbs":["create","delete","get","list"]},
		{"name":"events","singularName":"event","namespaced":true,"kind":"Event","verbs":["create","delete","get","list"]},
		{"name":"namespaces","singularName":"namespace","namespaced":false,"kind":"Namespace","verbs":["create","delete","get","list"],"shortNames":["ns"]},
		{"name":"nodes","singularName":"node","namespaced":false,"kind":"Node","verbs":["create","delete","get","list"]},
		{"name":"persistentvolumes","singularName":"persistentvolume","namespaced":false,"kind":"PersistentVolume","verbs":["create","delete","get","list"],"shortNames":["pv"]},
		{"name":"pods/log","singularName":"","namespaced":true,"kind":"Pod","verbs":["get","list"]},
		{"name":"componentstatuses","singularName":"componentstatus","namespaced":false,"kind":"ComponentStatus","verbs":["get","list"]},
		{"name":"bindings","singularName":"binding","namespaced":true,"kind":"Binding","verbs":["create"]}]}`,
	"/apis/apps/v1": `{"kind":"APIResourceList","groupVersion":"apps/v1","resources":[
		{"name":"deployments","singularName":"deployment","namespaced":true,"kind":"Deployment","verbs":["create","delete","get","list"],"shortNames":["deploy"]}]}`,
}
