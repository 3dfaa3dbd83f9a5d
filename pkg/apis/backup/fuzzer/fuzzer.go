// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzzer

import (
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/randfill"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
)

// Funcs returns the fuzzer functions of the group.
var Funcs fuzzer.FuzzerFuncs = func(serializer.CodecFactory) []any {
	return []any{
		// Decoding sets the default, so an object without a value does not round-trip.
		func(s *backup.MigrateSpec, c randfill.Continue) {
			c.FillNoCustom(s)
			if s.ProgressDeadlineSeconds == nil {
				seconds := int32(600)
				s.ProgressDeadlineSeconds = &seconds
			}
		},
	}
}
