// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package modelvelero

import (
	"encoding/json"
	"fmt"
	"reflect"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
)

// mergePatch returns the JSON merge patch from before to after, as Velero sends it.
func mergePatch(before, after Object) ([]byte, error) {
	original, err := json.Marshal(before)
	if err != nil {
		return nil, err
	}
	modified, err := json.Marshal(after)
	if err != nil {
		return nil, err
	}
	return jsonpatch.CreateMergePatch(original, modified)
}

// merge returns now with the difference between before and after applied.
func merge(now, before, after Object) (Object, error) {
	if now.GetResourceVersion() == before.GetResourceVersion() {
		return after.DeepCopyObject().(Object), nil
	}
	patch, err := mergePatch(before, after)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(now)
	if err != nil {
		return nil, err
	}
	if data, err = jsonpatch.MergePatch(data, patch); err != nil {
		return nil, fmt.Errorf("patch %s: %w", after.GetName(), err)
	}
	merged := reflect.New(reflect.TypeOf(after).Elem()).Interface().(Object)
	return merged, json.Unmarshal(data, merged)
}
