// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

const (
	asJSON     = "application/json"
	asYAML     = "application/yaml"
	asProtobuf = "application/vnd.kubernetes.protobuf"
	jsonPatch  = "application/json-patch+json"
	mergePatch = "application/merge-patch+json"
	strategic  = "application/strategic-merge-patch+json"
	applyPatch = "application/apply-patch+yaml"
)

// hostileRequest is a malformed or malicious request, and its expected status code.
type hostileRequest struct {
	name, method, path  string
	contentType, accept string
	body                string
	want                int
}

// hostileRequests returns requests about Migrate a in a namespace.
func hostileRequests(namespace string) []hostileRequest {
	const group = "/apis/backup.kurator.dev/v1alpha1"
	all := group + "/namespaces/" + namespace + "/migrates"
	a := all + "/a"
	bomb := "apiVersion: backup.kurator.dev/v1alpha1\nkind: Migrate\nmetadata: {name: bomb}\nx: &x " + strings.Repeat("x", 1<<19) + "\ny: [" + strings.Repeat("*x,", 1<<17) + "]\n"
	laughs := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'j'; c++ {
		laughs += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 9))
	}
	with := func(old, replacement string) string {
		return strings.Replace(jsonManifest("bad"), old, replacement, 1)
	}
	const targets = `"clusters":[{"kind":"AttachedCluster","name":"member2"},{"kind":"AttachedCluster","name":"member3"}]`
	clusters := func(n int) string {
		var refs []string
		for i := range n {
			refs = append(refs, fmt.Sprintf(`{"kind":"AttachedCluster","name":"m%d"}`, i))
		}
		return with(targets, `"clusters":[`+strings.Join(refs, ",")+`]`)
	}
	annotated := func(n int) string {
		return with(`"labels":{"tier":"test"}`, `"annotations":{"a":"`+strings.Repeat("x", n)+`"}`)
	}
	labels := func(n int) string {
		var pairs []string
		for i := range n {
			pairs = append(pairs, fmt.Sprintf(`"l%d":"%s"`, i, strings.Repeat("v", 63)))
		}
		return strings.Join(pairs, ",")
	}
	ops := func(n int, op string) string { return "[" + strings.TrimSuffix(strings.Repeat(op+",", n), ",") + "]" }

	requests := slices.Concat(
		[]hostileRequest{
			{"4 MiB", "POST", all, asJSON, "", annotated(4 << 20), 413},
			{"4 MiB YAML", "POST", all, asYAML, "", "a: " + strings.Repeat("x", 4<<20), 413},
			{"4 MiB patch", "PATCH", a, mergePatch, "", `{"metadata":{"annotations":{"a":"` + strings.Repeat("x", 4<<20) + `"}}}`, 413},
			{"1.5 MiB annotation", "POST", all, asJSON, "", annotated(1536<<10 - 4096), 422},
			{"1.5 MiB YAML", "POST", all, asYAML, "", "a: " + strings.Repeat("x", 1536<<10-4096), 422},
			{"1.5 MiB patch", "PATCH", a, mergePatch, "", `{"metadata":{"annotations":{"a":"` + strings.Repeat("x", 1536<<10-4096) + `"}}}`, 422},
			{"1.5 MiB apply", "PATCH", a + "?fieldManager=x", applyPatch, "", strings.Replace(jsonManifest("a"), `"labels":{"tier":"test"}`, `"annotations":{"a":"`+strings.Repeat("x", 1536<<10-4096)+`"}`, 1), 422},
			{"2 MiB annotation", "POST", all, asJSON, "", annotated(2 << 20), 413},
			{"1 MiB of labels", "POST", all, asJSON, "", with(`"tier":"test"`, labels(15_000)), 422},
			{"patch with 1 MiB of labels", "PATCH", a, mergePatch, "", `{"metadata":{"labels":{` + labels(15_000) + `}}}`, 422},
			{"1 MiB name", "POST", all, asJSON, "", with(`"name":"bad"`, `"name":"`+strings.Repeat("x", 1<<20)+`"`), 422},
			{"1 MiB of commas in orderedResources", "POST", all, asJSON, "", with(`"resourceFilter"`, `"orderedResources":{"pods":"`+strings.Repeat(",", 1<<20)+`"},"resourceFilter"`), 422},
			{"400 KiB of commas in orderedResources", "POST", all, asJSON, "", with(`"resourceFilter"`, `"orderedResources":{"pods":"`+strings.Repeat(",", 400<<10)+`"},"resourceFilter"`), 422},
			{"100,000 empty names", "POST", all, asJSON, "", with(`"labelSelector"`, `"includedNamespaces":[`+strings.TrimSuffix(strings.Repeat(`"",`, 100_000), ",")+`],"labelSelector"`), 422},
			{"10,000 clusters", "POST", all, asJSON, "", clusters(10_000), 422},
			{"501 clusters", "POST", all, asJSON, "", clusters(501), 422},
			{"500 clusters", "POST", all + "?dryRun=All", asJSON, "", clusters(500), 201},
			{"deeply nested arrays", "POST", all, asJSON, "", with(`"labels":{"tier":"test"}`, `"x":`+strings.Repeat("[", 500_000)+strings.Repeat("]", 500_000)), 400},
			{"deeply nested objects", "POST", all, asJSON, "", with(`"labels":{"tier":"test"}`, `"x":`+strings.Repeat(`{"a":`, 200_000)+"1"+strings.Repeat("}", 200_000)), 400},
			{"unclosed nested arrays", "POST", all, asJSON, "", strings.Repeat("[", 1<<20), 400},
			{"unclosed nested YAML arrays", "POST", all, asYAML, "", strings.Repeat("[", 1<<20), 400},
			{"deeply nested YAML sequences", "POST", all, asYAML, "", strings.Repeat("- ", 1<<19), 400},
			{"unclosed nested YAML maps in an apply", "PATCH", a + "?fieldManager=x", applyPatch, "", strings.Repeat("{a: ", 1<<18), 400},
			{"unclosed label selector", "GET", all + "?labelSelector=" + strings.Repeat("(", 4000), "", "", "", 400},
			{"YAML bomb of one long string", "POST", all, asYAML, "", bomb, 400},
			{"YAML bomb of nested lists", "POST", all, asYAML, "", laughs, 400},
			{"YAML bomb with a mixed-case content type", "POST", all, "Application/YAML; charset=utf-8", "", bomb, 400},
			{"recursive YAML alias", "POST", all, asYAML, "", "a: &a [*a]\n", 400},
			{"YAML bomb in an apply", "PATCH", a + "?fieldManager=x", applyPatch, "", bomb, 400},
			{"YAML bomb in DeleteOptions", "DELETE", a, asYAML, "", bomb, 400},
			{"invalid UTF-8 in a name", "POST", all, asJSON, "", with(`"name":"bad"`, "\"name\":\"b\xffd\""), 422},
			{"invalid UTF-8 in a label", "POST", all, asJSON, "", with(`"tier":"test"`, "\"tier\":\"t\xc3\x28\""), 422},
			{"invalid UTF-8 in YAML", "POST", all, asYAML, "", "a: \xff\xfe\xfa", 400},
			{"NUL byte", "POST", all, asJSON, "", "\x00", 400},
			{"truncated body", "POST", all, asJSON, "", jsonManifest("bad")[:100], 400},
			{"empty body", "POST", all, asJSON, "", "", 400},
			{"null", "POST", all, asJSON, "", "null", 422},
			{"array", "POST", all, asJSON, "", "[]", 400},
			{"two objects", "POST", all, asJSON, "", jsonManifest("bad") + jsonManifest("bad"), 400},
			{"wrong version", "POST", all, asJSON, "", with("/v1alpha1", "/v2"), 400},
			{"wrong group", "POST", all, asJSON, "", with("backup.kurator.dev", "x.kurator.dev"), 400},
			{"wrong kind", "POST", all, asJSON, "", with(`"Migrate"`, `"Backup"`), 400},
			{"kind MigrateList", "POST", all, asJSON, "", with(`"Migrate"`, `"MigrateList"`), 400},
			{"wrong namespace", "POST", all, asJSON, "", with(`"name":"bad"`, `"name":"bad","namespace":"other"`), 400},
			{"no name", "POST", all, asJSON, "", with(`"name":"bad"`, `"generateName":""`), 422},
			{"1 KiB generateName", "POST", all, asJSON, "", with(`"name":"bad"`, `"generateName":"`+strings.Repeat("x", 1024)+`"`), 422},
			{"null ownerReference", "POST", all, asJSON, "", with(`"name":"bad"`, `"name":"bad","ownerReferences":[null]`), 422},
			{"invalid finalizers", "POST", all, asJSON, "", with(`"name":"bad"`, `"name":"bad","finalizers":["","x"]`), 422},
			{"invalid managedFields", "POST", all + "?dryRun=All", asJSON, "", with(`"name":"bad"`, `"name":"bad","managedFields":[{"manager":"x","fieldsV1":{"f:a":1}}]`), 201},
			{"invalid dryRun", "POST", all + "?dryRun=some", asJSON, "", jsonManifest("bad"), 422},
			{"invalid fieldValidation", "POST", all + "?fieldValidation=some", asJSON, "", jsonManifest("bad"), 422},
			{"1 KiB fieldManager", "POST", all + "?fieldManager=" + strings.Repeat("x", 1024), asJSON, "", jsonManifest("bad"), 422},
			{"NUL in fieldManager", "POST", all + "?fieldManager=%00", asJSON, "", jsonManifest("bad"), 422},
		},
		contentTypeRequests(all), readRequests(group, all, a), writeRequests(all, a, ops),
	)
	return append(requests, previewRequests(all, requests)...)
}

// previewRequests returns the requests that create a Migrate as those that create a MigratePreview, and others of
// previews.
func previewRequests(all string, requests []hostileRequest) []hostileRequest {
	previews := strings.Replace(all, "/migrates", "/migratepreviews", 1)
	var created []hostileRequest
	for _, r := range requests {
		query, isCreate := strings.CutPrefix(r.path, all)
		if r.method != "POST" || !isCreate || query != "" && query[0] != '?' {
			continue
		}
		r.name, r.path = "preview: "+r.name, previews+query
		r.body = strings.NewReplacer(`"Migrate"`, `"MigratePreview"`, "kind: Migrate\n", "kind: MigratePreview\n").Replace(r.body)
		if r.name == "preview: no name" {
			r.want = 201
		}
		created = append(created, r)
	}
	preview := strings.Replace(jsonManifest("bad"), `"Migrate"`, `"MigratePreview"`, 1)
	return append(
		created,
		hostileRequest{"preview with a status", "POST", previews, asJSON, "", strings.Replace(preview, `"spec"`, `"status":{"verdict":"Ready","message":"x"},"spec"`, 1), 201},
		hostileRequest{"preview with an invalid name", "POST", previews, asJSON, "", strings.Replace(preview, `"name":"bad"`, `"name":"../../x"`, 1), 422},
		hostileRequest{"preview as a Table", "POST", previews, asJSON, "application/json;as=Table;g=meta.k8s.io;v=v1", preview, 406},
		hostileRequest{"GET of a preview", "GET", previews + "/a", "", "", "", 404},
		hostileRequest{"PUT of a preview", "PUT", previews + "/a", asJSON, "", preview, 404},
		hostileRequest{"deletecollection of previews", "DELETE", previews, "", "", "", 405},
		hostileRequest{"watch of previews", "GET", previews + "?watch=true", "", "", "", 405},
	)
}

// contentTypeRequests returns requests with content types that the server does not support.
func contentTypeRequests(all string) []hostileRequest {
	return []hostileRequest{
		{"protobuf", "POST", all, asProtobuf, "", "k8s\x00\x0a\x02\x08\x01", 415},
		{"invalid protobuf", "POST", all, asProtobuf, "", "\xff\xff", 415},
		{"CBOR", "POST", all, "application/cbor", "", "\xd9\xd9\xf7\xa0", 415},
		{"XML", "POST", all, "application/xml", "", "<Migrate/>", 415},
		{"text", "POST", all, "text/plain", "", jsonManifest("bad"), 415},
		{"URL-encoded form", "POST", all, "application/x-www-form-urlencoded", "", "a=b", 415},
		{"multipart form", "POST", all, "multipart/form-data; boundary=x", "", "--x--", 415},
		{"invalid content type", "POST", all, "/;;=", "", jsonManifest("bad"), 415},
		{"apply patch as a POST", "POST", all, applyPatch, "", jsonManifest("bad"), 415},
		{"Accept protobuf", "GET", all, "", asProtobuf, "", 406},
		{"Accept CBOR", "GET", all, "", "application/cbor", "", 406},
		{"Accept HTML", "GET", all, "", "text/html", "", 406},
		{"invalid Accept", "GET", all, "", ";;/=", "", 406},
		{"Accept Table of an unknown version", "GET", all, "", "application/json;as=Table;g=meta.k8s.io;v=v9", "", 406},
		{"Accept as Secret", "GET", all, "", "application/json;as=Secret;g=;v=v1", "", 406},
		{"Accept with 10,000 types", "GET", all, "", strings.TrimSuffix(strings.Repeat("a/b,", 10_000), ","), "", 406},
	}
}

// readRequests returns reads with invalid or unusual parameters, and of paths that don't exist.
func readRequests(group, all, a string) []hostileRequest {
	token := func(content string) string { return base64.RawURLEncoding.EncodeToString([]byte(content)) }
	var requests []hostileRequest
	for name, query := range map[string]string{
		"resourceVersion of letters": "resourceVersion=abc", "negative resourceVersion": "resourceVersion=-1",
		"resourceVersion of 20 digits": "resourceVersion=99999999999999999999", "continue of letters": "continue=abc",
		"continue of an empty object": "continue=" + token("{}"), "continue without a key": "continue=" + token(`{"v":"meta.k8s.io/v1","rv":1,"start":""}`),
		"continue with a path":           "continue=" + token(`{"v":"meta.k8s.io/v1","rv":1,"start":"../../secrets"}`),
		"continue of an unknown version": "continue=" + token(`{"v":"meta.k8s.io/v9","rv":1,"start":"x"}`),
		"truncated label selector":       "labelSelector=a+in+(", "label selector of punctuation": "labelSelector=!!",
		"truncated field selector": "fieldSelector=a", "field selector with >": "fieldSelector=metadata.name%3E3",
		"field selector of an unknown field": "fieldSelector=spec.x%3D1",
		"limit of letters":                   "limit=abc", "limit of 20 digits": "limit=99999999999999999999", "timeoutSeconds of letters": "timeoutSeconds=abc",
	} {
		requests = append(requests, hostileRequest{name, "GET", all + "?" + query, "", "", "", 400})
	}
	for name, query := range map[string]string{
		"resourceVersionMatch without a resourceVersion": "resourceVersionMatch=Exact", "invalid resourceVersionMatch": "resourceVersion=1&resourceVersionMatch=Some",
		"sendInitialEvents without a watch": "sendInitialEvents=true", "sendInitialEvents without resourceVersionMatch": "watch=true&sendInitialEvents=true&timeoutSeconds=1",
	} {
		requests = append(requests, hostileRequest{name, "GET", all + "?" + query, "", "", "", 422})
	}
	for name, query := range map[string]string{
		"NUL in a label selector": "labelSelector=a%3D%00", "continue with a negative resourceVersion": "continue=" + token(`{"v":"meta.k8s.io/v1","rv":-5,"start":"x"}`),
		"negative limit": "limit=-1", "invalid watch": "watch=some&timeoutSeconds=1", "negative timeoutSeconds": "timeoutSeconds=-1", "unknown parameters": "a=b&c=%00",
	} {
		requests = append(requests, hostileRequest{name, "GET", all + "?" + query, "", "", "", 200})
	}
	// Informers retry after this code: every API server returns it for a version that it may
	// still reach.
	requests = append(requests, hostileRequest{"resourceVersion of the future", "GET", all + "?resourceVersion=999999999999", "", "", "", 504})
	requests = append(requests, hostileRequest{"namespace in invalid UTF-8", "GET", strings.Replace(all, "/namespaces/", "/namespaces/%FF", 1), "", "", "", 200})
	for name, path := range map[string]string{
		"unknown version": "/apis/backup.kurator.dev/v2/migrates", "unknown resource": all + "x", "unknown subresource": a + "/scale",
		"proxy subresource": a + "/proxy/x", "path below a subresource": a + "/status/x", "singular resource without a namespace": group + "/migrate/a",
		"NUL in a name": all + "/a%00", "newline in a name": all + "/a%0Ab", "space in a name": all + "/a%20b", "name in capitals": all + "/A",
		"name of 10,000 letters": all + "/" + strings.Repeat("x", 10_000), "name in UTF-8": all + "/%E2%98%83", "name in invalid UTF-8": all + "/%FF",
		"status of a missing object": all + "/none/status", "log of a missing object": all + "/none/log", "path below a log": a + "/log/x",
		"results of a missing object": all + "/none/results",
	} {
		requests = append(requests, hostileRequest{name, "GET", path, "", "", "", 404})
	}
	return requests
}

// writeRequests returns invalid and unusual writes.
func writeRequests(all, a string, ops func(int, string) string) []hostileRequest {
	requests := []hostileRequest{
		{"log of an unknown stage", "GET", a + "/log?stage=%1b%00", "", "", "", 400},
		{"log of two clusters of 10,000 letters", "GET", a + "/log?cluster=" + strings.Repeat("x", 10_000) + "&cluster=..%2f..", "", "", "", 400},
		{"results with an unknown outcome", "GET", a + "/results?outcome=%1b%00", "", "", "", 400},
		{"results with a negative limit", "GET", a + "/results?limit=-9223372036854775808", "", "", "", 400},
		{"results with a limit in letters", "GET", a + "/results?limit=many", "", "", "", 400},
		{"results with a forged continue", "GET", a + "/results?continue=" + strings.Repeat("e30", 10_000), "", "", "", 400},
		{"PUT of the results", "PUT", a + "/results", asJSON, "", "{}", 405},
		{"cancel without a body", "POST", a + "/cancel", asJSON, "", "", 400},
		{"cancel with another kind", "POST", a + "/cancel", asJSON, "", jsonManifest("a"), 400},
		{"cancel with an unknown field", "POST", a + "/cancel?fieldValidation=Strict", asJSON, "", `{"apiVersion":"backup.kurator.dev/v1alpha1","kind":"MigrateCancelOptions","force":true}`, 400},
		{"cancel with preconditions of another object", "POST", a + "/cancel", asJSON, "", `{"apiVersion":"backup.kurator.dev/v1alpha1","kind":"MigrateCancelOptions","preconditions":{"uid":"\u0000"}}`, 409},
		{"cancel of a missing object", "POST", all + "/none/cancel", asJSON, "", `{"apiVersion":"backup.kurator.dev/v1alpha1","kind":"MigrateCancelOptions"}`, 404},
		{"GET of cancel", "GET", a + "/cancel", "", "", "", 405},
		{"retry without a body", "POST", a + "/retry", asJSON, "", "", 400},
		{"retry with the body of a cancel", "POST", a + "/retry", asJSON, "", `{"apiVersion":"backup.kurator.dev/v1alpha1","kind":"MigrateCancelOptions"}`, 400},
		{"retry with an unknown Backup", "POST", a + "/retry", asJSON, "", `{"apiVersion":"backup.kurator.dev/v1alpha1","kind":"MigrateRetryOptions","backup":"\u001b"}`, 422},
		{"retry with a number of the attempt", "POST", a + "/retry?fieldValidation=Strict", asJSON, "", `{"apiVersion":"backup.kurator.dev/v1alpha1","kind":"MigrateRetryOptions","attempt":7}`, 400},
		{"retry with a Backup that is a list", "POST", a + "/retry", asJSON, "", `{"apiVersion":"backup.kurator.dev/v1alpha1","kind":"MigrateRetryOptions","backup":["New"]}`, 400},
		{"retry before the end", "POST", a + "/retry", asJSON, "", `{"apiVersion":"backup.kurator.dev/v1alpha1","kind":"MigrateRetryOptions","backup":"New"}`, 409},
		{"retry of a missing object", "POST", all + "/none/retry", asJSON, "", `{"apiVersion":"backup.kurator.dev/v1alpha1","kind":"MigrateRetryOptions"}`, 404},
		{"GET of retry", "GET", a + "/retry", "", "", "", 405},
		{"PATCH of the log", "PATCH", a + "/log", mergePatch, "", "{}", 405},
		{"PUT of the status", "PUT", a + "/status", asJSON, "", jsonManifest("a"), 405},
		{"PATCH of the status", "PATCH", a + "/status", mergePatch, "", `{"status":{"phase":"Completed"}}`, 405},
		{"DELETE of the status", "DELETE", a + "/status", "", "", "", 405},
		{"POST to an object", "POST", a, asJSON, "", jsonManifest("a"), 405},
		{"PUT to the collection", "PUT", all, asJSON, "", jsonManifest("a"), 405},
		{"BREW", "BREW", a, "", "", "", 405},
		{"OPTIONS", "OPTIONS", a, "", "", "", 405},
		{"TRACE", "TRACE", a, "", "", "", 405},
		{"PUT with another name", "PUT", a, asJSON, "", jsonManifest("b"), 400},
		{"PUT of a missing object", "PUT", all + "/none", asJSON, "", jsonManifest("none"), 404},
		{"PUT with a stale resourceVersion", "PUT", a, asJSON, "", strings.Replace(jsonManifest("a"), `"name":"a"`, `"name":"a","resourceVersion":"1"`, 1), 409},
		{"PUT with an invalid resourceVersion", "PUT", a, asJSON, "", strings.Replace(jsonManifest("a"), `"name":"a"`, `"name":"a","resourceVersion":"x"`, 1), 400},
		{"PUT with another UID", "PUT", a, asJSON, "", strings.Replace(jsonManifest("a"), `"name":"a"`, `"name":"a","uid":"x"`, 1), 409},
		{"PATCH without a content type", "PATCH", a, "", "", "{}", 415},
		{"PATCH of content type JSON", "PATCH", a, asJSON, "", "{}", 415},
		{"JSON patch of 10,001 operations", "PATCH", a, jsonPatch, "", ops(10_001, `{"op":"test","path":"/kind","value":"Migrate"}`), 413},
		{"JSON patch that copies copies", "PATCH", a, jsonPatch, "", ops(60, `{"op":"copy","from":"/metadata","path":"/metadata/x"}`), 200},
		{"empty apply", "PATCH", a + "?fieldManager=x", applyPatch, "", "", 400},
		{"apply of a scalar", "PATCH", a + "?fieldManager=x", applyPatch, "", "1", 400},
		{"apply without a fieldManager", "PATCH", a, applyPatch, "", jsonManifest("a"), 422},
		{"apply without an apiVersion", "PATCH", a + "?fieldManager=x", applyPatch, "", "{}", 400},
		{"apply of managedFields", "PATCH", a + "?fieldManager=x", applyPatch, "", strings.Replace(jsonManifest("a"), `"name":"a"`, `"name":"a","managedFields":[{}]`, 1), 400},
		{"apply of another kind", "PATCH", a + "?fieldManager=x", applyPatch, "", strings.Replace(jsonManifest("a"), `"Migrate"`, `"Secret"`, 1), 400},
		{"apply of an array for an object", "PATCH", a + "?fieldManager=x&force=true", applyPatch, "", strings.Replace(jsonManifest("a"), `"labels":{"tier":"test"}`, `"labels":[1]`, 1), 400},
		{"DELETE with an invalid body", "DELETE", a, asJSON, "", "garbage", 400},
		{"DELETE with a Migrate as options", "DELETE", a, asJSON, "", jsonManifest("a"), 400},
		{"DELETE with an invalid propagationPolicy", "DELETE", a + "?propagationPolicy=some", "", "", "", 422},
		{"DELETE with another UID", "DELETE", a, asJSON, "", `{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"x"}}`, 409},
		{"DELETE with an invalid gracePeriodSeconds", "DELETE", a + "?gracePeriodSeconds=x", "", "", "", 400},
		{"DELETE of the collection with an invalid selector", "DELETE", all + "?labelSelector=a+in+(", "", "", "", 400},
	}
	for _, path := range []string{a + "/scale", a + "/x"} {
		requests = append(requests,
			hostileRequest{"POST to an unknown subresource", "POST", path, asJSON, "", jsonManifest("a"), 404},
			hostileRequest{"PUT to an unknown subresource", "PUT", path, asJSON, "", jsonManifest("a"), 404},
			hostileRequest{"PATCH of an unknown subresource", "PATCH", path, mergePatch, "", `{"spec":{"replicas":3}}`, 404},
			hostileRequest{"apply to an unknown subresource", "PATCH", path + "?fieldManager=x", applyPatch, "", jsonManifest("a"), 404},
			hostileRequest{"DELETE of an unknown subresource", "DELETE", path, "", "", "", 404},
		)
	}
	for name, patch := range map[string]string{
		"patch to an invalid resourceVersion": `{"metadata":{"resourceVersion":"x"}}`, "patch to a negative resourceVersion": `{"metadata":{"resourceVersion":"-1"}}`,
	} {
		requests = append(requests, hostileRequest{name, "PATCH", a, mergePatch, "", patch, 400})
	}
	for name, patch := range map[string]string{
		"array patch": "[]", "string patch": `"x"`, "truncated patch": `{"a":`,
	} {
		for _, kind := range []string{mergePatch, strategic} {
			requests = append(requests, hostileRequest{name + " (" + kind + ")", "PATCH", a, kind, "", patch, 400})
		}
	}
	for name, patch := range map[string]string{
		"patch of spec to an array": `{"spec":[]}`, "patch of spec to null": `{"spec":null}`,
		"patch of labels to an array": `{"metadata":{"labels":[]}}`, "patch of a label to a number": `{"metadata":{"labels":{"a":1}}}`,
	} {
		for _, kind := range []string{mergePatch, strategic} {
			requests = append(requests, hostileRequest{name + " (" + kind + ")", "PATCH", a, kind, "", patch, 422})
		}
	}
	return append(requests,
		hostileRequest{"patch of metadata to null", "PATCH", a, mergePatch, "", `{"metadata":null}`, 400},
		hostileRequest{"null patch (merge)", "PATCH", a, mergePatch, "", "null", 400},
		hostileRequest{"null patch (strategic)", "PATCH", a, strategic, "", "null", 200},
		hostileRequest{"POST with a resourceVersion", "POST", all, asJSON, "", strings.Replace(jsonManifest("bad"), `"name":"bad"`, `"name":"bad","resourceVersion":"5"`, 1), 400},
		hostileRequest{"POST with an invalid resourceVersion", "POST", all, asJSON, "", strings.Replace(jsonManifest("bad"), `"name":"bad"`, `"name":"bad","resourceVersion":"x"`, 1), 400},
		hostileRequest{"DELETE with an invalid resourceVersion", "DELETE", a, asJSON, "", `{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"resourceVersion":"x"}}`, 409},
	)
}

// jsonManifest returns the manifest of a Migrate as JSON.
func jsonManifest(name string) string {
	body, err := yaml.YAMLToJSON([]byte(manifest(name)))
	if err != nil {
		panic(err)
	}
	return string(body)
}

// TestHostileRequests sends all hostile requests directly and through the host. Each
// must get its expected status code, and the server must not exit, panic or use much memory.
func TestHostileRequests(t *testing.T) {
	n := newNamespace(t)
	n.create("a")
	process := ourServer(t)
	id, before, logged := process.PID(), memory(t, process.PID()), logSize(t, process.LogFile())
	server := directClient(t)
	clients := map[string]apiClient{"direct": server, "host": hostClient(t)}
	for _, request := range hostileRequests(n.name) {
		for _, via := range slices.Sorted(maps.Keys(clients)) {
			header := http.Header{}
			for name, value := range map[string]string{"Content-Type": request.contentType, "Accept": request.accept} {
				if value != "" {
					header.Set(name, value)
				}
			}
			start := time.Now()
			code, answer := clients[via].send(t, request.method, request.path, header, request.body)
			t.Logf("%-55s %-6s %d %6d ms", request.name, via, code, time.Since(start).Milliseconds())
			if code != request.want {
				t.Errorf("%s, %s: got %d, want %d\n%.600s", request.name, via, code, request.want, answer)
			}
			if len(answer) > 3<<20 {
				t.Errorf("%s, %s: a response of %d bytes", request.name, via, len(answer))
			}
		}
	}
	t.Run("replaced values", func(t *testing.T) { testReplacedValues(t, n, server) })

	after := memory(t, id)
	t.Logf("resident memory: %d MiB before, %d MiB after, peak %d MiB", before["VmRSS"]>>20, after["VmRSS"]>>20, after["VmHWM"]>>20)
	if grown := after["VmHWM"] - before["VmRSS"]; grown > 512<<20 {
		t.Errorf("the resident memory grew by %d MiB", grown>>20)
	}
	if current := process.PID(); current != id || !process.Running() {
		t.Errorf("process %d has ended, the current one is %d", id, current)
	}
	log, err := os.ReadFile(process.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	if i := strings.Index(string(log[logged:]), "panic"); i >= 0 {
		t.Errorf("the server panicked:\n%.2000s", log[logged+i:])
	}
	equal(t, "livez", server.get(t, "/livez"), "ok")
	n.run("get", "migrate", "a")
}

// TestConcurrentLargeRequests sends the largest of the hostile requests twenty at a time. In
// the memory that artifacts/deploy gives the server, 1 GiB, it must survive them.
func TestConcurrentLargeRequests(t *testing.T) {
	n := newNamespace(t)
	n.create("a")
	process := ourServer(t)
	id := process.PID()
	// 5 resets VmHWM, the peak of the resident memory.
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", id), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
	server := directClient(t)
	names := []string{
		"1.5 MiB annotation", "1.5 MiB YAML", "1.5 MiB patch", "1.5 MiB apply", "1 MiB of labels",
		"4 MiB", "4 MiB YAML", "4 MiB patch",
		"YAML bomb of one long string", "YAML bomb of nested lists", "YAML bomb with a mixed-case content type", "recursive YAML alias", "YAML bomb in an apply", "YAML bomb in DeleteOptions",
	}
	for _, r := range hostileRequests(n.name) {
		if !slices.Contains(names, r.name) {
			continue
		}
		start := time.Now()
		var requests sync.WaitGroup
		for range 20 {
			requests.Go(func() {
				code, answer, err := server.trySend(t.Context(), r.method, r.path, http.Header{"Content-Type": {r.contentType}}, r.body)
				if err != nil || code != r.want {
					t.Errorf("%s: got %d, want %d: %v\n%.600s", r.name, code, r.want, err, answer)
				}
			})
		}
		requests.Wait()
		t.Logf("%-55s %6d ms, peak %d MiB", r.name, time.Since(start).Milliseconds(), memory(t, id)["VmHWM"]>>20)
	}
	if peak := memory(t, id)["VmHWM"]; peak > 1<<30 {
		t.Errorf("the peak of the resident memory is %d MiB", peak>>20)
	}
	if current := process.PID(); current != id || !process.Running() {
		t.Errorf("process %d has ended, the current one is %d", id, current)
	}
	equal(t, "livez", server.get(t, "/livez"), "ok")
}

// testReplacedValues sends manifests in which one value, at any depth, is replaced by a value
// that may be invalid there. The server must accept it or respond with 400 or 422.
func testReplacedValues(t *testing.T, n namespace, server apiClient) {
	n.run("create", "configmap", "owner")
	owner := n.run("get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}")
	if out, err := n.try(fullManifest("full", owner), "create", "--validate=ignore", "-f", "-"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	all := migratesIn + n.name + "/migrates"
	for _, value := range []string{"null", "true", "-1", "1e400", `"x"`, `""`, "[]", "[null]", "{}", `{"":null}`} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			for _, sent := range []struct{ method, path, contentType, manifest string }{
				{"POST", all, asJSON, manifest("bad")},
				{"POST", all, asJSON, fullManifest("bad", owner)},
				{"POST", all, asYAML, fullManifest("bad", owner)},
				{"PUT", all + "/full", asJSON, fullManifest("full", owner)},
			} {
				for body := range replaceEachValue(t, sent.manifest, value) {
					code, answer := server.send(t, sent.method, sent.path+"?dryRun=All", http.Header{"Content-Type": {sent.contentType}}, body)
					if !slices.Contains([]int{200, 201, 400, 422}, code) {
						t.Errorf("%s as %s: got %d for %s\n%.600s", sent.method, sent.contentType, code, body, answer)
					}
				}
			}
		})
	}
}

// fullManifest returns a Migrate with all fields except mutually exclusive ones. ConfigMap
// owner, whose UID is given, owns it.
func fullManifest(name, owner string) string {
	return `apiVersion: backup.kurator.dev/v1alpha1
kind: Migrate
metadata:
  name: ` + name + `
  generateName: x-
  labels: {tier: test}
  annotations: {note: kept}
  finalizers: [kurator.dev/kept]
  ownerReferences:
  - {apiVersion: v1, kind: ConfigMap, name: owner, uid: ` + owner + `, controller: true, blockOwnerDeletion: false}
  managedFields:
  - {manager: x, operation: Apply, apiVersion: backup.kurator.dev/v1alpha1, time: "2026-01-01T00:00:00Z", fieldsType: FieldsV1, fieldsV1: {"f:metadata": {}}}
spec:
  sourceCluster:
    fleet: nowhere
    clusters:
    - {kind: AttachedCluster, name: member1, namespace: ""}
  targetCluster:
    fleet: nowhere
    clusters:
    - {kind: Cluster, name: member2}
    - {name: member3}
  progressDeadlineSeconds: 60
  requester: {username: mallory, uid: "0", groups: ["system:masters"], extra: {scopes: [all]}}
  policy:
    resourceFilter:
      includedNamespaces: [a, "b-*"]
      excludedNamespaces: [c]
      includedClusterScopedResources: [persistentvolumes]
      excludedClusterScopedResources: [nodes]
      includedNamespaceScopedResources: [deployments.apps]
      excludedNamespaceScopedResources: [events]
      orLabelSelectors:
      - matchLabels: {app: busybox}
      - matchExpressions:
        - {key: tier, operator: In, values: [web, db]}
    orderedResources: {pods: "a/x,a/y"}
    namespaceMapping: {a: z}
    migrateStatus: {includedResources: ["*"], excludedResources: [pods]}
    preserveNodePorts: true
status:
  phase: Completed
  conditions:
  - {type: Ready, status: "True", reason: Completed, message: done, lastTransitionTime: "2026-01-01T00:00:00Z"}
  sourceClusterStatus: {clusterName: member1, backupStatusInCluster: {progress: {totalItems: 1}}}
  targetClusterStatus:
  - {clusterName: member2, restoreStatusInCluster: {phase: Completed}}
`
}

// replaceEachValue returns copies of a manifest as JSON; in each, one value is replaced.
func replaceEachValue(t *testing.T, manifest, value string) map[string]bool {
	t.Helper()
	var root any
	if err := yaml.Unmarshal([]byte(manifest), &root); err != nil {
		t.Fatal(err)
	}
	const placeholder = "REPLACE-ME"
	bodies := map[string]bool{}
	emit := func() {
		encoded, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		bodies[strings.Replace(string(encoded), `"`+placeholder+`"`, value, 1)] = true
	}
	var walk func(node any)
	walk = func(node any) {
		switch node := node.(type) {
		case map[string]any:
			for key, child := range node {
				node[key] = placeholder
				emit()
				node[key] = child
				walk(child)
			}
		case []any:
			for i, child := range node {
				node[i] = placeholder
				emit()
				node[i] = child
				walk(child)
			}
		}
	}
	walk(root)
	return bodies
}

// memory returns the sizes in /proc/<id>/status, such as VmRSS, in bytes.
func memory(t *testing.T, id int) map[string]int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", id))
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int{}
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[2] == "kB" {
			size, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			sizes[strings.TrimSuffix(fields[0], ":")] = size << 10
		}
	}
	return sizes
}

func logSize(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Size())
}
