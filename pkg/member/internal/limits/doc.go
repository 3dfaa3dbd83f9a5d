// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package limits bounds the memory that members take of this server: for the answers of calls and
// the events of watches while they are read, and for objects that are kept.
//
// A Meter estimates the size before anything is decoded, because a small text may decode to a large
// object. An Allowance bounds one answer or event. A Quota bounds one member, and its Total all
// members together; a small part of each Quota does not count in the Total, so that no member can
// take it from another.
//
// It is used by the packages of member, and imports nothing of ours but metrics and migration.
package limits
