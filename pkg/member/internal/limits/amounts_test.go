// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestCheckAmounts(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		fine bool
	}{
		"usual":                 {`{"requests":{"cpu":"100m","memory":"1e3","storage":12e6}}`, true},
		"exponent":              {`{"requests":{"cpu":"1e30000000"}}`, false},
		"negative exponent":     {`{"spec":{"limits":{"cpu":"1E-300"}}}`, false},
		"number":                {`[{"hard":{"pods":1e3000}}]`, false},
		"many digits":           {`{"max":{"cpu":"` + strings.Repeat("1", 1000) + `"}}`, false},
		"other case":            {`{"ReQuests":{"cpu":"1e3000"}}`, false},
		"escaped field":         {`{"\u0072equests":{"cpu":"1e3000"}}`, false},
		"escaped digits":        {`{"requests":{"cpu":"1\u0065\u0033000"}}`, false},
		"direct":                {`{"emptyDir":{"sizeLimit":"1e3000"}}`, false},
		"in a list":             {`{"items":[{"status":{"capacity":{"storage":"1e3000"}}}]}`, false},
		"commit in a label":     {`{"labels":{"commit":"7e12345"},"env":[{"name":"x","value":"3e9876543"}]}`, true},
		"commit in annotations": {`{"annotations":{"limits":"7e12345"}}`, true},
		"not JSON":              {`{"requests":{"cpu":1e3000000`, false},
		"no JSON":               {`e1234`, true},
	} {
		if err := CheckAmounts([]byte(tt.text)); (err == nil) != tt.fine {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzCheckAmounts decodes what passes the check. An amount that is too large would let it run into its timeout.
func FuzzCheckAmounts(f *testing.F) {
	f.Add([]byte(`{"spec":{"containers":[{"resources":{"requests":{"cpu":"1e99"}}}],"overhead":{"cpu":"0.000001"},"volumes":[{"emptyDir":{"sizeLimit":"1e30000000"}}]}}`))
	f.Add([]byte(`{"status":{"containerStatuses":[{"allocatedResources":{"cpu":"1e-30000000"}}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if CheckAmounts(text) == nil {
			_ = json.Unmarshal(text, &corev1.Pod{})
		}
	})
}
