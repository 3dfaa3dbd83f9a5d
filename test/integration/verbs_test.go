// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
	"testing"
)

func TestGet(t *testing.T) {
	n := newNamespace(t)
	n.create("a")
	n.run("wait", "migrate/a", "--for=condition=MembersReachable=Unknown", "--timeout=30s")

	lines := strings.Split(n.run("get", "migrates"), "\n")
	equal(t, "columns", strings.Join(strings.Fields(lines[0]), " "), "NAME PHASE SOURCE TARGETS ITEMS AGE")
	equal(t, "row", strings.Join(strings.Fields(lines[1])[:5], " "), "a Pending member1 0/2 <none>")

	lines = strings.Split(n.run("get", "migrates", "-o", "wide"), "\n")
	equal(t, "wide columns", strings.Join(strings.Fields(lines[0]), " "), "NAME PHASE SOURCE TARGETS ITEMS AGE DATA BACKUP MESSAGE")
	contains(t, lines[1], "nowhere")

	contains(t, n.run("get", "migrate", "a", "--subresource=status"), "Pending")
	contains(t, n.run("get", "kurator-dev"), "a ")
	contains(t, n.run("get", "migrates.v1alpha1.backup.kurator.dev", "a", "-o", "yaml"), "progressDeadlineSeconds: 600")
	contains(t, n.fail("get", "migrate", "b"), `Error from server (NotFound): migrates.backup.kurator.dev "b" not found`)
}

func TestDescribe(t *testing.T) {
	n := newNamespace(t)
	n.create("a")
	contains(t, n.run("describe", "migrate", "a"), "Kind:         Migrate", "Source Cluster:", "member1")
}

func TestSelectors(t *testing.T) {
	n := newNamespace(t)
	for i := range 5 {
		n.create(fmt.Sprintf("m%d", i))
	}
	n.run("label", "migrate", "m3", "tier=other", "--overwrite")

	for want, args := range map[string][]string{
		"m0 m1 m2 m3 m4": {"--chunk-size=2"},
		"m3":             {"-l", "tier=other"},
		"m0 m1 m2 m4":    {"-l", "tier!=other"},
		"m2":             {"--field-selector=metadata.name=m2"},
		"m1":             {"--field-selector=metadata.name=m1,spec.sourceCluster.fleet=nowhere"},
		"m0 m3 m4":       {"--field-selector=status.phase=Pending,metadata.name!=m1,metadata.name!=m2"},
		"":               {"--field-selector=spec.targetCluster.fleet=elsewhere"},
	} {
		args = append([]string{"get", "migrates", "-o", "jsonpath={.items[*].metadata.name}"}, args...)
		equal(t, strings.Join(args, " "), n.run(args...), want)
	}
	contains(t, n.fail("get", "migrates", "--field-selector=status.reason=Stalled"),
		`"status.reason" is not a field that Migrates can be selected by: use metadata.name, metadata.namespace, status.phase, spec.sourceCluster.fleet or spec.targetCluster.fleet`)
}

func TestApply(t *testing.T) {
	n := newNamespace(t)
	file := n.file("a.yaml", manifest("a"), 0o600)
	contains(t, n.run("apply", "-f", file), "migrate.backup.kurator.dev/a created")
	contains(t, n.run("apply", "-f", file), "migrate.backup.kurator.dev/a unchanged")
	equal(t, "generation", n.get("a", "{.metadata.generation}"), "1")

	changed := n.file("a.yaml", strings.Replace(manifest("a"), "tier: test", "tier: prod", 1), 0o600)
	contains(t, n.run("apply", "-f", changed), "migrate.backup.kurator.dev/a configured")
	equal(t, "label", n.get("a", "{.metadata.labels.tier}"), "prod")

	other := n.file("a.yaml", strings.Replace(manifest("a"), "name: member3", "name: member4", 1), 0o600)
	contains(t, n.fail("apply", "-f", other),
		"spec.targetCluster: Forbidden: can't be changed after creation: create another Migrate, or delete this one and create it again")
}

func TestApplyServerSide(t *testing.T) {
	n := newNamespace(t)
	file := n.file("a.yaml", manifest("a"), 0o600)
	contains(t, n.run("apply", "--server-side", "-f", file), "migrate.backup.kurator.dev/a serverside-applied")
	first := n.get("a", "{.metadata.resourceVersion} {.metadata.uid}")
	n.run("wait", "migrate/a", "--for=condition=MembersReachable=Unknown", "--timeout=30s")
	contains(t, n.run("apply", "--server-side", "-f", file), "migrate.backup.kurator.dev/a serverside-applied")
	if uid := n.get("a", "{.metadata.uid}"); !strings.HasSuffix(first, uid) {
		t.Errorf("the UID changed: %s, then %s", first, uid)
	}

	// Another manager may add a field, but not change a field of kubectl's.
	labelled := "apiVersion: backup.kurator.dev/v1alpha1\nkind: Migrate\nmetadata:\n  name: a\n  labels:\n    mine: too\n"
	_, err := n.try(labelled, "apply", "--server-side", "--field-manager=other", "-f", "-")
	if err != nil {
		t.Error("another manager's label:", err)
	}
	out, err := n.try(strings.Replace(labelled, "mine: too", "tier: other", 1), "apply", "--server-side", "--field-manager=other", "-f", "-")
	if err == nil {
		t.Error("another manager changed a label without a conflict")
	}
	contains(t, out, `conflict with "kubectl": .metadata.labels.tier`)

	managed := n.run("get", "migrate", "a", "-o", "yaml", "--show-managed-fields")
	if strings.Contains(managed, "f:status") {
		t.Errorf("a field manager owns the status:\n%s", managed)
	}
}

func TestDiff(t *testing.T) {
	n := newNamespace(t)
	n.create("a")
	n.run("diff", "-f", n.file("same.yaml", manifest("a"), 0o600))
	out := n.fail("diff", "-f", n.file("other.yaml", strings.Replace(manifest("a"), "tier: test", "tier: prod", 1), 0o600))
	contains(t, out, "-    tier: test", "+    tier: prod")
}

func TestEdit(t *testing.T) {
	n := newNamespace(t)
	n.create("a")
	editor := n.file("editor", "#!/bin/sh\nexec sed -i 's/tier: test/tier: edited/' \"$1\"\n", 0o700)
	command := n.command(t.Context(), "edit", "migrate", "a")
	command.Env = append(command.Env, "KUBE_EDITOR="+editor)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	contains(t, string(out), "migrate.backup.kurator.dev/a edited")
	equal(t, "label", n.get("a", "{.metadata.labels.tier}"), "edited")
}

func TestPatch(t *testing.T) {
	n := newNamespace(t)
	n.create("a")
	for kind, patch := range map[string]string{
		"json":      `[{"op":"add","path":"/metadata/labels/json","value":"yes"}]`,
		"merge":     `{"metadata":{"labels":{"merge":"yes"}}}`,
		"strategic": `{"metadata":{"labels":{"strategic":"yes"}}}`,
	} {
		n.run("patch", "migrate", "a", "--type="+kind, "-p", patch)
		equal(t, kind, n.get("a", "{.metadata.labels."+kind+"}"), "yes")
	}
	contains(t, n.fail("patch", "migrate", "a", "--type=merge", "-p", `{"spec":{"progressDeadlineSeconds":5}}`),
		"spec.progressDeadlineSeconds: Forbidden: can't be changed after creation")
}

func TestLabelAnnotateReplace(t *testing.T) {
	n := newNamespace(t)
	n.create("a")
	n.run("label", "migrate", "a", "x=y")
	n.run("annotate", "migrate", "a", "note=kept")
	equal(t, "label and annotation", n.get("a", "{.metadata.labels.x} {.metadata.annotations.note}"), "y kept")
	n.run("replace", "-f", n.file("a.yaml", manifest("a"), 0o600))
	equal(t, "labels after replace", n.get("a", "{.metadata.labels}"), `{"tier":"test"}`)
}

func TestDelete(t *testing.T) {
	n := newNamespace(t)
	for _, name := range []string{"a", "b", "c"} {
		n.create(name)
	}
	contains(t, n.run("delete", "migrate", "a", "--wait"), `migrate.backup.kurator.dev "a" deleted`)
	n.fail("get", "migrate", "a")
	n.run("delete", "migrates", "--all", "--wait")
	equal(t, "Migrates left", n.run("get", "migrates", "-o", "name"), "")
	n.create("d")
	n.run("delete", "namespace", n.name, "--wait")
}

func TestWait(t *testing.T) {
	n := newNamespace(t)
	n.create("a")
	n.run("wait", "migrate/a", "--for=condition=MembersReachable=Unknown", "--timeout=30s")
	n.run("wait", "migrate/a", "--for=condition=Ready=False", "--timeout=30s")
	n.run("wait", "migrate/a", "--for=jsonpath={.status.phase}=Pending", "--timeout=30s")
	contains(t, n.fail("wait", "migrate/a", "--for=condition=Ready", "--timeout=1s"), "timed out waiting for the condition on migrates/a")
}

func TestDryRun(t *testing.T) {
	n := newNamespace(t)
	file := n.file("a.yaml", manifest("a"), 0o600)
	contains(t, n.run("create", "--dry-run=server", "-f", file, "-o", "yaml"), "progressDeadlineSeconds: 600", "uid:")
	n.fail("get", "migrate", "a")
	contains(t, n.fail("create", "--dry-run=server", "-f", n.file("bad.yaml", strings.ReplaceAll(manifest("a"), "fleet: nowhere", "fleet: \"\""), 0o600)),
		"spec.sourceCluster.fleet: Required value: name the Fleet that the clusters are members of")
}

func TestUnknownFields(t *testing.T) {
	n := newNamespace(t)
	file := n.file("a.yaml", strings.Replace(manifest("a"), "sourceCluster:", "sourceClusters: {}\n  sourceCluster:", 1), 0o600)
	contains(t, n.fail("create", "-f", file), `unknown field "spec.sourceClusters"`)
}

func TestAuthAndDiscovery(t *testing.T) {
	n := newNamespace(t)
	equal(t, "admin", n.run("auth", "can-i", "create", "migrates.backup.kurator.dev"), "yes\n")
	equal(t, "user without roles", n.fail("auth", "can-i", "create", "migrates.backup.kurator.dev", "--as=no-roles"), "no\n")
	contains(t, n.fail("get", "migrates", "--as=no-roles"), `migrates.backup.kurator.dev is forbidden: User "no-roles" cannot list resource "migrates"`)

	resources := strings.Fields(n.run("api-resources", "--api-group=backup.kurator.dev", "--no-headers", "-o", "wide"))
	equal(t, "api-resources", strings.Join(resources, " "),
		"migratepreviews backup.kurator.dev/v1alpha1 true MigratePreview create "+
			"migrates backup.kurator.dev/v1alpha1 true Migrate create,delete,deletecollection,get,list,patch,update,watch kurator-dev")
}

// TestStatusIsReadOnly checks that a user can set the status neither with the object nor with the
// subresource.
func TestStatusIsReadOnly(t *testing.T) {
	n := newNamespace(t)
	sent := manifest("a") + "status:\n  phase: Completed\n"
	n.run("create", "-f", n.file("a.yaml", sent, 0o600))
	n.run("wait", "migrate/a", "--for=condition=MembersReachable=Unknown", "--timeout=30s")
	n.run("replace", "-f", n.file("a.yaml", sent, 0o600))
	equal(t, "phase after replace", n.get("a", "{.status.phase}"), "Pending")

	const path = "/apis/backup.kurator.dev/v1alpha1/namespaces/"
	contains(t, n.fail("replace", "--raw", path+n.name+"/migrates/a/status", "-f", n.file("a.yaml", sent, 0o600)),
		"MethodNotAllowed")
	contains(t, n.fail("patch", "migrate", "a", "--subresource=status", "--type=merge", "-p", `{"status":{"phase":"Completed"}}`),
		"MethodNotAllowed")
	equal(t, "phase after writes to the status", n.get("a", "{.status.phase}"), "Pending")
}
