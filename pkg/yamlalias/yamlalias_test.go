// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package yamlalias_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	sigsyaml "sigs.k8s.io/yaml"

	"kurator.dev/migrate-apiserver/pkg/yamlalias"
)

func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want error
	}{
		"empty":              {"", nil},
		"a scalar":           {"abc", nil},
		"JSON":               {`{"a": ["b", "c"]}`, nil},
		"an anchor":          {"a: &x 0123456789\nb: x\n", nil},
		"text with stars":    {"a: '*x'\nb: \"&x\" # *x\n", nil},
		"an alias":           {"a: &x 0123456789\nb: *x\n", yamlalias.ErrAlias},
		"an alias as a key":  {"a: &x b\n*x : c\n", yamlalias.ErrAlias},
		"a merge":            {"a: &x {k: 0123456789}\nb: {<<: *x}\n", yamlalias.ErrAlias},
		"an alias of itself": {"a: &x [*x]", yamlalias.ErrAlias},
		"a long string, 1,000 times": {
			"a: &x " + strings.Repeat("x", 100_000) + "\nb: [" + strings.Repeat("*x,", 1_000) + "]\n", yamlalias.ErrAlias,
		},
		"a billion laughs": {laughs(9), yamlalias.ErrAlias},
		"40 levels":        {laughs(40), yamlalias.ErrAlias},
	} {
		t.Run(name, func(t *testing.T) {
			if got := yamlalias.Check([]byte(test.text)); !errors.Is(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestCheckRefusesInvalidYAML(t *testing.T) {
	for _, text := range []string{"{s3cret", "a: *s3cret", "\x00s3cret", strings.Repeat("[", 20_000)} {
		if err := yamlalias.Check([]byte(text)); !errors.Is(err, yamlalias.ErrSyntax) {
			t.Errorf("%.20q: got %v", text, err)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error repeats the input: %v", err)
		}
	}
}

// laughs returns the "billion laughs" attack: a list of ten strings, then a list of ten aliases of
// the list before, depth times.
func laughs(depth int) string {
	text := "- &l0 [" + strings.Repeat("lol,", 10) + "]\n"
	for i := range depth {
		text += fmt.Sprintf("- &l%d [%s]\n", i+1, strings.Repeat(fmt.Sprintf("*l%d,", i), 10))
	}
	return text
}

// FuzzCheck checks that what is accepted stays small when Kubernetes decodes it.
func FuzzCheck(f *testing.F) {
	f.Add([]byte("a: &x [1, 2]\nb: *x\n<<: *x"))
	f.Add([]byte("a: &x [*x]"))
	f.Add([]byte(`{"a": "b"}`))
	f.Add([]byte("[1e20, ~, <, 2001-1-1, !!binary YQ==]\n"))
	f.Add([]byte("{a, b: , 1e20: c}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if yamlalias.Check(text) != nil {
			return
		}
		decoded, err := sigsyaml.YAMLToJSON(text)
		if err == nil && len(decoded) > 10*len(text)+10 {
			t.Errorf("%d bytes become %d: %s", len(text), len(decoded), decoded)
		}
	})
}
