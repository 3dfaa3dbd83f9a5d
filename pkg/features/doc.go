// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package features has the version and the feature gates of this server, which replicas of different versions need during an upgrade:
// an older replica drops the fields that it does not know when it writes an object. So what stores a new field is behind a gate, and
// a newer replica that emulates the older version (--emulated-version=migrate=X.Y) leaves it alone until all are new.
//
// It imports nothing of ours.
package features
