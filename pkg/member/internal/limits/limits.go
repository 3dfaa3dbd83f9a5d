// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"fmt"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

// Sizes in memory in bytes, as estimated by a Meter, which is about twice the memory of real
// objects. Our Velero objects have 2 to 20 KiB, of which about 2 KiB are kept.
const (
	// MaxObject bounds an object or an event of a watch. etcd stores objects of up to
	// 1.5 MiB; 8 MiB are enough for one of these with 75,000 short names.
	MaxObject = 8 << 20
	// MaxPage bounds a page of a list, with 100 to 500 objects.
	MaxPage = 16 << 20
	// MaxList bounds a list without pages, and a whole discovery: 2,000 PodVolumeBackups, or
	// the resources of hundreds of API groups.
	MaxList = 32 << 20

	// maxReading bounds all answers of a member that are being read, so that a page of each
	// kind can be read at the same time. maxReadingOfAll bounds those of all members, of
	// each what exceeds freeReading.
	maxReading, maxReadingOfAll, freeReading = 4 * MaxPage, 128 << 20, 1 << 20
	// maxKept bounds all kept objects of a member, which are 10,000 or more, and maxKeptOfAll
	// those of all members, of each what exceeds freeKept.
	maxKept, maxKeptOfAll, freeKept = 32 << 20, 128 << 20, 1 << 20

	// eventsPerSecond and eventsAtOnce bound all events of a watch: about a hundred objects
	// per second, and some hundred at once, or a single one of the largest size.
	eventsPerSecond, eventsAtOnce = 1 << 20, MaxObject
)

// Kind is the kind of a limit.
type Kind string

// The kinds of limits, which are the values of the metric's label limit.
const (
	Answer  Kind = "answer"
	Events  Kind = "events"
	Objects Kind = "objects"
	Pages   Kind = "pages"
	Foreign Kind = "foreign"
)

// Error reports that a member exceeded a limit.
type Error struct {
	Kind Kind
	text string
}

// Exceeded returns an Error with a message.
func Exceeded(kind Kind, format string, args ...any) *Error {
	return &Error{kind, fmt.Sprintf(format, args...)}
}

// Error returns the message, which is the same for the same fault.
func (e *Error) Error() string { return e.text }

// Unwrap returns migration.ErrLimitExceeded.
func (e *Error) Unwrap() error { return migration.ErrLimitExceeded }

// Mebibytes formats a size.
func Mebibytes(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }
