// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Style is what an output can show.
type Style struct {
	// Width and Height are those of a terminal in cells. 0 is without bound.
	Width, Height int
	// Color is whether phases are colored, by ANSI escape sequences.
	Color bool
	// ASCII is whether only ASCII can be shown.
	ASCII bool
}

// The colors of ECMA-48.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (s Style) colored(color, text string) string {
	if !s.Color || color == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

func colorOf(phase v1alpha1.MigratePhase) string {
	switch phase {
	case v1alpha1.MigratePhaseCompleted:
		return green
	case v1alpha1.MigratePhasePartiallyFailed, v1alpha1.MigratePhaseCanceled:
		return yellow
	case v1alpha1.MigratePhaseFailed, v1alpha1.MigratePhaseFailedValidation:
		return red
	}
	return ""
}

// symbols are the parts of trees and bars.
type symbols struct {
	branch, lastBranch, line, ellipsis, full, empty string
}

func (s Style) symbols() symbols {
	if s.ASCII {
		return symbols{branch: "|- ", lastBranch: "`- ", line: "|  ", ellipsis: "...", full: "#", empty: "."}
	}
	return symbols{branch: "├─ ", lastBranch: "└─ ", line: "│  ", ellipsis: "…", full: "█", empty: "░"}
}

// Clean returns a text in one line that a terminal shows as it is: whatever is not printable is escaped as in Go.
func (s Style) Clean(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case unicode.IsSpace(r):
			b.WriteByte(' ')
		case r == utf8.RuneError && size == 1:
			b.WriteString(`\x` + strconv.FormatUint(uint64(text[0]), 16))
		case !unicode.IsPrint(r), s.ASCII && r > unicode.MaxASCII:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
		text = text[size:]
	}
	return b.String()
}

// wrap returns a text, cleaned, in lines that fit the width behind the prefix that each of them gets.
func (s Style) wrap(prefix, text string) (lines []string) {
	text = s.Clean(text)
	if s.Width == 0 {
		return []string{prefix + text}
	}
	room := max(minRoom, s.Width-runewidth.StringWidth(prefix))
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && runewidth.StringWidth(line)+1+runewidth.StringWidth(word) > room {
			lines = append(lines, prefix+line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		// A word that is longer than a line is broken.
		for line += word; runewidth.StringWidth(line) > room; {
			head := runewidth.Truncate(line, room, "")
			lines = append(lines, prefix+head)
			line = line[len(head):]
		}
	}
	return append(lines, prefix+line)
}

// minRoom is the least width to which a text is wrapped.
const minRoom = 20

// Wrap returns a text in lines that fit the width.
func (s Style) Wrap(text string) []string { return s.wrap("", text) }

// cut returns a text that fits a width, with an ellipsis where it was cut, if there is room for it.
func (s Style) cut(text string, width int) string {
	ellipsis := s.symbols().ellipsis
	if width < runewidth.StringWidth(ellipsis) {
		ellipsis = ""
	}
	return runewidth.Truncate(text, width, ellipsis)
}

// Escaping returns a writer of text in lines, in which whatever a terminal would not show as it is, is escaped. Close writes
// what is left of it.
func Escaping(to io.Writer) io.WriteCloser { return &escaping{to: to} }

type escaping struct {
	to io.Writer
	// rest is the beginning of a rune whose end was not written yet.
	rest []byte
}

// Write writes all whole runes.
func (e *escaping) Write(p []byte) (int, error) {
	text := append(e.rest, p...)
	whole := len(text)
	for i := 1; i <= min(utf8.UTFMax, len(text)); i++ {
		if utf8.RuneStart(text[len(text)-i]) {
			if !utf8.FullRune(text[len(text)-i:]) {
				whole = len(text) - i
			}
			break
		}
	}
	e.rest = append([]byte(nil), text[whole:]...)
	var b strings.Builder
	for i, line := range strings.Split(string(text[:whole]), "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		for j, part := range strings.Split(line, "\t") {
			if j > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(Style{}.Clean(part))
		}
	}
	_, err := io.WriteString(e.to, b.String())
	return len(p), err
}

// Close writes the beginning of a rune that has no end.
func (e *escaping) Close() error {
	_, err := io.WriteString(e.to, Style{}.Clean(string(e.rest)))
	e.rest = nil
	return err
}
