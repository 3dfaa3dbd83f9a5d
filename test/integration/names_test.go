// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

// TestRBACByResourceName reads as a user whose Role has the resourceName of one Migrate. A list
// or watch with a field selector for exactly that name is authorized by it.
func TestRBACByResourceName(t *testing.T) {
	n := newNamespace(t)
	n.create("a")
	n.create("b")
	n.run("create", "role", "reader", "--verb=get,list,watch", "--resource=migrates.backup.kurator.dev,migrates.backup.kurator.dev/status", "--resource-name=a")
	n.run("create", "rolebinding", "reader", "--role=reader", "--user=reader-of-a")
	eventually(t, "the Role to take effect", func(context.Context) bool {
		_, err := n.try("", "auth", "can-i", "get", "migrates.backup.kurator.dev/a", "--as=reader-of-a")
		return err == nil
	})
	clients := map[string]apiClient{
		"direct": withCertificate(t, authorityOf(t, "host"), "reader-of-a"),
		"host":   hostClientAs(t, n.byCertificate("reader-of-a").config(t)),
	}
	all := migratesIn + n.name + "/migrates"
	const nameA, nameB, fleet = "metadata.name%3Da", "metadata.name%3Db", "spec.sourceCluster.fleet%3Dnowhere"
	for name, test := range map[string]struct {
		path string
		code int
		// shown is whether the response contains Migrate a.
		shown bool
	}{
		"get":                               {all + "/a", 200, true},
		"get status":                        {all + "/a/status", 200, true},
		"get another":                       {all + "/b", 403, false},
		"get status of another":             {all + "/b/status", 403, false},
		"get another with a selector":       {all + "/b?fieldSelector=" + nameA, 403, false},
		"list":                              {all, 403, false},
		"list by name":                      {all + "?fieldSelector=" + nameA, 200, true},
		"list by name and fleet":            {all + "?fieldSelector=" + nameA + "," + fleet, 200, true},
		"list by both names":                {all + "?fieldSelector=" + nameA + "," + nameB, 200, false},
		"list by two selectors":             {all + "?fieldSelector=" + nameA + "&fieldSelector=" + nameB, 200, true},
		"list by two, the other first":      {all + "?fieldSelector=" + nameB + "&fieldSelector=" + nameA, 403, false},
		"list by another name":              {all + "?fieldSelector=" + nameB, 403, false},
		"list by the name of a missing one": {all + "?fieldSelector=metadata.name%3Dnone", 403, false},
		"list all but another name":         {all + "?fieldSelector=metadata.name!%3Db", 403, false},
		"list by fleet":                     {all + "?fieldSelector=" + fleet, 403, false},
		"list by label":                     {all + "?labelSelector=tier%3Dtest", 403, false},
		"list everywhere by name":           {allMigrates + "?fieldSelector=" + nameA, 403, false},
		"watch":                             {all + shortWatch, 403, false},
		"watch by name":                     {all + shortWatch + "&fieldSelector=" + nameA, 200, true},
		"watch by both names":               {all + shortWatch + "&fieldSelector=" + nameA + "," + nameB, 200, false},
		"watch by two selectors":            {all + shortWatch + "&fieldSelector=" + nameA + "&fieldSelector=" + nameB, 200, true},
		"watch by two, the other first":     {all + shortWatch + "&fieldSelector=" + nameB + "&fieldSelector=" + nameA, 403, false},
		"watch by another name":             {all + shortWatch + "&fieldSelector=" + nameB, 403, false},
		"watch all but another name":        {all + shortWatch + "&fieldSelector=metadata.name!%3Db", 403, false},
		"watch everywhere by name":          {allMigrates + shortWatch + "&fieldSelector=" + nameA, 403, false},
	} {
		for via, server := range clients {
			code, answer := server.send(t, http.MethodGet, test.path, nil, "")
			if code != test.code {
				t.Errorf("%s, %s: got %d, want %d\n%s", name, via, code, test.code, answer)
			}
			shown := code == http.StatusOK && strings.Contains(answer, `"name":"a"`)
			if shown != test.shown || strings.Contains(answer, `"name":"b","namespace"`) {
				t.Errorf("%s, %s: unexpected content\n%s", name, via, answer)
			}
		}
	}
}
