// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"errors"
	"testing"
)

func TestDo(t *testing.T) {
	failure := errors.New("failure")
	for name, test := range map[string]struct {
		f    func() error
		want string
	}{
		"success": {func() error { return nil }, ""},
		"error":   {func() error { return failure }, "failure"},
		"panic":   {func() error { panic("broken") }, "internal error (a bug, please report it with the stack in the log of the server): panic: broken"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := Do(t.Context(), test.f); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("Do: %q, want %q", got, test.want)
			}
		})
	}
}
