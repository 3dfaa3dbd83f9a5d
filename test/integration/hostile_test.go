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

// hostile is a malicious request and its expected status code.
type hostile struct {
	name, method, path  string
	contentType, accept string
	body                string
	want                int
}

// corpus are requests about Migrate a in a namespace.
func corpus(namespace string) []hostile {
	const group = "/apis/backup.kurator.dev/v1alpha1"
	all := group + "/namespaces/" + namespace + "/migrates"
	a := all + "/a"
	bomb := "apiVersion: backup.kurator.dev/v1alpha1\nkind: Migrate\nmetadata: {name: bomb}\nx: &x " + strings.Repeat("x", 1<<19) + "\ny: [" + strings.Repeat("*x,", 1<<17) + "]\n"
	laughs := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'j'; c++ {
		laughs += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 9))
	}
	with := func(old, replacement string) string {
		return strings.Replace(asBody("bad"), old, replacement, 1)
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

	return slices.Concat(
		[]hostile{
			{"4 MiB", "POST", all, asJSON, "", annotated(4 << 20), 413},
			{"4 MiB of YAML", "POST", all, asYAML, "", "a: " + strings.Repeat("x", 4<<20), 413},
			{"4 MiB of a patch", "PATCH", a, mergePatch, "", `{"metadata":{"annotations":{"a":"` + strings.Repeat("x", 4<<20) + `"}}}`, 413},
			{"1.5 MiB of an annotation", "POST", all, asJSON, "", annotated(1536<<10 - 4096), 422},
			{"1.5 MiB of YAML", "POST", all, asYAML, "", "a: " + strings.Repeat("x", 1536<<10-4096), 422},
			{"1.5 MiB of a patch", "PATCH", a, mergePatch, "", `{"metadata":{"annotations":{"a":"` + strings.Repeat("x", 1536<<10-4096) + `"}}}`, 422},
			{"1.5 MiB of an apply", "PATCH", a + "?fieldManager=x", applyPatch, "", strings.Replace(asBody("a"), `"labels":{"tier":"test"}`, `"annotations":{"a":"`+strings.Repeat("x", 1536<<10-4096)+`"}`, 1), 422},
			{"2 MiB of an annotation", "POST", all, asJSON, "", annotated(2 << 20), 413},
			{"1 MiB of labels", "POST", all, asJSON, "", with(`"tier":"test"`, labels(15_000)), 422},
			{"1 MiB of labels by a patch", "PATCH", a, mergePatch, "", `{"metadata":{"labels":{` + labels(15_000) + `}}}`, 422},
			{"1 MiB of a name", "POST", all, asJSON, "", with(`"name":"bad"`, `"name":"`+strings.Repeat("x", 1<<20)+`"`), 422},
			{"a list of 1 MiB of commas", "POST", all, asJSON, "", with(`"resourceFilter"`, `"orderedResources":{"pods":"`+strings.Repeat(",", 1<<20)+`"},"resourceFilter"`), 422},
			{"a list of 400 KiB of commas", "POST", all, asJSON, "", with(`"resourceFilter"`, `"orderedResources":{"pods":"`+strings.Repeat(",", 400<<10)+`"},"resourceFilter"`), 422},
			{"100,000 empty names", "POST", all, asJSON, "", with(`"labelSelector"`, `"includedNamespaces":[`+strings.TrimSuffix(strings.Repeat(`"",`, 100_000), ",")+`],"labelSelector"`), 422},
			{"10,000 clusters", "POST", all, asJSON, "", clusters(10_000), 422},
			{"501 clusters", "POST", all, asJSON, "", clusters(501), 422},
			{"500 clusters", "POST", all + "?dryRun=All", asJSON, "", clusters(500), 201},
			{"deep lists", "POST", all, asJSON, "", with(`"labels":{"tier":"test"}`, `"x":`+strings.Repeat("[", 500_000)+strings.Repeat("]", 500_000)), 400},
			{"deep maps", "POST", all, asJSON, "", with(`"labels":{"tier":"test"}`, `"x":`+strings.Repeat(`{"a":`, 200_000)+"1"+strings.Repeat("}", 200_000)), 400},
			{"deep lists without end", "POST", all, asJSON, "", strings.Repeat("[", 1<<20), 400},
			{"deep YAML", "POST", all, asYAML, "", strings.Repeat("[", 1<<20), 400},
			{"deep YAML blocks", "POST", all, asYAML, "", strings.Repeat("- ", 1<<19), 400},
			{"deep apply", "PATCH", a + "?fieldManager=x", applyPatch, "", strings.Repeat("{a: ", 1<<18), 400},
			{"a deep selector", "GET", all + "?labelSelector=" + strings.Repeat("(", 4000), "", "", "", 400},
			{"YAML bomb of a long string", "POST", all, asYAML, "", bomb, 400},
			{"YAML bomb of lists", "POST", all, asYAML, "", laughs, 400},
			{"YAML bomb in another spelling", "POST", all, "Application/YAML; charset=utf-8", "", bomb, 400},
			{"YAML bomb without end", "POST", all, asYAML, "", "a: &a [*a]\n", 400},
			{"YAML bomb by apply", "PATCH", a + "?fieldManager=x", applyPatch, "", bomb, 400},
			{"YAML bomb of options", "DELETE", a, asYAML, "", bomb, 400},
			{"invalid UTF-8 in a name", "POST", all, asJSON, "", with(`"name":"bad"`, "\"name\":\"b\xffd\""), 422},
			{"invalid UTF-8 in a label", "POST", all, asJSON, "", with(`"tier":"test"`, "\"tier\":\"t\xc3\x28\""), 422},
			{"invalid UTF-8 in YAML", "POST", all, asYAML, "", "a: \xff\xfe\xfa", 400},
			{"a NUL", "POST", all, asJSON, "", "\x00", 400},
			{"half a body", "POST", all, asJSON, "", asBody("bad")[:100], 400},
			{"nothing", "POST", all, asJSON, "", "", 400},
			{"null", "POST", all, asJSON, "", "null", 422},
			{"a list", "POST", all, asJSON, "", "[]", 400},
			{"two objects", "POST", all, asJSON, "", asBody("bad") + asBody("bad"), 400},
			{"another version", "POST", all, asJSON, "", with("/v1alpha1", "/v2"), 400},
			{"another group", "POST", all, asJSON, "", with("backup.kurator.dev", "x.kurator.dev"), 400},
			{"another kind", "POST", all, asJSON, "", with(`"Migrate"`, `"Backup"`), 400},
			{"a list's kind", "POST", all, asJSON, "", with(`"Migrate"`, `"MigrateList"`), 400},
			{"another namespace", "POST", all, asJSON, "", with(`"name":"bad"`, `"name":"bad","namespace":"other"`), 400},
			{"no name", "POST", all, asJSON, "", with(`"name":"bad"`, `"generateName":""`), 422},
			{"a generated name of 1 KiB", "POST", all, asJSON, "", with(`"name":"bad"`, `"generateName":"`+strings.Repeat("x", 1024)+`"`), 422},
			{"an owner that is null", "POST", all, asJSON, "", with(`"name":"bad"`, `"name":"bad","ownerReferences":[null]`), 422},
			{"finalizers that are none", "POST", all, asJSON, "", with(`"name":"bad"`, `"name":"bad","finalizers":["","x"]`), 422},
			{"managed fields that are none", "POST", all + "?dryRun=All", asJSON, "", with(`"name":"bad"`, `"name":"bad","managedFields":[{"manager":"x","fieldsV1":{"f:a":1}}]`), 201},
			{"dry run of something", "POST", all + "?dryRun=some", asJSON, "", asBody("bad"), 422},
			{"field validation of something", "POST", all + "?fieldValidation=some", asJSON, "", asBody("bad"), 422},
			{"a field manager of 1 KiB", "POST", all + "?fieldManager=" + strings.Repeat("x", 1024), asJSON, "", asBody("bad"), 422},
			{"a field manager that can't be printed", "POST", all + "?fieldManager=%00", asJSON, "", asBody("bad"), 422},
		},
		contentTypes(all), reads(group, all, a), writes(all, a, ops),
	)
}

// contentTypes are bodies and answers of types that aren't served.
func contentTypes(all string) []hostile {
	return []hostile{
		{"protobuf", "POST", all, asProtobuf, "", "k8s\x00\x0a\x02\x08\x01", 415},
		{"protobuf of garbage", "POST", all, asProtobuf, "", "\xff\xff", 415},
		{"CBOR", "POST", all, "application/cbor", "", "\xd9\xd9\xf7\xa0", 415},
		{"XML", "POST", all, "application/xml", "", "<Migrate/>", 415},
		{"text", "POST", all, "text/plain", "", asBody("bad"), 415},
		{"a form", "POST", all, "application/x-www-form-urlencoded", "", "a=b", 415},
		{"parts", "POST", all, "multipart/form-data; boundary=x", "", "--x--", 415},
		{"a content type that is none", "POST", all, "/;;=", "", asBody("bad"), 415},
		{"JSON as YAML's patch", "POST", all, applyPatch, "", asBody("bad"), 415},
		{"asks for protobuf", "GET", all, "", asProtobuf, "", 406},
		{"asks for CBOR", "GET", all, "", "application/cbor", "", 406},
		{"asks for HTML", "GET", all, "", "text/html", "", 406},
		{"asks for something", "GET", all, "", ";;/=", "", 406},
		{"asks for a table of another version", "GET", all, "", "application/json;as=Table;g=meta.k8s.io;v=v9", "", 406},
		{"asks as something", "GET", all, "", "application/json;as=Secret;g=;v=v1", "", 406},
		{"asks for 10,000 types", "GET", all, "", strings.TrimSuffix(strings.Repeat("a/b,", 10_000), ","), "", 406},
	}
}

// reads are questions about what is not there, or can't be.
func reads(group, all, a string) []hostile {
	token := func(content string) string { return base64.RawURLEncoding.EncodeToString([]byte(content)) }
	var requests []hostile
	for name, query := range map[string]string{
		"a resourceVersion of letters": "resourceVersion=abc", "a negative resourceVersion": "resourceVersion=-1",
		"a resourceVersion of 20 digits": "resourceVersion=99999999999999999999", "a token of letters": "continue=abc",
		"a token of an empty object": "continue=" + token("{}"), "a token of no key": "continue=" + token(`{"v":"meta.k8s.io/v1","rv":1,"start":""}`),
		"a token that leads away":  "continue=" + token(`{"v":"meta.k8s.io/v1","rv":1,"start":"../../secrets"}`),
		"a token of another sort":  "continue=" + token(`{"v":"meta.k8s.io/v9","rv":1,"start":"x"}`),
		"a label selector of half": "labelSelector=a+in+(", "a label selector of marks": "labelSelector=!!",
		"a field selector of half": "fieldSelector=a", "a field selector that compares": "fieldSelector=metadata.name%3E3",
		"a field selector of an unknown field": "fieldSelector=spec.x%3D1",
		"a limit of letters":                   "limit=abc", "a limit of 20 digits": "limit=99999999999999999999", "a timeout of letters": "timeoutSeconds=abc",
	} {
		requests = append(requests, hostile{name, "GET", all + "?" + query, "", "", "", 400})
	}
	for name, query := range map[string]string{
		"an exact resourceVersion of none": "resourceVersionMatch=Exact", "a match of something": "resourceVersion=1&resourceVersionMatch=Some",
		"initial events without a watch": "sendInitialEvents=true", "initial events of no version": "watch=true&sendInitialEvents=true&timeoutSeconds=1",
	} {
		requests = append(requests, hostile{name, "GET", all + "?" + query, "", "", "", 422})
	}
	for name, query := range map[string]string{
		"a label selector with NUL": "labelSelector=a%3D%00", "a token of another time": "continue=" + token(`{"v":"meta.k8s.io/v1","rv":-5,"start":"x"}`),
		"a negative limit": "limit=-1", "a watch of something": "watch=some&timeoutSeconds=1", "a negative timeout": "timeoutSeconds=-1", "unknown parameters": "a=b&c=%00",
	} {
		requests = append(requests, hostile{name, "GET", all + "?" + query, "", "", "", 200})
	}
	// Informers know this answer of every API server, and no other: the version may come.
	requests = append(requests, hostile{"a resourceVersion of the future", "GET", all + "?resourceVersion=999999999999", "", "", "", 504})
	requests = append(requests, hostile{"a namespace in no UTF-8", "GET", strings.Replace(all, "/namespaces/", "/namespaces/%FF", 1), "", "", "", 200})
	for name, path := range map[string]string{
		"an unknown version": "/apis/backup.kurator.dev/v2/migrates", "an unknown resource": all + "x", "an unknown subresource": a + "/scale",
		"a proxy": a + "/proxy/x", "more than a subresource": a + "/status/x", "a resource at the group": group + "/migrate/a",
		"a name with a NUL": all + "/a%00", "a name with a newline": all + "/a%0Ab", "a name with a space": all + "/a%20b", "a name in capitals": all + "/A",
		"a name of 10,000 letters": all + "/" + strings.Repeat("x", 10_000), "a name in UTF-8": all + "/%E2%98%83", "a name in no UTF-8": all + "/%FF",
		"the status of nothing": all + "/none/status",
	} {
		requests = append(requests, hostile{name, "GET", path, "", "", "", 404})
	}
	return requests
}

// writes are methods, patches and deletions that can't be.
func writes(all, a string, ops func(int, string) string) []hostile {
	requests := []hostile{
		{"a PUT of the status", "PUT", a + "/status", asJSON, "", asBody("a"), 405},
		{"a patch of the status", "PATCH", a + "/status", mergePatch, "", `{"status":{"phase":"Completed"}}`, 405},
		{"a deletion of the status", "DELETE", a + "/status", "", "", "", 405},
		{"a POST to one", "POST", a, asJSON, "", asBody("a"), 405},
		{"a PUT to all", "PUT", all, asJSON, "", asBody("a"), 405},
		{"BREW", "BREW", a, "", "", "", 405},
		{"OPTIONS", "OPTIONS", a, "", "", "", 405},
		{"TRACE", "TRACE", a, "", "", "", 405},
		{"a PUT of another", "PUT", a, asJSON, "", asBody("b"), 400},
		{"a PUT of what isn't", "PUT", all + "/none", asJSON, "", asBody("none"), 404},
		{"a PUT of another version", "PUT", a, asJSON, "", strings.Replace(asBody("a"), `"name":"a"`, `"name":"a","resourceVersion":"1"`, 1), 409},
		{"a PUT of no version", "PUT", a, asJSON, "", strings.Replace(asBody("a"), `"name":"a"`, `"name":"a","resourceVersion":"x"`, 1), 400},
		{"a PUT of another UID", "PUT", a, asJSON, "", strings.Replace(asBody("a"), `"name":"a"`, `"name":"a","uid":"x"`, 1), 409},
		{"a patch of no type", "PATCH", a, "", "", "{}", 415},
		{"a patch of a plain type", "PATCH", a, asJSON, "", "{}", 415},
		{"10,001 operations", "PATCH", a, jsonPatch, "", ops(10_001, `{"op":"test","path":"/kind","value":"Migrate"}`), 413},
		{"copies of copies", "PATCH", a, jsonPatch, "", ops(60, `{"op":"copy","from":"/metadata","path":"/metadata/x"}`), 200},
		{"apply of nothing", "PATCH", a + "?fieldManager=x", applyPatch, "", "", 400},
		{"apply of a scalar", "PATCH", a + "?fieldManager=x", applyPatch, "", "1", 400},
		{"apply without a manager", "PATCH", a, applyPatch, "", asBody("a"), 422},
		{"apply of no version", "PATCH", a + "?fieldManager=x", applyPatch, "", "{}", 400},
		{"apply of managed fields", "PATCH", a + "?fieldManager=x", applyPatch, "", strings.Replace(asBody("a"), `"name":"a"`, `"name":"a","managedFields":[{}]`, 1), 400},
		{"apply of another kind", "PATCH", a + "?fieldManager=x", applyPatch, "", strings.Replace(asBody("a"), `"Migrate"`, `"Secret"`, 1), 400},
		{"apply of a list for a map", "PATCH", a + "?fieldManager=x&force=true", applyPatch, "", strings.Replace(asBody("a"), `"labels":{"tier":"test"}`, `"labels":[1]`, 1), 400},
		{"a deletion with garbage", "DELETE", a, asJSON, "", "garbage", 400},
		{"a deletion of another kind", "DELETE", a, asJSON, "", asBody("a"), 400},
		{"a deletion of something", "DELETE", a + "?propagationPolicy=some", "", "", "", 422},
		{"a deletion of another UID", "DELETE", a, asJSON, "", `{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"x"}}`, 409},
		{"a deletion after no time", "DELETE", a + "?gracePeriodSeconds=x", "", "", "", 400},
		{"a deletion of all with half a selector", "DELETE", all + "?labelSelector=a+in+(", "", "", "", 400},
	}
	for _, path := range []string{a + "/scale", a + "/x"} {
		requests = append(requests,
			hostile{"a POST to an unknown subresource", "POST", path, asJSON, "", asBody("a"), 404},
			hostile{"a PUT of an unknown subresource", "PUT", path, asJSON, "", asBody("a"), 404},
			hostile{"a patch of an unknown subresource", "PATCH", path, mergePatch, "", `{"spec":{"replicas":3}}`, 404},
			hostile{"an apply of an unknown subresource", "PATCH", path + "?fieldManager=x", applyPatch, "", asBody("a"), 404},
			hostile{"a deletion of an unknown subresource", "DELETE", path, "", "", "", 404},
		)
	}
	for name, patch := range map[string]string{
		"a patch to no version": `{"metadata":{"resourceVersion":"x"}}`, "a patch to a negative version": `{"metadata":{"resourceVersion":"-1"}}`,
	} {
		requests = append(requests, hostile{name, "PATCH", a, mergePatch, "", patch, 400})
	}
	for name, patch := range map[string]string{
		"a patch that is a list": "[]", "a patch that is a string": `"x"`, "a patch that is half": `{"a":`,
	} {
		for _, kind := range []string{mergePatch, strategic} {
			requests = append(requests, hostile{name + " (" + kind + ")", "PATCH", a, kind, "", patch, 400})
		}
	}
	for name, patch := range map[string]string{
		"a patch of spec to a list": `{"spec":[]}`, "a patch of spec to null": `{"spec":null}`,
		"a patch of labels to a list": `{"metadata":{"labels":[]}}`, "a patch of a label to a number": `{"metadata":{"labels":{"a":1}}}`,
	} {
		for _, kind := range []string{mergePatch, strategic} {
			requests = append(requests, hostile{name + " (" + kind + ")", "PATCH", a, kind, "", patch, 422})
		}
	}
	return append(requests,
		hostile{"a patch of all metadata", "PATCH", a, mergePatch, "", `{"metadata":null}`, 400},
		hostile{"a patch that is null (merge)", "PATCH", a, mergePatch, "", "null", 400},
		hostile{"a patch that is null (strategic)", "PATCH", a, strategic, "", "null", 200},
		hostile{"a new one with a version", "POST", all, asJSON, "", strings.Replace(asBody("bad"), `"name":"bad"`, `"name":"bad","resourceVersion":"5"`, 1), 400},
		hostile{"a new one with no version", "POST", all, asJSON, "", strings.Replace(asBody("bad"), `"name":"bad"`, `"name":"bad","resourceVersion":"x"`, 1), 400},
		hostile{"a deletion of no version", "DELETE", a, asJSON, "", `{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"resourceVersion":"x"}}`, 409},
	)
}

// asBody is the manifest of a Migrate as JSON.
func asBody(name string) string {
	body, err := yaml.YAMLToJSON([]byte(manifest(name)))
	if err != nil {
		panic(err)
	}
	return string(body)
}

// TestHostileRequests sends the corpus through the host and directly: nothing is
// answered by a fault of the server, nothing makes it end, panic or grow.
func TestHostileRequests(t *testing.T) {
	n := newNamespace(t)
	n.create("a")
	process := ourServer(t)
	id, before, logged := process.PID(), memory(t, process.PID()), logSize(t, process.LogFile())
	server := direct(t)
	ways := map[string]directly{"direct": server, "host": throughHost(t)}
	for _, request := range corpus(n.name) {
		for _, way := range slices.Sorted(maps.Keys(ways)) {
			header := http.Header{}
			for name, value := range map[string]string{"Content-Type": request.contentType, "Accept": request.accept} {
				if value != "" {
					header.Set(name, value)
				}
			}
			began := time.Now()
			code, answer := ways[way].send(t, request.method, request.path, header, request.body)
			t.Logf("%-55s %-6s %d %6d ms", request.name, way, code, time.Since(began).Milliseconds())
			if code != request.want {
				t.Errorf("%s, %s: got %d, want %d\n%.600s", request.name, way, code, request.want, answer)
			}
			if len(answer) > 3<<20 {
				t.Errorf("%s, %s: an answer of %d bytes", request.name, way, len(answer))
			}
		}
	}
	t.Run("every place", func(t *testing.T) { walk(t, n, server) })

	after := memory(t, id)
	t.Logf("resident memory: %d MiB before, %d MiB after, %d MiB at most", before["VmRSS"]>>20, after["VmRSS"]>>20, after["VmHWM"]>>20)
	if grown := after["VmHWM"] - before["VmRSS"]; grown > 512<<20 {
		t.Errorf("it grew by %d MiB", grown>>20)
	}
	if now := process.PID(); now != id || !process.Running() {
		t.Errorf("process %d is gone, %d is there", id, now)
	}
	log, err := os.ReadFile(process.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	if i := strings.Index(string(log[logged:]), "panic"); i >= 0 {
		t.Errorf("it panicked:\n%.2000s", log[logged+i:])
	}
	equal(t, "livez", server.get(t, "/livez"), "ok")
	n.run("get", "migrate", "a")
}

// TestLargeRequestsAtOnce sends requests of the corpus twenty at a time. The pod of
// artifacts/deploy may have 1 GiB.
func TestLargeRequestsAtOnce(t *testing.T) {
	n := newNamespace(t)
	n.create("a")
	process := ourServer(t)
	id := process.PID()
	// The kernel is to tell of the most memory from now on.
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", id), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
	server := direct(t)
	atOnce := []string{
		"1.5 MiB of an annotation", "1.5 MiB of YAML", "1.5 MiB of a patch", "1.5 MiB of an apply", "1 MiB of labels",
		"4 MiB", "4 MiB of YAML", "4 MiB of a patch",
		"YAML bomb of a long string", "YAML bomb of lists", "YAML bomb in another spelling", "YAML bomb without end", "YAML bomb by apply", "YAML bomb of options",
	}
	for _, r := range corpus(n.name) {
		if !slices.Contains(atOnce, r.name) {
			continue
		}
		began := time.Now()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				code, answer, err := server.trySend(t.Context(), r.method, r.path, http.Header{"Content-Type": {r.contentType}}, r.body)
				if err != nil || code != r.want {
					t.Errorf("%s: got %d, want %d: %v\n%.600s", r.name, code, r.want, err, answer)
				}
			})
		}
		all.Wait()
		t.Logf("%-55s %6d ms, %d MiB at most", r.name, time.Since(began).Milliseconds(), memory(t, id)["VmHWM"]>>20)
	}
	if most := memory(t, id)["VmHWM"]; most > 640<<20 {
		t.Errorf("it took %d MiB", most>>20)
	}
	if now := process.PID(); now != id || !process.Running() {
		t.Errorf("process %d is gone, %d is there", id, now)
	}
	equal(t, "livez", server.get(t, "/livez"), "ok")
}

// walk sends manifests with each of their values, at any depth, replaced by what may
// have no place there.
func walk(t *testing.T, n namespace, server directly) {
	n.run("create", "configmap", "owner")
	owner := n.run("get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}")
	if out, err := n.try(full("full", owner), "create", "--validate=ignore", "-f", "-"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	all := migratesIn + n.name + "/migrates"
	for _, value := range []string{"null", "true", "-1", "1e400", `"x"`, `""`, "[]", "[null]", "{}", `{"":null}`} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			for _, sent := range []struct{ method, path, contentType, manifest string }{
				{"POST", all, asJSON, manifest("bad")},
				{"POST", all, asJSON, full("bad", owner)},
				{"POST", all, asYAML, full("bad", owner)},
				{"PUT", all + "/full", asJSON, full("full", owner)},
			} {
				for body := range everyPlace(t, sent.manifest, value) {
					code, answer := server.send(t, sent.method, sent.path+"?dryRun=All", http.Header{"Content-Type": {sent.contentType}}, body)
					if !slices.Contains([]int{200, 201, 400, 422}, code) {
						t.Errorf("%s as %s: got %d for %s\n%.600s", sent.method, sent.contentType, code, body, answer)
					}
				}
			}
		})
	}
}

// full is a Migrate with all fields at once but those that exclude each other. Its
// owner is a ConfigMap.
func full(name, owner string) string {
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

// everyPlace yields a manifest with each of its values, at any depth, replaced.
func everyPlace(t *testing.T, manifest, value string) map[string]bool {
	t.Helper()
	var root any
	if err := yaml.Unmarshal([]byte(manifest), &root); err != nil {
		t.Fatal(err)
	}
	const here = "REPLACE-ME"
	bodies := map[string]bool{}
	emit := func() {
		encoded, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		bodies[strings.Replace(string(encoded), `"`+here+`"`, value, 1)] = true
	}
	var walk func(node any)
	walk = func(node any) {
		switch node := node.(type) {
		case map[string]any:
			for key, child := range node {
				node[key] = here
				emit()
				node[key] = child
				walk(child)
			}
		case []any:
			for i, child := range node {
				node[i] = here
				emit()
				node[i] = child
				walk(child)
			}
		}
	}
	walk(root)
	return bodies
}

// memory is the memory of a process by the kernel, in bytes.
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
