// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"encoding/json"
)

const (
	// valueSize is the approximate memory of a JSON value in addition to its text, in bytes.
	valueSize = 64
	// itemSize is the approximate memory of an item of a list in addition to its values: even
	// {} is decoded to a complete Backup. In bytes.
	itemSize = 2 << 10
)

// Meter estimates the memory of JSON after decoding, which may be much larger than the text. It
// does not validate the JSON.
type Meter struct {
	depth int
	// inString is set within a string, and escaped after a backslash in it.
	inString, escaped bool
	// inItems is set within an array that is a field of the outermost object, such as the
	// items of a list.
	inItems bool
}

// Add meters text up to the end of the outermost object or array. It returns the number of bytes
// metered, their size in memory, and whether the object or array ended.
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

// Begun reports whether the text is within an object or array.
func (m *Meter) Begun() bool { return m.depth > 0 }

func (m *Meter) valueSize() int64 {
	if m.inItems && m.depth == 2 {
		return valueSize + itemSize
	}
	return valueSize
}

// SizeOf estimates the memory of an object, in bytes.
func SizeOf(object any) (int64, error) {
	text, err := json.Marshal(object)
	if err != nil {
		return 0, err
	}
	_, size, _ := new(Meter).Add(text)
	return size, nil
}
