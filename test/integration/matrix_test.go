// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

const (
	migratesIn = "/apis/backup.kurator.dev/v1alpha1/namespaces/"
	everywhere = "/apis/backup.kurator.dev/v1alpha1/migrates"
	// briefly ends a watch after a second.
	briefly = "?watch=true&timeoutSeconds=1"
)

// right is one row of the matrix: a request, and what each user is answered.
type right struct {
	// name tells rows apart; USER in what follows is who asks.
	name string
	// args are kubectl's. Where accept is set they are instead the one path that is
	// read, for kubectl can't ask for that.
	args, accept string
	input        func(user string) string
	// want is for each of matrixUsers: yes, or the code of the refusal.
	want string
	// creates and deletes are namespace/name of what is there, or gone, after a yes.
	creates, deletes string
}

// The columns are matrixUsers: a viewer; an operator who may use no cluster; one who
// may use three; one who may use the Fleet; the namespace's admin; a user of the other
// namespace; a cluster-admin; somebody whom nothing is granted; nobody in particular.
var matrix = []right{
	// What is read.                                            viewer operator mover fleeter admin neighbour root nobody anonymous
	{name: "get", args: "get migrate a -n ours -o yaml", want: "yes    yes      yes   yes     yes   403       yes  403    403"},
	{name: "get table", args: "get migrate a -n ours -o wide", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "get missing", args: "get migrate b -n ours", want: "404 404 404 404 404 403 404 403 403"},
	{name: "get status", args: "get migrate a -n ours --subresource=status", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "list", args: "get migrates -n ours -o yaml", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "list table", args: "get migrates -n ours -o wide", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "list chunks", args: "get migrates -n ours --chunk-size=1", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "list by name", args: "get migrates -n ours --field-selector=metadata.name=a", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "list by their namespace", args: "get migrates -n ours --field-selector=metadata.namespace=theirs", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "list by their fleet", args: "get migrates -n ours --field-selector=spec.sourceCluster.fleet=secret-of-theirs -o yaml", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "watch", args: "get --raw " + migratesIn + "ours/migrates" + briefly, want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "watch one", args: "get --raw " + migratesIn + "ours/migrates" + briefly + "&fieldSelector=metadata.name%3Da", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "list by watch", args: "get --raw " + migratesIn + "ours/migrates" + briefly + "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "describe", args: "get --raw " + migratesIn + "ours/migrates/a", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "get metadata", args: migratesIn + "ours/migrates/a", accept: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "list metadata", args: migratesIn + "ours/migrates", accept: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "watch metadata", args: migratesIn + "ours/migrates" + briefly, accept: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "watch table", args: migratesIn + "ours/migrates" + briefly, accept: "application/json;as=Table;g=meta.k8s.io;v=v1", want: "yes yes yes yes yes 403 yes 403 403"},

	// What is read of another tenant's.
	{name: "get theirs", args: "get migrate a -n theirs -o yaml", want: "403 403 403 403 403 yes yes 403 403"},
	{name: "get missing of theirs", args: "get migrate b -n theirs", want: "403 403 403 403 403 404 404 403 403"},
	{name: "get status of theirs", args: "get migrate a -n theirs --subresource=status", want: "403 403 403 403 403 yes yes 403 403"},
	{name: "list theirs", args: "get migrates -n theirs", want: "403 403 403 403 403 yes yes 403 403"},
	{name: "watch theirs", args: "get --raw " + migratesIn + "theirs/migrates" + briefly, want: "403 403 403 403 403 yes yes 403 403"},
	{name: "list metadata of theirs", args: migratesIn + "theirs/migrates", accept: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", want: "403 403 403 403 403 yes yes 403 403"},
	{name: "table of theirs", args: migratesIn + "theirs/migrates", accept: "application/json;as=Table;g=meta.k8s.io;v=v1", want: "403 403 403 403 403 yes yes 403 403"},
	{name: "list a namespace that is not", args: "get migrates -n matrix-nowhere", want: "403 403 403 403 403 403 yes 403 403"},

	// What is read of all at once.
	{name: "list all", args: "get migrates -A", want: "403 403 403 403 403 403 yes 403 403"},
	{name: "list all by namespace", args: "get migrates -A --field-selector=metadata.namespace=ours", want: "403 403 403 403 403 403 yes 403 403"},
	{name: "watch all", args: "get --raw " + everywhere + briefly, want: "403 403 403 403 403 403 yes 403 403"},
	{name: "watch all by namespace", args: "get --raw " + everywhere + briefly + "&fieldSelector=metadata.namespace%3Dours", want: "403 403 403 403 403 403 yes 403 403"},
	{name: "list metadata of all", args: everywhere, accept: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", want: "403 403 403 403 403 403 yes 403 403"},
	{name: "delete all at once", args: "delete --raw " + everywhere + "?labelSelector=doomed%3DUSER", want: "403 403 403 403 403 403 405 403 403"},

	// What is created, from m1: to m2, to m2 and m3, to all of the Fleet; from a Fleet to
	// one; to a Cluster, which an empty kind means.
	{name: "create to m2", args: "create -n ours -f -", input: to("to-m2", "m1", "m2"), want: "403 403 yes 403 403 403 yes 403 403", creates: "ours/USER-to-m2"},
	{name: "dry-run to m2", args: "create -n ours -f - --dry-run=server", input: to("dry-m2", "m1", "m2"), want: "403 403 yes 403 403 403 yes 403 403"},
	{name: "apply to m2", args: "apply -n ours -f -", input: to("client-m2", "m1", "m2"), want: "403 403 yes 403 403 403 yes 403 403", creates: "ours/USER-client-m2"},
	{name: "server-side apply to m2", args: "apply -n ours -f - --server-side", input: to("apply-m2", "m1", "m2"), want: "403 403 yes 403 403 403 yes 403 403", creates: "ours/USER-apply-m2"},
	{name: "server-side dry-run to m2", args: "apply -n ours -f - --server-side --dry-run=server", input: to("apply-dry", "m1", "m2"), want: "403 403 yes 403 403 403 yes 403 403"},
	{name: "create to m2 and m3", args: "create -n ours -f -", input: to("to-m3", "m1", "m2", "m3"), want: "403 403 403 403 403 403 yes 403 403", creates: "ours/USER-to-m3"},
	{name: "dry-run to m2 and m3", args: "create -n ours -f - --dry-run=server", input: to("dry-m3", "m1", "m2", "m3"), want: "403 403 403 403 403 403 yes 403 403"},
	{name: "server-side apply to m2 and m3", args: "apply -n ours -f - --server-side", input: to("apply-m3", "m1", "m2", "m3"), want: "403 403 403 403 403 403 yes 403 403", creates: "ours/USER-apply-m3"},
	{name: "create to all", args: "create -n ours -f -", input: to("to-all", "m1"), want: "403 403 403 403 403 403 yes 403 403", creates: "ours/USER-to-all"},
	{name: "create from a fleet to all", args: "create -n ours -f -", input: to("from-fleet", ""), want: "403 403 403 yes 403 403 yes 403 403", creates: "ours/USER-from-fleet"},
	{name: "server-side apply from a fleet to all", args: "apply -n ours -f - --server-side", input: to("apply-fleet", ""), want: "403 403 403 yes 403 403 yes 403 403", creates: "ours/USER-apply-fleet"},
	{name: "dry-run from a fleet to all", args: "create -n ours -f - --dry-run=server", input: to("dry-fleet", ""), want: "403 403 403 yes 403 403 yes 403 403"},
	{name: "create to a Cluster", args: "create -n ours -f -", input: to("to-cluster", "m1", "Cluster/m4"), want: "403 403 yes 403 403 403 yes 403 403", creates: "ours/USER-to-cluster"},
	{name: "create to an empty kind", args: "create -n ours -f -", input: to("to-empty-kind", "m1", "/m4"), want: "403 403 yes 403 403 403 yes 403 403", creates: "ours/USER-to-empty-kind"},
	{name: "create to a Cluster of the name of an AttachedCluster", args: "create -n ours -f -", input: to("to-other-kind", "m1", "Cluster/m2"), want: "403 403 403 403 403 403 yes 403 403", creates: "ours/USER-to-other-kind"},
	{name: "create to an empty kind of the name of an AttachedCluster", args: "create -n ours -f -", input: to("to-no-kind", "m1", "/m2"), want: "403 403 403 403 403 403 yes 403 403", creates: "ours/USER-to-no-kind"},
	{name: "create in theirs", args: "create -n theirs -f -", input: to("in-theirs", "m1", "m2"), want: "403 403 403 403 403 yes yes 403 403", creates: "theirs/USER-in-theirs"},
	{name: "server-side apply in theirs", args: "apply -n theirs -f - --server-side", input: to("apply-theirs", "m1", "m2"), want: "403 403 403 403 403 yes yes 403 403", creates: "theirs/USER-apply-theirs"},
	{name: "create status", args: "create --raw " + migratesIn + "ours/migrates/a/status -f -", input: to("status", "m1", "m2"), want: "403 403 403 403 403 403 405 403 403"},

	// What is changed.
	{name: "update", args: "replace -n ours -f -", input: again, want: "403 yes yes yes yes 403 yes 403 403"},
	{name: "patch", args: "patch migrate USER-mine -n ours --type=merge -p {\"metadata\":{\"labels\":{\"x\":\"y\"}}}", want: "403 yes yes yes yes 403 yes 403 403"},
	{name: "patch by server-side apply", args: "apply -n ours -f - --server-side --force-conflicts", input: again, want: "403 yes yes yes yes 403 yes 403 403"},
	{name: "patch dry-run", args: "label migrate USER-mine -n ours z=y --dry-run=server", want: "403 yes yes yes yes 403 yes 403 403"},
	{name: "json patch of the requester", args: "patch migrate a -n ours --type=json -p [{\"op\":\"replace\",\"path\":\"/spec/requester/username\",\"value\":\"mallory\"},{\"op\":\"add\",\"path\":\"/metadata/labels/json-USER\",\"value\":\"y\"}]", want: "403 yes yes yes yes 403 yes 403 403"},
	{name: "merge patch of the requester", args: "patch migrate a -n ours --type=merge -p {\"metadata\":{\"labels\":{\"merge-USER\":\"y\"}},\"spec\":{\"requester\":{\"username\":\"mallory\",\"groups\":[\"x\"]}}}", want: "403 yes yes yes yes 403 yes 403 403"},
	{name: "merge patch of the requester to null", args: "patch migrate a -n ours --type=merge -p {\"metadata\":{\"labels\":{\"null-USER\":\"y\"}},\"spec\":{\"requester\":null}}", want: "403 yes yes yes yes 403 yes 403 403"},
	{name: "patch theirs", args: "patch migrate a -n theirs --type=merge -p {\"metadata\":{\"labels\":{\"USER\":\"y\"}}}", want: "403 403 403 403 403 yes yes 403 403"},
	{name: "patch status", args: "patch migrate a -n ours --subresource=status --type=merge -p {\"status\":{\"phase\":\"Completed\"}}", want: "403 403 403 403 403 403 405 403 403"},

	// What is deleted.
	{name: "delete dry-run", args: "delete migrate USER-mine -n ours --dry-run=server", want: "403 yes yes yes yes 403 yes 403 403"},
	{name: "delete", args: "delete migrate USER-mine -n ours", want: "403 yes yes yes yes 403 yes 403 403", deletes: "ours/USER-mine"},
	{name: "delete theirs", args: "delete migrate USER-mine -n theirs", want: "403 403 403 403 403 yes yes 403 403", deletes: "theirs/USER-mine"},
	{name: "deletecollection", args: "delete --raw " + migratesIn + "ours/migrates?labelSelector=doomed%3DUSER", want: "403 403 403 403 yes 403 yes 403 403", deletes: "ours/USER-doomed"},
	{name: "deletecollection of theirs", args: "delete --raw " + migratesIn + "theirs/migrates?labelSelector=doomed%3DUSER", want: "403 403 403 403 403 yes yes 403 403", deletes: "theirs/USER-doomed"},
	{name: "delete status", args: "delete --raw " + migratesIn + "ours/migrates/a/status", want: "403 403 403 403 403 403 405 403 403"},

	// What the host says of it, and acting as somebody else.
	{name: "can create", args: "auth can-i create migrates -n ours", want: "no yes yes yes yes no yes no 403"},
	{name: "can delete theirs", args: "auth can-i delete migrates -n theirs", want: "no no no no no yes yes no 403"},
	{name: "can use m2", args: "auth can-i use attachedclusters.cluster.kurator.dev/m2 -n ours", want: "no no yes no no no yes no 403"},
	{name: "can use the fleet", args: "auth can-i use fleets.fleet.kurator.dev/secret-of-ours -n ours", want: "no no no yes no no yes no 403"},
	{name: "as root", args: "get migrates -A --as=root", want: "403 403 403 - 403 403 yes 403 403"},
}

// to is the manifest of a Migrate from a source to targets, none of which means all
// of the Fleet. They are AttachedClusters, or kind/name. It says that somebody else asks.
func to(suffix, source string, targets ...string) func(string) string {
	return func(user string) string { return migrateOf(user+"-"+suffix, "", source, targets...) }
}

// again is the manifest of the user's own Migrate with another label.
func again(user string) string { return migrateOf(user+"-mine", "again", "m1", "m2") }

func migrateOf(name, label, source string, targets ...string) string {
	clusters := func(names ...string) string {
		var refs []string
		for _, name := range names {
			if name == "" {
				continue
			}
			kind, rest, found := strings.Cut(name, "/")
			if !found {
				kind, rest = "AttachedCluster", name
			}
			refs = append(refs, fmt.Sprintf("{kind: %q, name: %s}", kind, rest))
		}
		return "[" + strings.Join(refs, ", ") + "]"
	}
	return fmt.Sprintf(`
apiVersion: backup.kurator.dev/v1alpha1
kind: Migrate
metadata: {name: %s, labels: {doomed: %q}}
spec:
  requester: {username: mallory, groups: ["system:masters"]}
  sourceCluster: {fleet: secret-of-ours, clusters: %s}
  targetCluster: {fleet: secret-of-ours, clusters: %s}
`, name, label, clusters(source), clusters(targets...))
}

// TestMatrix asks all of it, as every user, with real kubectl and real credentials.
func TestMatrix(t *testing.T) {
	t.Parallel()
	users := newTenants(t)
	fill(t)
	t.Run("users", func(t *testing.T) {
		for column, name := range matrixUsers {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				for _, r := range matrix {
					r.ask(t, users[name], strings.Fields(r.want)[column])
				}
			})
		}
	})
	t.Run("what is there in the end", wantWhatIsThere)
	t.Run("who asked", wantRequesters)
	t.Logf("%d requests of %d users", len(matrix), len(matrixUsers))
}

// fill makes what the users read, change and delete.
func fill(t *testing.T) {
	t.Helper()
	for _, in := range []struct{ namespace, secret string }{{ours, oursSecret}, {theirs, theirsSecret}} {
		var manifests []string
		for _, name := range []string{"a", in.secret} {
			manifests = append(manifests, migrateOf(name, "", "m1", "m2"))
		}
		for _, user := range matrixUsers {
			manifests = append(manifests, migrateOf(user+"-mine", "", "m1", "m2"), migrateOf(user+"-doomed", user, "m1", "m2"))
		}
		all := strings.ReplaceAll(strings.Join(manifests, "---"), oursSecret, in.secret)
		if out, err := (namespace{t, in.namespace}).try(all, "create", "-f", "-"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
}

// ask makes the request as a user and checks the answer.
func (r right) ask(t *testing.T, u tenant, want string) {
	if want == "-" {
		return
	}
	code, out := r.answer(t, u)
	if code != want {
		t.Errorf("%s: got %s, want %s\n%s", r.name, code, want, out)
	}
	for namespace, secret := range map[string]string{ours: oursSecret, theirs: theirsSecret} {
		if !mayRead(u.name, namespace) && strings.Contains(strings.ReplaceAll(out, r.args, ""), secret) {
			t.Errorf("%s: %s is told of %s:\n%s", r.name, u.name, namespace, out)
		}
	}
	if code == "403" && !explains(out) {
		t.Errorf("%s: the refusal does not say what is missing:\n%s", r.name, out)
	}
}

func (r right) answer(t *testing.T, u tenant) (code, out string) {
	in := strings.NewReplacer("USER", u.name, "n ours", "n "+ours, "n theirs", "n "+theirs,
		"namespaces/ours", "namespaces/"+ours, "namespaces/theirs", "namespaces/"+theirs,
		"namespace=ours", "namespace="+ours, "namespace=theirs", "namespace="+theirs, "3Dours", "3D"+ours)
	if r.accept != "" {
		return read(t, u, in.Replace(r.args), r.accept)
	}
	input, args := "", strings.Fields(in.Replace(r.args))
	if r.input != nil {
		input = r.input(u.name)
	}
	if r.input != nil && !slices.Contains(args, "--raw") {
		args = append(args, "--validate=false") // else kubectl reads the schemas first, which nobody in particular may
	}
	out, err := u.try(t, input, args...)
	return codeOf(out, err), out
}

// codeOf is the answer that kubectl tells of.
func codeOf(out string, err error) string {
	switch {
	case err == nil && !strings.HasSuffix(out, "no\n"):
		// What is shown may itself tell of something forbidden.
		return "yes"
	case strings.Contains(out, "(MethodNotAllowed)"):
		return "405"
	case strings.Contains(out, "(NotFound)"):
		return "404"
	case strings.Contains(strings.ToLower(out), "forbidden"):
		return "403"
	case strings.Contains(out, "(Unauthorized)"), strings.Contains(out, "must be logged in"):
		return "401"
	case strings.HasSuffix(out, "no\n"):
		return "no"
	case err != nil:
		return err.Error()
	}
	return "yes"
}

// TestContinueOfAnother lists one's own namespace from where a list of another one
// was broken off, and from where nobody ever was.
func TestContinueOfAnother(t *testing.T) {
	t.Parallel()
	n, other := newNamespace(t), namespace{t, "continue-theirs"}
	other.run("create", "namespace", other.name)
	for _, name := range []string{"a", "b", "c"} {
		n.create(name)
		other.create(name + "-of-theirs")
	}
	token := func(in namespace) string {
		var list struct{ Metadata struct{ Continue string } }
		if err := json.Unmarshal([]byte(in.run("get", "--raw", migratesIn+in.name+"/migrates?limit=1")), &list); err != nil {
			t.Fatal(err)
		}
		return list.Metadata.Continue
	}
	from := func(token string) (string, error) {
		return n.try("", "get", "--raw", migratesIn+n.name+"/migrates?continue="+token)
	}
	out, err := from(token(n))
	if err != nil || !strings.Contains(out, `"name":"c"`) {
		t.Errorf("the rest of one's own: %v\n%s", err, out)
	}
	decoded, err := base64.RawURLEncoding.DecodeString(token(other))
	if err != nil {
		t.Fatal(err)
	}
	for _, forged := range []string{
		string(decoded),
		strings.Replace(string(decoded), `"start":"`, `"start":"../`+other.name+`/`, 1),
		strings.Replace(string(decoded), `"start":"`, `"start":"/../`+other.name+`/`, 1),
		strings.Replace(string(decoded), `"start":"`, `"start":"x/../../`+other.name+`/`, 1),
	} {
		out, err := from(base64.RawURLEncoding.EncodeToString([]byte(forged)))
		if strings.Contains(out, `-of-theirs"`) || strings.Contains(out, other.name+`"`) {
			t.Errorf("%s: answered (%v) with what is another's:\n%s", forged, err, out)
		}
	}
}

// read reads a path of the host in a form that kubectl can't ask for.
func read(t *testing.T, u tenant, path, accept string) (code, out string) {
	client, err := rest.HTTPClientFor(u.config(t))
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u.config(t).Host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Sprint(response.StatusCode), string(content)
	}
	for _, kind := range []string{"PartialObjectMetadata", "Table"} {
		if strings.Contains(accept, "as="+kind) && !strings.Contains(string(content), `"kind":"`+kind) {
			return "not a " + kind, string(content)
		}
	}
	return "yes", string(content)
}

func mayRead(user, namespace string) bool {
	switch user {
	case "root":
		return true
	case "neighbour":
		return namespace == theirs
	case "nobody", "anonymous":
		return false
	}
	return namespace == ours
}

// explains says whether a refusal names the verb, the object, and, where it is
// ours, the role.
func explains(out string) bool {
	if strings.Contains(out, "may not use") {
		return strings.Contains(out, `they need verb "use" on resource "`) && strings.Contains(out, "ask for a RoleBinding to ClusterRole migrate-cluster-user")
	}
	return strings.Contains(out, "cannot ") && (strings.Contains(out, `resource "`) || strings.Contains(out, "resource \\\"") || strings.Contains(out, "path "))
}

// wantWhatIsThere compares what is stored with what was there, what was let in and
// what was let go.
func wantWhatIsThere(t *testing.T) {
	want := map[string]bool{}
	for _, in := range []string{ours, theirs} {
		want[in+"/a"] = true
		for _, user := range matrixUsers {
			want[in+"/"+user+"-mine"], want[in+"/"+user+"-doomed"] = true, true
		}
	}
	want[ours+"/"+oursSecret], want[theirs+"/"+theirsSecret] = true, true
	for _, r := range matrix {
		for column, answer := range strings.Fields(r.want) {
			in := strings.NewReplacer("USER", matrixUsers[column], "ours/", ours+"/", "theirs/", theirs+"/")
			if answer == "yes" && r.creates != "" {
				want[in.Replace(r.creates)] = true
			}
			if answer == "yes" && r.deletes != "" {
				delete(want, in.Replace(r.deletes))
			}
		}
	}
	for _, in := range []string{ours, theirs} {
		out := namespace{t, in}.run("get", "migrates", "-o", `jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}{"\n"}{end}`)
		for name := range strings.Lines(out) {
			name = strings.TrimSpace(name)
			if !want[name] {
				t.Errorf("%s is there", name)
			}
			delete(want, name)
		}
	}
	for name := range want {
		t.Errorf("%s is not there", name)
	}
}

// wantRequesters checks who is recorded: by each kind of credentials the user as the
// host knows it, never who was claimed.
func wantRequesters(t *testing.T) {
	const format = "jsonpath={.spec.requester.username} {.spec.requester.groups}"
	in := namespace{t, ours}
	equal(t, "by a certificate", in.run("get", "migrate", "mover-to-m2", "-o", format), `mover ["movers","system:authenticated"]`)
	equal(t, "by server-side apply", in.run("get", "migrate", "mover-apply-m2", "-o", format), `mover ["movers","system:authenticated"]`)
	equal(t, "by impersonation", in.run("get", "migrate", "fleeter-from-fleet", "-o", format), `fleeter ["fleeters","system:authenticated"]`)
	equal(t, "of what others changed", in.run("get", "migrate", "a", "-o", format), `kubernetes-admin ["system:masters","system:authenticated"]`)
	changed := in.run("get", "migrate", "a", "-o", "jsonpath={.metadata.labels}")
	for _, user := range []string{"operator", "mover", "fleeter", "admin", "root"} {
		contains(t, changed, `"json-`+user+`":"y"`, `"merge-`+user+`":"y"`, `"null-`+user+`":"y"`)
	}
	for _, name := range []string{ours, theirs} {
		if all := (namespace{t, name}).run("get", "migrates", "-o", "jsonpath={.items[*].spec.requester}"); strings.Contains(all, "mallory") {
			t.Errorf("somebody else is recorded in %s:\n%s", name, all)
		}
		if owned := (namespace{t, name}).run("get", "migrates", "-o", "jsonpath={.items[*].metadata.managedFields}"); strings.Contains(owned, "f:requester") {
			t.Errorf("somebody owns the requester in %s:\n%s", name, owned)
		}
	}
	names := slices.Sorted(strings.Lines(in.run("get", "migrates", "-o", `jsonpath={range .items[*]}{.spec.requester.username}{"\n"}{end}`)))
	equal(t, "all requesters", strings.Join(slices.Compact(names), ""), "fleeter\nkubernetes-admin\nmover\nroot\n")
}
