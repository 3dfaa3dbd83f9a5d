// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// TestResourceQuota limits a namespace to two Migrates. It is parallel because the host's quota
// controller needs up to half a minute to discover a new API.
func TestResourceQuota(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	const count = "count/migrates.backup.kurator.dev"
	used := func() string {
		return n.run("get", "quota", "few", "-o", `jsonpath={.status.used['count/migrates\.backup\.kurator\.dev']}`)
	}
	n.run("create", "quota", "few", "--hard="+count+"=0")
	dry := n.file("dry.yaml", manifest("dry"), 0o600)
	attempts := 0
	eventually(t, "a quota of 0 to be enforced", func(context.Context) bool {
		// A change makes the controller recalculate a quota that it has processed before it
		// discovered the API.
		attempts++
		n.run("patch", "quota", "few", "--type=merge", "-p", fmt.Sprintf(`{"spec":{"hard":{"pods":"%d"}}}`, attempts))
		out, err := n.try("", "create", "--dry-run=server", "-f", dry)
		return err != nil && strings.Contains(out, "exceeded quota: few")
	})
	n.run("patch", "quota", "few", "--type=merge", "-p", `{"spec":{"hard":{"`+count+`":"2"}}}`)
	eventually(t, "the increased quota to take effect", func(context.Context) bool {
		_, err := n.try("", "create", "--dry-run=server", "-f", dry)
		return err == nil
	})
	equal(t, "used after a dry run", used(), "0")

	n.create("a")
	n.create("b")
	equal(t, "used by two Migrates", used(), "2")
	third := n.file("c.yaml", manifest("c"), 0o600)
	contains(t, n.fail("create", "-f", third), "(Forbidden)",
		"exceeded quota: few, requested: "+count+"=1, used: "+count+"=2, limited: "+count+"=2")
	contains(t, n.fail("apply", "--server-side", "-f", third), "exceeded quota: few")
	n.run("label", "migrate", "a", "an=update") // uses no quota
	equal(t, "used after a rejected creation", used(), "2")

	n.run("delete", "migrate", "a")
	eventually(t, "the host to release the quota of the deleted Migrate", func(context.Context) bool { return used() == "1" })
	eventually(t, "the third Migrate to be accepted", func(context.Context) bool {
		_, err := n.try("", "create", "-f", third)
		return err == nil
	})
	equal(t, "used at the end", used(), "2")
}
