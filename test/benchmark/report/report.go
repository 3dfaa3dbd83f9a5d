// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Report has the figures of one run.
type Report struct {
	// About says where and of what the figures are: machine, date, versions, command.
	About []Fact `json:"about"`
	// Tables are in the order of their first figure.
	Tables []*Table `json:"tables"`
}

// Fact is a line of a report's head.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Table compares sides in the same rows.
type Table struct {
	Title string `json:"title"`
	// About is that of the earlier run that a table was kept of. Absent: that of the report.
	About []Fact `json:"about,omitempty"`
	// Sides are the columns. The ratios are those of all others to the last one.
	Sides []string `json:"sides"`
	Rows  []*Row   `json:"rows"`
}

// Row is one figure of each side.
type Row struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
	// Samples are the figures of each round, by side.
	Samples map[string][]float64 `json:"samples"`
}

// Table returns the table with a title, which it adds with these sides if it is missing.
func (r *Report) Table(title string, sides ...string) *Table {
	if i := slices.IndexFunc(r.Tables, func(t *Table) bool { return t.Title == title }); i >= 0 {
		return r.Tables[i]
	}
	t := &Table{Title: title, Sides: sides}
	r.Tables = append(r.Tables, t)
	return t
}

// Keep adds the tables of an earlier report that this one does not have.
func (r *Report) Keep(earlier *Report) {
	for _, t := range earlier.Tables {
		if slices.ContainsFunc(r.Tables, func(has *Table) bool { return has.Title == t.Title }) {
			continue
		}
		if t.About == nil {
			t.About = earlier.About
		}
		r.Tables = append(r.Tables, t)
	}
}

// Add adds a figure of a side to the row with a name.
func (t *Table) Add(row, unit, side string, value float64) {
	i := slices.IndexFunc(t.Rows, func(r *Row) bool { return r.Name == row && r.Unit == unit })
	if i < 0 {
		i = len(t.Rows)
		t.Rows = append(t.Rows, &Row{Name: row, Unit: unit, Samples: map[string][]float64{}})
	}
	t.Rows[i].Samples[side] = append(t.Rows[i].Samples[side], value)
}

// Median returns the median of the figures of a side, or NaN without any.
func (r *Row) Median(side string) float64 { return quantile(r.Samples[side], 0.5) }

// quantile returns the q quantile of values, interpolated between the nearest two, or NaN without any.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// JSON writes the report with all samples.
func (r *Report) JSON(to io.Writer) error {
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", " ")
	return encoder.Encode(r)
}

// Markdown writes the report as tables of medians. Where there are several rounds, the quartiles follow in brackets.
func (r *Report) Markdown(to io.Writer) error {
	var b strings.Builder
	for _, f := range r.About {
		fmt.Fprintf(&b, "- %s: %s\n", f.Name, f.Value)
	}
	for _, t := range r.Tables {
		t.markdown(&b)
	}
	_, err := io.WriteString(to, b.String())
	return err
}

func (t *Table) markdown(b *strings.Builder) {
	base := t.Sides[len(t.Sides)-1]
	fmt.Fprintf(b, "\n## %s\n\n", t.Title)
	if t.About != nil {
		b.WriteString("Of an earlier run:\n\n")
		for _, f := range t.About {
			fmt.Fprintf(b, "- %s: %s\n", f.Name, f.Value)
		}
		b.WriteString("\n")
	}
	head := append([]string{"", "unit"}, t.Sides...)
	for _, side := range t.Sides[:len(t.Sides)-1] {
		head = append(head, side+" / "+base)
	}
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat(" --- |", len(head)))
	for _, r := range t.Rows {
		cells := []string{r.Name, r.Unit}
		for _, side := range t.Sides {
			cells = append(cells, r.cell(side))
		}
		for _, side := range t.Sides[:len(t.Sides)-1] {
			cells = append(cells, number(r.Median(side)/r.Median(base)))
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
}

func (r *Row) cell(side string) string {
	samples := r.Samples[side]
	if len(samples) < 2 {
		return number(r.Median(side))
	}
	return fmt.Sprintf("%s (%s–%s)", number(r.Median(side)), number(quantile(samples, 0.25)), number(quantile(samples, 0.75)))
}

// number formats a figure with three digits that count; NaN, a figure that was not measured, is empty.
func number(v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return ""
	case v == 0:
		return "0"
	}
	decimals := max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	return strconv.FormatFloat(v, 'f', decimals, 64)
}
