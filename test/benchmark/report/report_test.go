// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMarkdown(t *testing.T) {
	var r Report
	r.About = []Fact{{"machine", "2 CPUs"}}
	table := r.Table("API", "ours", "CRD")
	for _, v := range []float64{100, 300, 200} {
		table.Add("create", "1/s", "ours", v)
	}
	table.Add("create", "1/s", "CRD", 400)
	r.Table("API").Add("get", "1/s", "ours", 0.01234)
	r.Table("API").Add("get", "1/s", "ours", 12345)

	var got strings.Builder
	if err := r.Markdown(&got); err != nil {
		t.Fatal(err)
	}
	const want = `- machine: 2 CPUs

## API

|  | unit | ours | CRD | ours / CRD |
| --- | --- | --- | --- | --- |
| create | 1/s | 200 (150–250) | 400 | 0.500 |
| get | 1/s | 6173 (3086–9259) |  |  |
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("Markdown (-want +got)\n%s", diff)
	}

	var encoded strings.Builder
	if err := r.JSON(&encoded); err != nil {
		t.Fatal(err)
	}
	var decoded Report
	if err := json.Unmarshal([]byte(encoded.String()), &decoded); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, decoded); diff != "" {
		t.Errorf("JSON (-want +got)\n%s", diff)
	}
}

func TestKeep(t *testing.T) {
	earlier := Report{About: []Fact{{"date", "yesterday"}}}
	earlier.Table("API", "ours").Add("create", "1/s", "ours", 1)
	earlier.Table("Size", "ours").Add("program", "MiB", "ours", 128)
	now := Report{About: []Fact{{"date", "today"}}}
	now.Table("API", "ours").Add("create", "1/s", "ours", 2)
	now.Keep(&earlier)
	now.Keep(&earlier)
	var got strings.Builder
	if err := now.Markdown(&got); err != nil {
		t.Fatal(err)
	}
	const want = `- date: today

## API

|  | unit | ours |
| --- | --- | --- |
| create | 1/s | 2.00 |

## Size

Of an earlier run:

- date: yesterday

|  | unit | ours |
| --- | --- | --- |
| program | MiB | 128 |
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("Markdown (-want +got)\n%s", diff)
	}
}

func TestQuantile(t *testing.T) {
	if !math.IsNaN(quantile(nil, 0.5)) {
		t.Error("a quantile of nothing")
	}
	for q, want := range map[float64]float64{0: 1, 0.5: 2.5, 1: 4} {
		if got := quantile([]float64{4, 1, 3, 2}, q); got != want {
			t.Errorf("the %v quantile is %v, want %v", q, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 12345: "12345", 123.4: "123", 12.34: "12.3", 0.001234: "0.00123", math.NaN(): "", math.Inf(1): ""} {
		if got := number(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}
