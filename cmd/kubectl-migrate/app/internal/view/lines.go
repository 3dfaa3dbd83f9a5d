// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"math"
	"strings"
	"time"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Changes are what was printed of a Migrate, so that only what has changed is printed again.
type Changes struct{ printed map[string]shown }

// shown is what a line says.
type shown struct {
	phase, reason string
	// tenths is the progress.
	tenths int
}

// Lines returns a line for the Migrate and for each cluster whose phase, reason, or tenth of the progress is another than that
// in changes, to which they are added.
func (s Style) Lines(changes *Changes, m *v1alpha1.Migrate, now time.Time) (lines []string) {
	add := func(name string, is shown, cells ...string) {
		if changes.printed == nil {
			changes.printed = map[string]shown{}
		}
		if was, ok := changes.printed[name]; ok && was == is {
			return
		}
		changes.printed[name] = is
		said := []string{now.UTC().Format(time.RFC3339)}
		for _, text := range cells {
			if text = s.Clean(text); text != "" {
				said = append(said, text)
			}
		}
		lines = append(lines, strings.Join(said, gap))
	}
	for _, c := range clustersOf(m) {
		done, _ := fraction(c)
		is := shown{string(c.Phase), c.Reason, int(math.Floor(done * 10))}
		add(c.ClusterKind+"/"+c.ClusterName, is, c.ClusterName, string(c.Phase), s.progress(c, 0), itemsOf(c), dataOf(c), because(c))
	}
	add("", shown{phase: string(m.Status.Phase), reason: headline(m)}, m.Namespace+"/"+m.Name, string(m.Status.Phase), headline(m))
	return lines
}
