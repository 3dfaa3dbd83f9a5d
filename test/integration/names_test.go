// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

// TestRightsOfOneName asks as a user who may read one Migrate by its name, and nothing
// of another. To select just that name is to ask for that one.
func TestRightsOfOneName(t *testing.T) {
	n := newNamespace(t)
	n.create("a")
	n.create("b")
	n.run("create", "role", "reader", "--verb=get,list,watch", "--resource=migrates.backup.kurator.dev,migrates.backup.kurator.dev/status", "--resource-name=a")
	n.run("create", "rolebinding", "reader", "--role=reader", "--user=reader-of-a")
	eventually(t, "the host to know the right", func(context.Context) bool {
		_, err := n.try("", "auth", "can-i", "get", "migrates.backup.kurator.dev/a", "--as=reader-of-a")
		return err == nil
	})
	ways := map[string]directly{
		"direct": withCertificate(t, authorityOf(t, "host"), "reader-of-a"),
		"host":   throughHostAs(t, n.byCertificate("reader-of-a").config(t)),
	}
	all := migratesIn + n.name + "/migrates"
	const nameA, nameB, fleet = "metadata.name%3Da", "metadata.name%3Db", "spec.sourceCluster.fleet%3Dnowhere"
	for name, test := range map[string]struct {
		path string
		code int
		// shows says whether a is in the answer.
		shows bool
	}{
		"get":                           {all + "/a", 200, true},
		"get status":                    {all + "/a/status", 200, true},
		"get another":                   {all + "/b", 403, false},
		"get status of another":         {all + "/b/status", 403, false},
		"get another by the name":       {all + "/b?fieldSelector=" + nameA, 403, false},
		"list":                          {all, 403, false},
		"list by name":                  {all + "?fieldSelector=" + nameA, 200, true},
		"list by name and fleet":        {all + "?fieldSelector=" + nameA + "," + fleet, 200, true},
		"list by both names":            {all + "?fieldSelector=" + nameA + "," + nameB, 200, false},
		"list by two selectors":         {all + "?fieldSelector=" + nameA + "&fieldSelector=" + nameB, 200, true},
		"list by two, the other first":  {all + "?fieldSelector=" + nameB + "&fieldSelector=" + nameA, 403, false},
		"list by another name":          {all + "?fieldSelector=" + nameB, 403, false},
		"list by the name of none":      {all + "?fieldSelector=metadata.name%3Dnone", 403, false},
		"list all but another name":     {all + "?fieldSelector=metadata.name!%3Db", 403, false},
		"list by fleet":                 {all + "?fieldSelector=" + fleet, 403, false},
		"list by label":                 {all + "?labelSelector=tier%3Dtest", 403, false},
		"list everywhere by name":       {everywhere + "?fieldSelector=" + nameA, 403, false},
		"watch":                         {all + briefly, 403, false},
		"watch by name":                 {all + briefly + "&fieldSelector=" + nameA, 200, true},
		"watch by both names":           {all + briefly + "&fieldSelector=" + nameA + "," + nameB, 200, false},
		"watch by two selectors":        {all + briefly + "&fieldSelector=" + nameA + "&fieldSelector=" + nameB, 200, true},
		"watch by two, the other first": {all + briefly + "&fieldSelector=" + nameB + "&fieldSelector=" + nameA, 403, false},
		"watch by another name":         {all + briefly + "&fieldSelector=" + nameB, 403, false},
		"watch all but another name":    {all + briefly + "&fieldSelector=metadata.name!%3Db", 403, false},
		"watch everywhere by name":      {everywhere + briefly + "&fieldSelector=" + nameA, 403, false},
	} {
		for way, server := range ways {
			code, answer := server.send(t, http.MethodGet, test.path, nil, "")
			if code != test.code {
				t.Errorf("%s, %s: got %d, want %d\n%s", name, way, code, test.code, answer)
			}
			shown := code == http.StatusOK && strings.Contains(answer, `"name":"a"`)
			if shown != test.shows || strings.Contains(answer, `"name":"b","namespace"`) {
				t.Errorf("%s, %s: it shows\n%s", name, way, answer)
			}
		}
	}
}
