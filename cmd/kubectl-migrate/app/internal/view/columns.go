// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"strings"

	"github.com/mattn/go-runewidth"
)

// gap is the space between two columns.
const gap = "  "

// cell is a cell of a table. Its color does not count in its width.
type cell struct{ text, color string }

func plain(text string) cell { return cell{text: text} }

// columns returns the lines of rows whose columns are aligned. What does not fit the width is cut: first the longest texts of
// the first column, then the end of the line.
func (s Style) columns(rows [][]cell) (lines []string) {
	widths := widthsOf(rows)
	if over := rowWidth(rows) - s.Width; s.Width > 0 && over > 0 {
		widths[0] = min(widths[0], max(minRoom, widths[0]-over))
	}
	for _, row := range rows {
		lines = append(lines, s.line(row, widths))
	}
	return lines
}

// row returns the line of a single row.
func (s Style) row(cells ...cell) string { return s.columns([][]cell{cells})[0] }

// widthsOf returns the width of each column.
func widthsOf(rows [][]cell) (widths []int) {
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], widthOf(c.text))
		}
	}
	return widths
}

// rowWidth returns the width of the aligned rows.
func rowWidth(rows [][]cell) int {
	widths := widthsOf(rows)
	whole := len(gap) * (len(widths) - 1)
	for _, width := range widths {
		whole += width
	}
	return whole
}

func (s Style) line(row []cell, widths []int) string {
	line, used, spaces := "", 0, 0
	for i, c := range row {
		text := s.cut(c.text, widths[i])
		if text != "" {
			if s.Width > 0 {
				room := s.Width - used - spaces
				if room <= 0 {
					break
				}
				text = s.cut(text, room)
			}
			line += strings.Repeat(" ", spaces) + s.colored(c.color, text)
			used += spaces + widthOf(text)
			spaces = 0
		}
		spaces += widths[i] - widthOf(text) + len(gap)
	}
	return line
}

// widthOf returns the width of a text without colors.
func widthOf(text string) int { return runewidth.StringWidth(text) }
