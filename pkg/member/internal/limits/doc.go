// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package limits bounds what members may take of the memory of this server: the answers of
// a call and the events of a watch while they are read, and the objects that are kept.
//
// Sizes are estimated by a Meter before anything is decoded, because a small text may decode
// to very much. An Allowance bounds one answer or event. A Quota bounds what one member may
// take, and its Total what all members may take together; what a member has up to a small
// size is not counted in the Total, so that no member can take it from another.
//
// It is used by the packages of member, and imports nothing of ours but migration.
package limits
