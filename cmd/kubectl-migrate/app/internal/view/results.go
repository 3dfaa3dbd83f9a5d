// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"slices"
	"strings"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// maxNames is how many objects of a group are named.
const maxNames = 5

// arrivals are the outcomes of what is as it should be.
var arrivals = []v1alpha1.ItemOutcome{v1alpha1.ItemBackedUp, v1alpha1.ItemCreated, v1alpha1.ItemUpdated, v1alpha1.ItemUnchanged, v1alpha1.VolumeMoved}

// Results returns, for each cluster, what did not arrive, grouped by its outcome, resource and message; or what has an
// outcome, if that is not empty.
func (s Style) Results(r *v1alpha1.MigrateResults, outcome v1alpha1.ItemOutcome) (lines []string) {
	for i := range r.Clusters {
		if i > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, s.clusterResults(&r.Clusters[i], outcome)...)
	}
	return lines
}

func (s Style) clusterResults(c *v1alpha1.ClusterResults, outcome v1alpha1.ItemOutcome) []string {
	lines := s.wrap("", strings.TrimSpace(c.ClusterName+gap+c.Stage+" "+c.ObjectName))
	groups := groupsOf(c, outcome)
	switch {
	case outcome != "" && len(groups) == 0:
		lines = append(lines, s.wrap("  ", fmt.Sprintf("Nothing is %s.", outcome))...)
	case outcome == "" && len(c.Items)+len(c.Volumes) > 0:
		lines = append(lines, s.wrap("  ", counted(c))...)
	}
	for _, g := range groups {
		color := yellow
		switch {
		case slices.Contains(arrivals, g.outcome):
			color = ""
		case g.outcome == v1alpha1.ItemFailed, g.outcome == v1alpha1.ItemWithoutData:
			color = red
		}
		lines = append(lines, s.row(cell{"  " + s.Clean(string(g.outcome)), color}, plain(s.Clean(fmt.Sprintf("%d %s", len(g.names), g.resource)))))
		names := strings.Join(g.names[:min(maxNames, len(g.names))], ", ")
		if more := len(g.names) - maxNames; more > 0 {
			names += fmt.Sprintf(" and %d more", more)
		}
		for _, text := range []string{names, g.message} {
			if strings.Trim(text, ", ") != "" {
				lines = append(lines, s.wrap("    ", text)...)
			}
		}
	}
	for _, said := range []struct {
		title string
		texts []string
	}{{"Errors of Velero", c.Errors}, {"Warnings of Velero", c.Warnings}} {
		if len(said.texts) == 0 {
			continue
		}
		lines = append(lines, "  "+said.title)
		for _, text := range said.texts {
			lines = append(lines, s.wrap("    ", text)...)
		}
	}
	if c.Unavailable != "" {
		lines = append(lines, s.wrap("  ", "These results are not complete: "+c.Unavailable)...)
	}
	return lines
}

// counted says how many items and volumes are as they should be.
func counted(c *v1alpha1.ClusterResults) string {
	items, volumes := 0, 0
	for _, i := range c.Items {
		if slices.Contains(arrivals, i.Outcome) {
			items++
		}
	}
	for _, v := range c.Volumes {
		if slices.Contains(arrivals, v.Outcome) {
			volumes++
		}
	}
	verb := "arrived"
	if c.Stage == v1alpha1.MigrateStageBackup {
		verb = "are in the Backup"
	}
	text := fmt.Sprintf("%d of %d items", items, len(c.Items))
	if len(c.Volumes) > 0 {
		text += fmt.Sprintf(" and the data of %d of %d volumes", volumes, len(c.Volumes))
	}
	return text + " " + verb + "."
}

// kindOfResult is what objects of a group have in common.
type kindOfResult struct {
	outcome           v1alpha1.ItemOutcome
	resource, message string
}

// group are the names of objects with the same outcome, resource and message.
type group struct {
	kindOfResult
	names []string
}

// groupsOf returns the groups in the order of their first objects.
func groupsOf(c *v1alpha1.ClusterResults, outcome v1alpha1.ItemOutcome) (groups []*group) {
	byKind := map[kindOfResult]*group{}
	add := func(of v1alpha1.ItemOutcome, resource, name, message string) {
		if outcome == "" && slices.Contains(arrivals, of) || outcome != "" && of != outcome {
			return
		}
		kind := kindOfResult{of, resource, message}
		if byKind[kind] == nil {
			byKind[kind] = &group{kindOfResult: kind}
			groups = append(groups, byKind[kind])
		}
		byKind[kind].names = append(byKind[kind].names, name)
	}
	for _, item := range append(slices.Clone(c.Items), c.LeftOut...) {
		add(item.Outcome, item.Resource, objectName(item.Namespace, item.Name), item.Message)
	}
	for _, v := range c.Volumes {
		name := objectName(v.Namespace, v.Claim)
		if v.Claim == "" {
			name = objectName(v.Namespace, v.Pod) + " " + v.Volume
		}
		add(v.Outcome, "volume", name, v.Message)
	}
	return groups
}
