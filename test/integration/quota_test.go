// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// TestQuota has a namespace hold two Migrates. The host's quota controller learns of
// a new API within half a minute, so this waits beside other tests that wait.
func TestQuota(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	const count = "count/migrates.backup.kurator.dev"
	used := func() string {
		return n.run("get", "quota", "few", "-o", `jsonpath={.status.used['count/migrates\.backup\.kurator\.dev']}`)
	}
	n.run("create", "quota", "few", "--hard="+count+"=0")
	dry := n.file("dry.yaml", manifest("dry"), 0o600)
	tries := 0
	eventually(t, "a quota of nothing to refuse everything", func(context.Context) bool {
		// A quota from before the host knew the API is counted again when it changes.
		tries++
		n.run("patch", "quota", "few", "--type=merge", "-p", fmt.Sprintf(`{"spec":{"hard":{"pods":"%d"}}}`, tries))
		out, err := n.try("", "create", "--dry-run=server", "-f", dry)
		return err != nil && strings.Contains(out, "exceeded quota: few")
	})
	n.run("patch", "quota", "few", "--type=merge", "-p", `{"spec":{"hard":{"`+count+`":"2"}}}`)
	eventually(t, "a greater quota to let some in", func(context.Context) bool {
		_, err := n.try("", "create", "--dry-run=server", "-f", dry)
		return err == nil
	})
	equal(t, "used after a dry run", used(), "0")

	n.create("a")
	n.create("b")
	equal(t, "used by two", used(), "2")
	third := n.file("c.yaml", manifest("c"), 0o600)
	contains(t, n.fail("create", "-f", third), "(Forbidden)",
		"exceeded quota: few, requested: "+count+"=1, used: "+count+"=2, limited: "+count+"=2")
	contains(t, n.fail("apply", "--server-side", "-f", third), "exceeded quota: few")
	n.run("label", "migrate", "a", "an=update") // needs none
	equal(t, "used after a refusal", used(), "2")

	n.run("delete", "migrate", "a")
	eventually(t, "the host to count one less", func(context.Context) bool { return used() == "1" })
	eventually(t, "room for a third", func(context.Context) bool {
		_, err := n.try("", "create", "-f", third)
		return err == nil
	})
	equal(t, "used in the end", used(), "2")
}
