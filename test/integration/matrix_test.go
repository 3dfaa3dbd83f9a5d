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
	migratesIn  = "/apis/backup.kurator.dev/v1alpha1/namespaces/"
	allMigrates = "/apis/backup.kurator.dev/v1alpha1/migrates"
	// shortWatch is a watch that ends after a second.
	shortWatch = "?watch=true&timeoutSeconds=1"
)

// matrixRow is a request and its expected result for each user.
type matrixRow struct {
	// name is unique. In the other fields USER stands for the name of the user.
	name string
	// args are the arguments of kubectl. If accept is set, they are a path instead, which is
	// read with that Accept header, because kubectl can't set it.
	args, accept string
	input        func(user string) string
	// want has a field for each of matrixUsers: yes, no, the status code of the error, or - to
	// skip the user.
	want string
	// creates and deletes are the namespace/name of the Migrate that a yes creates or deletes.
	creates, deletes string
}

// matrix has a column for each of matrixUsers: a viewer, an operator without access to any
// cluster, an operator with access to three clusters, an operator with access to the Fleet, an
// admin of the namespace, an admin of the other tenant's namespace, a cluster-admin, a user
// without roles, and the anonymous user.
var matrix = []matrixRow{
	// Reads in the own namespace. The columns are:
	// viewer operator cluster-user fleet-user admin other-tenant root no-role anonymous
	{name: "get", args: "get migrate a -n ours -o yaml", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "get table", args: "get migrate a -n ours -o wide", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "get missing", args: "get migrate b -n ours", want: "404 404 404 404 404 403 404 403 403"},
	{name: "get status", args: "get migrate a -n ours --subresource=status", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "list", args: "get migrates -n ours -o yaml", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "list table", args: "get migrates -n ours -o wide", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "list chunks", args: "get migrates -n ours --chunk-size=1", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "list by name", args: "get migrates -n ours --field-selector=metadata.name=a", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "list by their namespace", args: "get migrates -n ours --field-selector=metadata.namespace=theirs", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "list by their fleet", args: "get migrates -n ours --field-selector=spec.sourceCluster.fleet=secret-of-theirs -o yaml", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "watch", args: "get --raw " + migratesIn + "ours/migrates" + shortWatch, want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "watch one", args: "get --raw " + migratesIn + "ours/migrates" + shortWatch + "&fieldSelector=metadata.name%3Da", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "list by watch", args: "get --raw " + migratesIn + "ours/migrates" + shortWatch + "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "describe", args: "get --raw " + migratesIn + "ours/migrates/a", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "get metadata", args: migratesIn + "ours/migrates/a", accept: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "list metadata", args: migratesIn + "ours/migrates", accept: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "watch metadata", args: migratesIn + "ours/migrates" + shortWatch, accept: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", want: "yes yes yes yes yes 403 yes 403 403"},
	{name: "watch table", args: migratesIn + "ours/migrates" + shortWatch, accept: "application/json;as=Table;g=meta.k8s.io;v=v1", want: "yes yes yes yes yes 403 yes 403 403"},

	// The Migrate has neither log nor results.
	{name: "get log", args: "get --raw " + migratesIn + "ours/migrates/a/log", want: "403 400 400 400 400 403 400 403 403"},
	{name: "get log of theirs", args: "get --raw " + migratesIn + "theirs/migrates/a/log", want: "403 403 403 403 403 400 400 403 403"},
	{name: "get results", args: "get --raw " + migratesIn + "ours/migrates/a/results", want: "403 400 400 400 400 403 400 403 403"},
	{name: "get results of theirs", args: "get --raw " + migratesIn + "theirs/migrates/a/results", want: "403 403 403 403 403 400 400 403 403"},
	{name: "create results", args: "create --raw " + migratesIn + "ours/migrates/a/results -f -", input: migrateTo("log", "m1", "m2"), want: "403 403 403 403 403 403 405 403 403"},
	{name: "create log", args: "create --raw " + migratesIn + "ours/migrates/a/log -f -", input: migrateTo("log", "m1", "m2"), want: "403 403 403 403 403 403 405 403 403"},

	// Previews. Who may not use the clusters learns that, and nothing of them.
	{name: "preview to m2", args: "create -n ours -f -", input: previewTo("m2"), want: "403 yes yes yes yes 403 yes 403 403"},
	{name: "preview to all", args: "create -n ours -f -", input: previewTo(), want: "403 yes yes yes yes 403 yes 403 403"},
	{name: "dry-run of a preview", args: "create -n ours -f - --dry-run=server", input: previewTo("m2"), want: "403 yes yes yes yes 403 yes 403 403"},
	{name: "preview in theirs", args: "create -n theirs -f -", input: previewTo("m2"), want: "403 403 403 403 403 yes yes 403 403"},
	{name: "list previews", args: "get migratepreviews -n ours", want: "403 403 403 403 403 403 405 403 403"},
	{name: "get preview", args: "get migratepreview a -n ours", want: "403 403 403 403 403 403 404 403 403"},

	// Cancellations. Who may not use the clusters may not cancel either.
	{name: "cancel by a dry run", args: "create --raw " + migratesIn + "ours/migrates/USER-mine/cancel?dryRun=All -f -", input: cancelOptions, want: "403 403 yes 403 403 403 yes 403 403"},
	{name: "cancel", args: "create --raw " + migratesIn + "ours/migrates/USER-mine/cancel -f -", input: cancelOptions, want: "403 403 yes 403 403 403 yes 403 403"},
	{name: "cancel missing", args: "create --raw " + migratesIn + "ours/migrates/none/cancel -f -", input: cancelOptions, want: "403 404 404 404 404 403 404 403 403"},
	{name: "cancel theirs", args: "create --raw " + migratesIn + "theirs/migrates/USER-mine/cancel -f -", input: cancelOptions, want: "403 403 403 403 403 yes yes 403 403"},
	{name: "get cancel", args: "get --raw " + migratesIn + "ours/migrates/a/cancel", want: "403 403 403 403 403 403 405 403 403"},

	// Retries. What was just canceled, or has no Backup, can't be retried: who may gets a 409.
	{name: "retry by a dry run", args: "create --raw " + migratesIn + "ours/migrates/USER-mine/retry?dryRun=All -f -", input: retryOptions, want: "403 403 409 403 403 403 409 403 403"},
	{name: "retry", args: "create --raw " + migratesIn + "ours/migrates/USER-mine/retry -f -", input: retryOptions, want: "403 403 409 403 403 403 409 403 403"},
	{name: "retry missing", args: "create --raw " + migratesIn + "ours/migrates/none/retry -f -", input: retryOptions, want: "403 404 404 404 404 403 404 403 403"},
	{name: "retry theirs", args: "create --raw " + migratesIn + "theirs/migrates/USER-mine/retry -f -", input: retryOptions, want: "403 403 403 403 403 409 409 403 403"},
	{name: "get retry", args: "get --raw " + migratesIn + "ours/migrates/a/retry", want: "403 403 403 403 403 403 405 403 403"},

	// Reads in another tenant's namespace.
	{name: "get theirs", args: "get migrate a -n theirs -o yaml", want: "403 403 403 403 403 yes yes 403 403"},
	{name: "get missing of theirs", args: "get migrate b -n theirs", want: "403 403 403 403 403 404 404 403 403"},
	{name: "get status of theirs", args: "get migrate a -n theirs --subresource=status", want: "403 403 403 403 403 yes yes 403 403"},
	{name: "list theirs", args: "get migrates -n theirs", want: "403 403 403 403 403 yes yes 403 403"},
	{name: "watch theirs", args: "get --raw " + migratesIn + "theirs/migrates" + shortWatch, want: "403 403 403 403 403 yes yes 403 403"},
	{name: "list metadata of theirs", args: migratesIn + "theirs/migrates", accept: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", want: "403 403 403 403 403 yes yes 403 403"},
	{name: "table of theirs", args: migratesIn + "theirs/migrates", accept: "application/json;as=Table;g=meta.k8s.io;v=v1", want: "403 403 403 403 403 yes yes 403 403"},
	{name: "list in a missing namespace", args: "get migrates -n matrix-nowhere", want: "403 403 403 403 403 403 yes 403 403"},

	// Requests across all namespaces.
	{name: "list all", args: "get migrates -A", want: "403 403 403 403 403 403 yes 403 403"},
	{name: "list all by namespace", args: "get migrates -A --field-selector=metadata.namespace=ours", want: "403 403 403 403 403 403 yes 403 403"},
	{name: "watch all", args: "get --raw " + allMigrates + shortWatch, want: "403 403 403 403 403 403 yes 403 403"},
	{name: "watch all by namespace", args: "get --raw " + allMigrates + shortWatch + "&fieldSelector=metadata.namespace%3Dours", want: "403 403 403 403 403 403 yes 403 403"},
	{name: "list metadata of all", args: allMigrates, accept: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", want: "403 403 403 403 403 403 yes 403 403"},
	{name: "delete all at once", args: "delete --raw " + allMigrates + "?labelSelector=doomed%3DUSER", want: "403 403 403 403 403 403 405 403 403"},

	// Creations, by source and targets. No target means the whole Fleet, and an empty kind
	// means Cluster.
	{name: "create to m2", args: "create -n ours -f -", input: migrateTo("to-m2", "m1", "m2"), want: "403 403 yes 403 403 403 yes 403 403", creates: "ours/USER-to-m2"},
	{name: "dry-run to m2", args: "create -n ours -f - --dry-run=server", input: migrateTo("dry-m2", "m1", "m2"), want: "403 403 yes 403 403 403 yes 403 403"},
	{name: "apply to m2", args: "apply -n ours -f -", input: migrateTo("client-m2", "m1", "m2"), want: "403 403 yes 403 403 403 yes 403 403", creates: "ours/USER-client-m2"},
	{name: "server-side apply to m2", args: "apply -n ours -f - --server-side", input: migrateTo("apply-m2", "m1", "m2"), want: "403 403 yes 403 403 403 yes 403 403", creates: "ours/USER-apply-m2"},
	{name: "server-side dry-run to m2", args: "apply -n ours -f - --server-side --dry-run=server", input: migrateTo("apply-dry", "m1", "m2"), want: "403 403 yes 403 403 403 yes 403 403"},
	{name: "create to m2 and m3", args: "create -n ours -f -", input: migrateTo("to-m3", "m1", "m2", "m3"), want: "403 403 403 403 403 403 yes 403 403", creates: "ours/USER-to-m3"},
	{name: "dry-run to m2 and m3", args: "create -n ours -f - --dry-run=server", input: migrateTo("dry-m3", "m1", "m2", "m3"), want: "403 403 403 403 403 403 yes 403 403"},
	{name: "server-side apply to m2 and m3", args: "apply -n ours -f - --server-side", input: migrateTo("apply-m3", "m1", "m2", "m3"), want: "403 403 403 403 403 403 yes 403 403", creates: "ours/USER-apply-m3"},
	{name: "create to all", args: "create -n ours -f -", input: migrateTo("to-all", "m1"), want: "403 403 403 403 403 403 yes 403 403", creates: "ours/USER-to-all"},
	{name: "create from a fleet to all", args: "create -n ours -f -", input: migrateTo("from-fleet", ""), want: "403 403 403 yes 403 403 yes 403 403", creates: "ours/USER-from-fleet"},
	{name: "server-side apply from a fleet to all", args: "apply -n ours -f - --server-side", input: migrateTo("apply-fleet", ""), want: "403 403 403 yes 403 403 yes 403 403", creates: "ours/USER-apply-fleet"},
	{name: "dry-run from a fleet to all", args: "create -n ours -f - --dry-run=server", input: migrateTo("dry-fleet", ""), want: "403 403 403 yes 403 403 yes 403 403"},
	{name: "create to a Cluster", args: "create -n ours -f -", input: migrateTo("to-cluster", "m1", "Cluster/m4"), want: "403 403 yes 403 403 403 yes 403 403", creates: "ours/USER-to-cluster"},
	{name: "create to an empty kind", args: "create -n ours -f -", input: migrateTo("to-empty-kind", "m1", "/m4"), want: "403 403 yes 403 403 403 yes 403 403", creates: "ours/USER-to-empty-kind"},
	{name: "create to a Cluster with the name of an AttachedCluster", args: "create -n ours -f -", input: migrateTo("to-other-kind", "m1", "Cluster/m2"), want: "403 403 403 403 403 403 yes 403 403", creates: "ours/USER-to-other-kind"},
	{name: "create to an empty kind with the name of an AttachedCluster", args: "create -n ours -f -", input: migrateTo("to-no-kind", "m1", "/m2"), want: "403 403 403 403 403 403 yes 403 403", creates: "ours/USER-to-no-kind"},
	{name: "create in theirs", args: "create -n theirs -f -", input: migrateTo("in-theirs", "m1", "m2"), want: "403 403 403 403 403 yes yes 403 403", creates: "theirs/USER-in-theirs"},
	{name: "server-side apply in theirs", args: "apply -n theirs -f - --server-side", input: migrateTo("apply-theirs", "m1", "m2"), want: "403 403 403 403 403 yes yes 403 403", creates: "theirs/USER-apply-theirs"},
	{name: "create status", args: "create --raw " + migratesIn + "ours/migrates/a/status -f -", input: migrateTo("status", "m1", "m2"), want: "403 403 403 403 403 403 405 403 403"},

	// Updates and patches.
	{name: "suspend", args: "patch migrate USER-mine -n ours --type=merge -p {\"spec\":{\"suspend\":true}}", want: "403 403 yes 403 403 403 yes 403 403"},
	{name: "suspend by server-side apply", args: "apply -n ours -f - --server-side --force-conflicts", input: suspended, want: "403 403 yes 403 403 403 yes 403 403"},
	{name: "update", args: "replace -n ours -f -", input: relabelled, want: "403 yes yes yes yes 403 yes 403 403"},
	{name: "patch", args: "patch migrate USER-mine -n ours --type=merge -p {\"metadata\":{\"labels\":{\"x\":\"y\"}}}", want: "403 yes yes yes yes 403 yes 403 403"},
	{name: "patch by server-side apply", args: "apply -n ours -f - --server-side --force-conflicts", input: relabelled, want: "403 yes yes yes yes 403 yes 403 403"},
	{name: "patch dry-run", args: "label migrate USER-mine -n ours z=y --dry-run=server", want: "403 yes yes yes yes 403 yes 403 403"},
	{name: "json patch of the requester", args: "patch migrate a -n ours --type=json -p [{\"op\":\"replace\",\"path\":\"/spec/requester/username\",\"value\":\"mallory\"},{\"op\":\"add\",\"path\":\"/metadata/labels/json-USER\",\"value\":\"y\"}]", want: "403 yes yes yes yes 403 yes 403 403"},
	{name: "merge patch of the requester", args: "patch migrate a -n ours --type=merge -p {\"metadata\":{\"labels\":{\"merge-USER\":\"y\"}},\"spec\":{\"requester\":{\"username\":\"mallory\",\"groups\":[\"x\"]}}}", want: "403 yes yes yes yes 403 yes 403 403"},
	{name: "merge patch of the requester to null", args: "patch migrate a -n ours --type=merge -p {\"metadata\":{\"labels\":{\"null-USER\":\"y\"}},\"spec\":{\"requester\":null}}", want: "403 yes yes yes yes 403 yes 403 403"},
	{name: "patch theirs", args: "patch migrate a -n theirs --type=merge -p {\"metadata\":{\"labels\":{\"USER\":\"y\"}}}", want: "403 403 403 403 403 yes yes 403 403"},
	{name: "patch status", args: "patch migrate a -n ours --subresource=status --type=merge -p {\"status\":{\"phase\":\"Completed\"}}", want: "403 403 403 403 403 403 405 403 403"},

	// Deletions.
	{name: "delete dry-run", args: "delete migrate USER-mine -n ours --dry-run=server", want: "403 yes yes yes yes 403 yes 403 403"},
	{name: "delete", args: "delete migrate USER-mine -n ours", want: "403 yes yes yes yes 403 yes 403 403", deletes: "ours/USER-mine"},
	{name: "delete theirs", args: "delete migrate USER-mine -n theirs", want: "403 403 403 403 403 yes yes 403 403", deletes: "theirs/USER-mine"},
	{name: "deletecollection", args: "delete --raw " + migratesIn + "ours/migrates?labelSelector=doomed%3DUSER", want: "403 403 403 403 yes 403 yes 403 403", deletes: "ours/USER-doomed"},
	{name: "deletecollection of theirs", args: "delete --raw " + migratesIn + "theirs/migrates?labelSelector=doomed%3DUSER", want: "403 403 403 403 403 yes yes 403 403", deletes: "theirs/USER-doomed"},
	{name: "delete status", args: "delete --raw " + migratesIn + "ours/migrates/a/status", want: "403 403 403 403 403 403 405 403 403"},

	// Access reviews of the host, and impersonation.
	{name: "can create", args: "auth can-i create migrates -n ours", want: "no yes yes yes yes no yes no 403"},
	{name: "can delete theirs", args: "auth can-i delete migrates -n theirs", want: "no no no no no yes yes no 403"},
	{name: "can use m2", args: "auth can-i use attachedclusters.cluster.kurator.dev/m2 -n ours", want: "no no yes no no no yes no 403"},
	{name: "can use the fleet", args: "auth can-i use fleets.fleet.kurator.dev/secret-of-ours -n ours", want: "no no no yes no no yes no 403"},
	{name: "as root", args: "get migrates -A --as=root", want: "403 403 403 - 403 403 yes 403 403"},
}

// migrateTo returns a function that returns the manifest of a user's Migrate. Source and targets
// are names of AttachedClusters, or kind/name; without targets it migrates to the whole Fleet.
func migrateTo(suffix, source string, targets ...string) func(string) string {
	return func(user string) string { return migrateOf(user+"-"+suffix, "", source, targets...) }
}

// cancelOptions returns the body of a cancellation.
func cancelOptions(string) string {
	return `{"apiVersion": "backup.kurator.dev/v1alpha1", "kind": "MigrateCancelOptions"}`
}

// retryOptions returns the body of a retry.
func retryOptions(string) string {
	return `{"apiVersion": "backup.kurator.dev/v1alpha1", "kind": "MigrateRetryOptions"}`
}

// previewTo returns a function that returns the manifest of a user's MigratePreview from m1.
func previewTo(targets ...string) func(string) string {
	return func(user string) string {
		return strings.Replace(migrateOf(user+"-preview", "", "m1", targets...), "kind: Migrate\n", "kind: MigratePreview\n", 1)
	}
}

// relabelled returns the manifest of the user's own Migrate with another label.
func relabelled(user string) string { return migrateOf(user+"-mine", "again", "m1", "m2") }

// suspended returns the manifest of the user's own Migrate, with which it is suspended.
func suspended(user string) string {
	return strings.Replace(migrateOf(user+"-mine", "", "m1", "m2"), "spec:\n", "spec:\n  suspend: true\n", 1)
}

// migrateOf returns the manifest of a Migrate with a forged requester, which the server must
// replace.
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

// TestAuthorizationMatrix sends each request of the matrix as each user, with the real kubectl
// and real credentials. It then checks what is stored.
func TestAuthorizationMatrix(t *testing.T) {
	t.Parallel()
	users := newTenants(t)
	createMigrates(t)
	t.Run("users", func(t *testing.T) {
		for column, name := range matrixUsers {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				for _, r := range matrix {
					r.check(t, users[name], strings.Fields(r.want)[column])
				}
			})
		}
	})
	t.Run("stored Migrates", checkStored)
	t.Run("requesters", checkRequesters)
	t.Logf("%d requests of %d users", len(matrix), len(matrixUsers))
}

// createMigrates creates the Migrates that the users read, change and delete.
func createMigrates(t *testing.T) {
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

// check sends the request as a user and checks the result. A response must not reveal the other
// tenant's data, and a 403 must name the missing permission.
func (r matrixRow) check(t *testing.T, u tenant, want string) {
	if want == "-" {
		return
	}
	code, out := r.send(t, u)
	if code != want {
		t.Errorf("%s: got %s, want %s\n%s", r.name, code, want, out)
	}
	for namespace, secret := range map[string]string{ours: oursSecret, theirs: theirsSecret} {
		if !canRead(u.name, namespace) && strings.Contains(strings.ReplaceAll(out, r.args, ""), secret) {
			t.Errorf("%s: the response to %s reveals %s:\n%s", r.name, u.name, namespace, out)
		}
	}
	if code == "403" && !namesMissingPermission(out) {
		t.Errorf("%s: the error does not name the missing permission:\n%s", r.name, out)
	}
}

func (r matrixRow) send(t *testing.T, u tenant) (code, out string) {
	in := strings.NewReplacer("USER", u.name, "n ours", "n "+ours, "n theirs", "n "+theirs,
		"namespaces/ours", "namespaces/"+ours, "namespaces/theirs", "namespaces/"+theirs,
		"namespace=ours", "namespace="+ours, "namespace=theirs", "namespace="+theirs, "3Dours", "3D"+ours)
	if r.accept != "" {
		return getAs(t, u, in.Replace(r.args), r.accept)
	}
	input, args := "", strings.Fields(in.Replace(r.args))
	if r.input != nil {
		input = r.input(u.name)
	}
	if r.input != nil && !slices.Contains(args, "--raw") {
		args = append(args, "--validate=false") // the anonymous user may not read the schemas
	}
	out, err := u.try(t, input, args...)
	return codeOf(out, err), out
}

// codeOf returns the result that the output of kubectl reports.
func codeOf(out string, err error) string {
	switch {
	case err == nil && !strings.HasSuffix(out, "no\n"):
		// The output of a successful read may itself contain "forbidden".
		return "yes"
	case strings.Contains(out, "(MethodNotAllowed)"):
		return "405"
	case strings.Contains(out, "(Conflict)"):
		return "409"
	case strings.Contains(out, "(BadRequest)"):
		return "400"
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

// TestContinueTokenOfOtherNamespace lists a namespace with the continue token of another one,
// and with forged tokens whose key leads to the other one.
func TestContinueTokenOfOtherNamespace(t *testing.T) {
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
	listFrom := func(token string) (string, error) {
		return n.try("", "get", "--raw", migratesIn+n.name+"/migrates?continue="+token)
	}
	out, err := listFrom(token(n))
	if err != nil || !strings.Contains(out, `"name":"c"`) {
		t.Errorf("continue in the own namespace: %v\n%s", err, out)
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
		out, err := listFrom(base64.RawURLEncoding.EncodeToString([]byte(forged)))
		if strings.Contains(out, `-of-theirs"`) || strings.Contains(out, other.name+`"`) {
			t.Errorf("%s: the response (%v) has Migrates of the other namespace:\n%s", forged, err, out)
		}
	}
}

// getAs reads a path through the host with an Accept header, which kubectl can't set.
func getAs(t *testing.T, u tenant, path, accept string) (code, out string) {
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

func canRead(user, namespace string) bool {
	switch user {
	case "root":
		return true
	case "other-tenant":
		return namespace == theirs
	case "no-role", "anonymous":
		return false
	}
	return namespace == ours
}

// namesMissingPermission reports whether a 403 names the verb and the resource. If our server
// checks access to a cluster, the message must name the ClusterRole too.
func namesMissingPermission(out string) bool {
	if strings.Contains(out, "may not use") {
		return strings.Contains(out, `they need verb "use" on resource "`) && strings.Contains(out, "ask for a RoleBinding to ClusterRole migrate-cluster-user")
	}
	return strings.Contains(out, "cannot ") && (strings.Contains(out, `resource "`) || strings.Contains(out, "resource \\\"") || strings.Contains(out, "path "))
}

// checkStored compares the stored Migrates with those of createMigrates and with the creations
// and deletions that the matrix expects to succeed.
func checkStored(t *testing.T) {
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
				t.Errorf("%s is stored", name)
			}
			delete(want, name)
		}
	}
	for name := range want {
		t.Errorf("%s is not stored", name)
	}
}

// checkRequesters checks that each requester is the user whom the host authenticated, for each
// kind of credentials, and never the one in the manifest or in a patch.
func checkRequesters(t *testing.T) {
	const format = "jsonpath={.spec.requester.username} {.spec.requester.groups}"
	in := namespace{t, ours}
	equal(t, "requester with a certificate", in.run("get", "migrate", "cluster-user-to-m2", "-o", format), `cluster-user ["cluster-users","system:authenticated"]`)
	equal(t, "requester of a server-side apply", in.run("get", "migrate", "cluster-user-apply-m2", "-o", format), `cluster-user ["cluster-users","system:authenticated"]`)
	equal(t, "impersonated requester", in.run("get", "migrate", "fleet-user-from-fleet", "-o", format), `fleet-user ["fleet-users","system:authenticated"]`)
	equal(t, "requester after changes by others", in.run("get", "migrate", "a", "-o", format), `kubernetes-admin ["system:masters","system:authenticated"]`)
	changed := in.run("get", "migrate", "a", "-o", "jsonpath={.metadata.labels}")
	for _, user := range []string{"operator", "cluster-user", "fleet-user", "admin", "root"} {
		contains(t, changed, `"json-`+user+`":"y"`, `"merge-`+user+`":"y"`, `"null-`+user+`":"y"`)
	}
	for _, name := range []string{ours, theirs} {
		if all := (namespace{t, name}).run("get", "migrates", "-o", "jsonpath={.items[*].spec.requester}"); strings.Contains(all, "mallory") {
			t.Errorf("a forged requester is recorded in %s:\n%s", name, all)
		}
		if managed := (namespace{t, name}).run("get", "migrates", "-o", "jsonpath={.items[*].metadata.managedFields}"); strings.Contains(managed, "f:requester") {
			t.Errorf("a field manager owns the requester in %s:\n%s", name, managed)
		}
	}
	names := slices.Sorted(strings.Lines(in.run("get", "migrates", "-o", `jsonpath={range .items[*]}{.spec.requester.username}{"\n"}{end}`)))
	equal(t, "all requesters", strings.Join(slices.Compact(names), ""), "cluster-user\nfleet-user\nkubernetes-admin\nroot\n")
}
