// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"fmt"
	"testing"
)

// TestMeter compares estimates with the real size of the decoded objects.
func TestMeter(t *testing.T) {
	for text, want := range map[string]int64{
		``:                                 0,
		`{}`:                               2 + 64,
		`{"a":1}`:                          7 + 64,
		`{"a":1,"b":[1,2]}`:                17 + 4*64 + 2*2048,
		`"{[,"`:                            5,
		`{"a\"{":"\\"}`:                    13 + 64,
		`{"items":[]}`:                     12 + 2*64 + 2048,
		`{"items":[{},{"a":[1,2]}],"b":1}`: 32 + 8*64 + 2*2048,
		`{"a":{"items":[{},{}]}}`:          23 + 6*64,
	} {
		_, size, _ := new(Meter).Add([]byte(text))
		if size != want {
			t.Errorf("%s: %d, want %d", text, size, want)
		}
	}
}

// TestMeterSplitsStreamsIntoEvents reads a stream in pieces of every size.
func TestMeterSplitsStreamsIntoEvents(t *testing.T) {
	const text = `{"a":"}"}` + "\n" + `[1,{"b":"\""}]` + "\n" + `{}`
	for piece := 1; piece <= len(text); piece++ {
		var m Meter
		var ends []int
		at := 0
		for rest := []byte(text); len(rest) > 0; {
			n, _, ended := m.Add(rest[:min(piece, len(rest))])
			rest = rest[n:]
			if at += n; ended {
				ends = append(ends, at)
			}
		}
		if got := fmt.Sprint(ends); got != "[9 24 27]" {
			t.Errorf("in pieces of %d: %s", piece, got)
		}
	}
}
