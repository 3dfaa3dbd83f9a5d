// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

const (
	// longestBar and shortestBar are the widths of a progress bar.
	longestBar, shortestBar = 20, 5
	// maxExceptions is how many exceptions of a cluster are shown.
	maxExceptions = 3
)

// detail is how much is shown of the clusters.
type detail int

const (
	all detail = iota
	withoutCompleted
	none
	// unfinished leaves the completed targets out.
	unfinished
)

// Tree returns the state of a Migrate in each of its clusters: the source, and below it the targets. If it does not fit the height,
// the messages of clusters are left out, those of completed ones first, then the completed targets, and then its end.
func (s Style) Tree(m *v1alpha1.Migrate, now time.Time) []string {
	var lines []string
	for _, d := range []detail{all, withoutCompleted, none, unfinished} {
		lines = s.tree(m, now, d)
		if s.fits(len(lines)) {
			return lines
		}
	}
	most := max(1, s.Height-2)
	return append(lines[:most], s.row(plain(fmt.Sprintf("%s %d more lines", s.symbols().ellipsis, len(lines)-most))))
}

// fits reports whether so many lines fit the height, with one for the cursor.
func (s Style) fits(lines int) bool { return s.Height == 0 || lines < s.Height }

// Summary returns how a Migrate is as a whole.
func (s Style) Summary(m *v1alpha1.Migrate, now time.Time) []string {
	lines := []string{s.row(plain(s.Clean(objectName(m.Namespace, m.Name))), cell{s.Clean(string(m.Status.Phase)), colorOf(m.Status.Phase)}, plain(times(m, now)))}
	if message := headline(m); message != "" {
		lines = append(lines, s.wrap("  ", message)...)
	}
	return lines
}

func (s Style) tree(m *v1alpha1.Migrate, now time.Time, d detail) []string {
	lines := s.Summary(m, now)
	clusters := clustersOf(m)
	if len(clusters) == 0 {
		return lines
	}
	if d == unfinished {
		clusters = slices.DeleteFunc(clusters, func(c cluster) bool { return c.target && c.Phase == v1alpha1.MigratePhaseCompleted })
	}
	rows := s.table(clusters, now)
	lines = append(lines, "", rows[0])
	for i, c := range clusters {
		lines = append(lines, rows[i+1])
		if d == all || d == withoutCompleted && c.Phase != v1alpha1.MigratePhaseCompleted {
			lines = append(lines, s.details(m, c, s.indent(i, len(clusters)))...)
		}
	}
	return lines
}

// cluster is the state of a Migrate in one cluster.
type cluster struct {
	*v1alpha1.ClusterStatus
	target bool
}

func clustersOf(m *v1alpha1.Migrate) (clusters []cluster) {
	for i, status := range migration.ClusterStatuses(&m.Status) {
		clusters = append(clusters, cluster{status, i > 0 || m.Status.SourceClusterStatus == nil})
	}
	return clusters
}

// table returns a line with the names of the columns and one for each cluster, with the longest progress bars for which there is room.
func (s Style) table(clusters []cluster, now time.Time) []string {
	for bar := longestBar; bar >= shortestBar; bar-- {
		rows := s.rows(clusters, now, bar)
		if s.Width == 0 || rowWidth(rows) <= s.Width {
			return s.columns(rows)
		}
	}
	return s.columns(s.rows(clusters, now, 0))
}

func (s Style) rows(clusters []cluster, now time.Time, bar int) [][]cell {
	withData := false
	for _, c := range clusters {
		withData = withData || dataOf(c) != ""
	}
	row := func(name, phase cell, progress, items, data, since string) []cell {
		cells := []cell{name, phase, plain(progress), plain(items)}
		if withData {
			cells = append(cells, plain(data))
		}
		return append(cells, plain(since))
	}
	rows := [][]cell{row(plain("SOURCE, TARGETS"), plain("PHASE"), "PROGRESS", "ITEMS", "DATA", "SINCE")}
	for i, c := range clusters {
		name := s.Clean(c.ClusterName)
		if c.target {
			name = s.branch(i, len(clusters)) + name
		}
		since := ""
		if c.LastTransitionTime != nil {
			since = age(now, c.LastTransitionTime.Time)
		}
		rows = append(rows, row(plain(name), cell{s.Clean(string(c.Phase)), colorOf(c.Phase)}, s.progress(c, bar), itemsOf(c), dataOf(c), since))
	}
	return rows
}

// branch and indent are what stands before the ith line of the tree, and before what is below it.
func (s Style) branch(i, count int) string {
	if i == count-1 {
		return s.symbols().lastBranch
	}
	return s.symbols().branch
}

func (s Style) indent(i, count int) string {
	if i == count-1 {
		return "   "
	}
	return s.symbols().line
}

// details returns the reason, the message and the first exceptions of a cluster.
func (s Style) details(m *v1alpha1.Migrate, c cluster, indent string) (lines []string) {
	if text := because(c); text != "" {
		lines = s.wrap(indent, text)
	}
	for _, e := range c.Exceptions[:min(maxExceptions, len(c.Exceptions))] {
		lines = append(lines, s.wrap(indent+"  ", exception(e))...)
	}
	if more := int64(len(c.Exceptions)) + c.ExceptionsOmitted - maxExceptions; more > 0 {
		lines = append(lines, s.wrap(indent+"  ", fmt.Sprintf("%d more: kubectl migrate results %s %s --namespace=%s", more, m.Name, c.ClusterName, m.Namespace))...)
	}
	return lines
}

// because returns the reason and the message of a cluster.
func because(c cluster) string {
	if strings.HasPrefix(c.Message, c.Reason+":") {
		return c.Message
	}
	return strings.Join(slices.DeleteFunc([]string{c.Reason, c.Message}, func(text string) bool { return text == "" }), ": ")
}

func exception(e v1alpha1.ItemResult) string {
	text := string(e.Outcome) + " " + strings.TrimSpace(e.Resource+" "+objectName(e.Namespace, e.Name))
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

func objectName(namespace, name string) string {
	if namespace == "" || name == "" {
		return namespace + name
	}
	return namespace + "/" + name
}

// progress returns a bar of a width and a percentage; nothing if it is unknown.
func (s Style) progress(c cluster, width int) string {
	done, known := fraction(c)
	if !known {
		return ""
	}
	// All of it is 100 % only if nothing is left.
	percent := fmt.Sprintf("%3d%%", int(math.Floor(done*100)))
	if width == 0 {
		return percent
	}
	full := int(math.Floor(done * float64(width)))
	return strings.Repeat(s.symbols().full, full) + strings.Repeat(s.symbols().empty, width-full) + " " + percent
}

// fraction returns how much of the work in a cluster is done: the lesser one of its items and of its data.
func fraction(c cluster) (done float64, known bool) {
	if c.Phase == v1alpha1.MigratePhaseCompleted {
		return 1, true
	}
	done = 1
	least := func(part, whole int64) {
		if whole > 0 {
			known = true
			done = min(done, max(0, float64(part)/float64(whole)))
		}
	}
	if p := c.Progress; p != nil {
		least(p.ItemsDone, p.ItemsTotal)
		least(p.BytesDone, p.BytesTotal)
	}
	if c.Items != nil && c.target {
		least(arrived(c.Items), c.Items.Total)
	}
	if c.Volumes != nil {
		least(c.Volumes.Moved, c.Volumes.Total)
	}
	return done, known
}

func arrived(items *v1alpha1.ItemCounts) int64 {
	return items.Created + items.Updated + items.Unchanged
}

// itemsOf returns how many items are done, of how many. In a target that is Completed all are, though the cluster may make some of them itself.
func itemsOf(c cluster) string {
	switch {
	case c.Items != nil && c.target && c.Phase != v1alpha1.MigratePhaseCompleted:
		return fmt.Sprintf("%d/%d", arrived(c.Items), c.Items.Total)
	case c.Items != nil:
		return fmt.Sprintf("%d/%d", c.Items.Total, c.Items.Total)
	case c.Progress != nil && c.Progress.ItemsTotal > 0:
		return fmt.Sprintf("%d/%d", c.Progress.ItemsDone, c.Progress.ItemsTotal)
	}
	return ""
}

// dataOf returns how much of the data of volumes is moved; nothing if there is none.
func dataOf(c cluster) string {
	switch {
	case c.Volumes != nil && c.Volumes.Total > c.Volumes.Moved:
		return fmt.Sprintf("%d/%d volumes", c.Volumes.Moved, c.Volumes.Total)
	case c.Volumes != nil && c.Volumes.Total > 0:
		return size(c.Volumes.Bytes)
	case c.Volumes == nil && c.Progress != nil && c.Progress.BytesTotal > 0:
		return size(c.Progress.BytesDone) + "/" + size(c.Progress.BytesTotal)
	}
	return ""
}

func size(bytes int64) string {
	return strings.ReplaceAll(humanize.IBytes(uint64(max(bytes, 0))), " ", "")
}

func age(now, since time.Time) string { return duration.HumanDuration(now.Sub(since)) }

// times returns how long a migration took, or for how long it has been there.
func times(m *v1alpha1.Migrate, now time.Time) string {
	began := m.CreationTimestamp.Time
	attempt := ""
	if count := len(m.Status.Attempts); count > 0 {
		began = m.Status.Attempts[count-1].StartTime.Time
		attempt = fmt.Sprintf("attempt %d, ", m.Status.Attempts[count-1].Number)
	}
	if finished := apimeta.FindStatusCondition(m.Status.Conditions, v1alpha1.ConditionFinished); finished != nil && migration.IsTerminal(m.Status.Phase) {
		return attempt + "took " + age(finished.LastTransitionTime.Time, began) + ", " + age(now, finished.LastTransitionTime.Time) + " ago"
	}
	text := attempt + "for " + age(now, began)
	if p := m.Status.Progress; p != nil && p.EstimatedCompletionTime != nil && p.EstimatedCompletionTime.After(now) {
		text += ", about " + duration.HumanDuration(p.EstimatedCompletionTime.Sub(now)) + " left"
	}
	return text
}

// headline returns what concerns the whole migration: a problem, or how many targets are done. What its clusters wait for stands with them.
func headline(m *v1alpha1.Migrate) string {
	in := func(kind string, status metav1.ConditionStatus) string {
		if c := apimeta.FindStatusCondition(m.Status.Conditions, kind); c != nil && (status == "" || c.Status == status) {
			return c.Message
		}
		return ""
	}
	stalled := ""
	if !migration.IsTerminal(m.Status.Phase) {
		stalled = in(v1alpha1.ConditionStalled, metav1.ConditionTrue)
	}
	targets := ""
	if all := len(m.Status.TargetClusterStatus); all > 0 {
		done, failed := 0, 0
		for i := range m.Status.TargetClusterStatus {
			switch phase := m.Status.TargetClusterStatus[i].Phase; {
			case phase == v1alpha1.MigratePhaseCompleted:
				done++
			case migration.IsTerminal(phase):
				failed++
			}
		}
		targets = fmt.Sprintf("%d of %d targets are Completed.", done, all)
		if failed > 0 {
			targets = fmt.Sprintf("%d of %d targets are Completed, %d ended otherwise.", done, all, failed)
		}
	}
	return cmp.Or(stalled, in(v1alpha1.ConditionSuspended, metav1.ConditionTrue), in(v1alpha1.ConditionItemsFound, metav1.ConditionFalse),
		targets, in(v1alpha1.ConditionReconciling, metav1.ConditionTrue), in(v1alpha1.ConditionReady, ""))
}
