// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package yamlsize tells how large a YAML document is once its aliases are written
// out, without writing them out.
//
// The YAML library of Kubernetes bounds how many nodes aliases may unfold to, but not
// how long these are: a document of 100 KiB that repeats one long string by aliases
// becomes gigabytes of JSON. So whatever YAML comes from somebody who is not trusted
// is measured here before that library sees it.
//
// It imports nothing of ours.
package yamlsize
