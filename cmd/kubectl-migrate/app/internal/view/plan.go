// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"slices"
	"strings"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Plan returns a plan: its verdict, what would hinder it, its clusters, and what would be moved.
func (s Style) Plan(p *v1alpha1.MigratePreview) []string {
	color := map[v1alpha1.PreviewVerdict]string{v1alpha1.PreviewReady: green, v1alpha1.PreviewReadyWithWarnings: yellow, v1alpha1.PreviewBlocked: red}[p.Status.Verdict]
	lines := []string{s.colored(color, s.Clean(string(p.Status.Verdict)))}
	// The message repeats the first findings, which follow.
	if !slices.ContainsFunc(p.Status.Findings, func(f v1alpha1.PreviewFinding) bool { return strings.Contains(p.Status.Message, f.Message) }) {
		lines = append(lines, s.wrap("  ", p.Status.Message)...)
	}
	for _, part := range [][]string{s.findings(p.Status.Findings), s.planClusters(p), s.planItems(p.Status.Source), s.planVolumes(p.Status.Source)} {
		if len(part) > 0 {
			lines = append(append(lines, ""), part...)
		}
	}
	return lines
}

func (s Style) findings(findings []v1alpha1.PreviewFinding) (lines []string) {
	for _, f := range findings {
		color := map[v1alpha1.PreviewSeverity]string{v1alpha1.SeverityBlocking: red, v1alpha1.SeverityWarning: yellow}[f.Severity]
		lines = append(lines, s.row(cell{s.Clean(string(f.Severity)), color}, plain(s.Clean(f.Reason)), plain(s.Clean(f.ClusterName))))
		lines = append(lines, s.wrap("  ", f.Message)...)
	}
	return lines
}

func (s Style) planClusters(p *v1alpha1.MigratePreview) (lines []string) {
	rows := [][]cell{{plain("SOURCE, TARGETS"), plain("KUBERNETES"), plain("VELERO"), plain("NODE-AGENT"), plain("STORAGE")}}
	if p.Status.Source != nil {
		rows = append(rows, s.planCluster("", &p.Status.Source.ClusterPreview))
	}
	targets := p.Status.Targets
	for i := range targets {
		rows = append(rows, s.planCluster(s.branch(i, len(targets)), &targets[i].ClusterPreview))
	}
	if len(rows) == 1 {
		return nil
	}
	lines = s.columns(rows)
	// What a target has already stands below it; from the last one to the first, so that what is above stays where it is.
	for i := len(targets) - 1; i >= 0; i-- {
		if e := targets[i].Existing; e != nil && e.Same+e.Different+e.NotCompared > 0 {
			has := s.wrap(s.indent(i, len(targets)), existing(e))
			lines = slices.Insert(lines, len(rows)-len(targets)+i+1, has...)
		}
	}
	return lines
}

// existing says which of the items a target has already.
func existing(e *v1alpha1.ExistingItems) string {
	text := fmt.Sprintf("has %d of the items: %d the same, %d different", e.Same+e.Different+e.NotCompared, e.Same, e.Different)
	if e.NotCompared > 0 {
		text += fmt.Sprintf(", %d not compared", e.NotCompared)
	}
	return text
}

func (s Style) planCluster(branch string, c *v1alpha1.ClusterPreview) []cell {
	agent, storage := "none", "none"
	if n := c.NodeAgent; n != nil {
		agent = fmt.Sprintf("%d/%d", n.Ready, n.Desired)
	}
	if l := c.StorageLocation; l != nil {
		storage = strings.TrimSpace(l.Name + " " + l.Phase)
		if l.Sharing != "" {
			storage += ", " + l.Sharing
		}
	}
	cells := []cell{plain(branch + s.Clean(c.ClusterName))}
	if !c.Reachable {
		return append(cells, plain("unreachable"))
	}
	for _, text := range []string{known(c.KubernetesVersion), known(c.VeleroVersion), agent, storage} {
		cells = append(cells, plain(s.Clean(text)))
	}
	return cells
}

func known(text string) string {
	if text == "" {
		return "unknown"
	}
	return text
}

func (s Style) planItems(source *v1alpha1.SourcePreview) []string {
	if source == nil {
		return nil
	}
	rows := [][]cell{{plain("RESOURCE"), plain("COUNT")}}
	for _, r := range source.Resources {
		rows = append(rows, []cell{plain(s.Clean(r.Resource)), plain(fmt.Sprint(r.Count))})
	}
	return s.columns(append(rows, []cell{plain("total"), plain(fmt.Sprint(source.ItemsTotal))}))
}

func (s Style) planVolumes(source *v1alpha1.SourcePreview) []string {
	if source == nil || source.Volumes == nil {
		return nil
	}
	rows := [][]cell{{plain("CLAIM"), plain("STORAGECLASS"), plain("CAPACITY"), plain("DATA")}}
	for _, v := range source.Volumes.Items {
		method := v.Method
		if method == "" {
			method = "as Velero is configured"
		}
		rows = append(rows, []cell{plain(s.Clean(objectName(v.Namespace, v.Claim))), plain(s.Clean(v.StorageClass)), plain(size(v.Bytes)), plain(s.Clean(method))})
	}
	total := "total"
	if more := source.Volumes.Total - int64(len(source.Volumes.Items)); more > 0 {
		total = fmt.Sprintf("total, with %d more", more)
	}
	return s.columns(append(rows, []cell{plain(total), plain(""), plain(size(source.Volumes.Bytes)), plain("")}))
}
