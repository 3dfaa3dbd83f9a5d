// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"encoding/json"
)

const (
	// valueSize is about what a value of JSON takes in memory beside its text.
	valueSize = 64
	// itemSize is about what an item of a list takes beside its values, however short it
	// is written: {} becomes a whole Backup.
	itemSize = 2 << 10
)

// Meter estimates what JSON takes in memory when it is decoded, before it is: a small
// text may decode to very much. It does not check whether it is JSON at all.
type Meter struct {
	depth int
	// inString says that the text is within a string, and escaped that it is behind a
	// backslash there.
	inString, escaped bool
	// inItems says that the text is within an array that is a field of the outermost
	// object, which is where lists have their items.
	inItems bool
}

// Add meters a text up to the end of an outermost object or array, and returns how many
// bytes of it that is, their size in memory and whether it ended there.
func (m *Meter) Add(text []byte) (n int, size int64, ended bool) {
	for i, c := range text {
		size++
		switch {
		case m.escaped:
			m.escaped = false
		case m.inString:
			m.escaped, m.inString = c == '\\', c != '"'
		case c == '"':
			m.inString = true
		case c == ',':
			size += m.valueSize()
		case c == '{', c == '[':
			m.depth++
			m.inItems = m.inItems || m.depth == 2 && c == '['
			size += m.valueSize()
		case c == '}', c == ']':
			m.depth--
			m.inItems = m.inItems && m.depth >= 2
			if m.depth <= 0 {
				m.depth = 0
				return i + 1, size, true
			}
		}
	}
	return len(text), size, false
}

// Begun reports whether an object or array has begun and not ended.
func (m *Meter) Begun() bool { return m.depth > 0 }

func (m *Meter) valueSize() int64 {
	if m.inItems && m.depth == 2 {
		return valueSize + itemSize
	}
	return valueSize
}

// SizeOf estimates what an object takes in memory, in bytes.
func SizeOf(object any) (int64, error) {
	text, err := json.Marshal(object)
	if err != nil {
		return 0, err
	}
	_, size, _ := new(Meter).Add(text)
	return size, nil
}
