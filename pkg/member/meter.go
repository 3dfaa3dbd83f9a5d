// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

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

// meter estimates what JSON takes in memory when it is decoded, before it is: a small
// text may decode to very much. It does not check whether it is JSON at all.
type meter struct {
	depth int
	// inString says that the text is within a string, and escaped that it is behind a
	// backslash there.
	inString, escaped bool
	// inItems says that the text is within an array that is a field of the outermost
	// object, which is where lists have their items.
	inItems bool
}

// add meters a text up to the end of an outermost object or array, and returns how many
// bytes of it that is, their size in memory and whether it ended there.
func (m *meter) add(text []byte) (n int, size int64, ended bool) {
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

func (m *meter) valueSize() int64 {
	if m.inItems && m.depth == 2 {
		return valueSize + itemSize
	}
	return valueSize
}

// sizeOf estimates what an object takes in memory.
func sizeOf(object any) (int64, error) {
	text, err := json.Marshal(object)
	if err != nil {
		return 0, err
	}
	_, size, _ := new(meter).add(text)
	return size, nil
}
