// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package yamlsize_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"kurator.dev/migrate-apiserver/pkg/yamlsize"
)

func TestUnfolded(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want int
	}{
		"empty":              {"", 1},
		"a scalar":           {"abc", 5},
		"JSON":               {`{"a": ["b", "c"]}`, 9},
		"an alias":           {"a: &x 0123456789\nb: *x\n", 28},
		"a merge":            {"a: &x {k: 0123456789}\nb: {<<: *x}\n", 38},
		"an alias of itself": {"a: &x [*x]", yamlsize.Endless},
		"a long string, 1,000 times": {
			"a: &x " + strings.Repeat("x", 100_000) + "\nb: [" + strings.Repeat("*x,", 1_000) + "]\n", 100_101_008,
		},
		"a billion laughs": {laughs(9), 45_679_012_342},
		"without end":      {laughs(40), yamlsize.Endless},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := yamlsize.Unfolded([]byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestWhatIsNotYAML(t *testing.T) {
	for _, text := range []string{"{s3cret", "a: *s3cret", "\x00s3cret", strings.Repeat("[", 20_000)} {
		if _, err := yamlsize.Unfolded([]byte(text)); !errors.Is(err, yamlsize.ErrSyntax) {
			t.Errorf("%.20q: got %v", text, err)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("repeats what it read: %v", err)
		}
	}
}

// laughs is a list of ten times three letters, then one of ten such lists, and so
// on, depth times.
func laughs(depth int) string {
	text := "- &l0 [" + strings.Repeat("lol,", 10) + "]\n"
	for i := range depth {
		text += fmt.Sprintf("- &l%d [%s]\n", i+1, strings.Repeat(fmt.Sprintf("*l%d,", i), 10))
	}
	return text
}

func FuzzUnfolded(f *testing.F) {
	f.Add([]byte("a: &x [1, 2]\nb: *x\n<<: *x"))
	f.Add([]byte("a: &x [*x]"))
	f.Add([]byte(`{"a": "b"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if size, err := yamlsize.Unfolded(text); err == nil && size <= 0 {
			t.Errorf("size %d", size)
		}
	})
}
