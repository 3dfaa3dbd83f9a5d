// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"fmt"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

// Sizes in memory, in bytes, as a Meter estimates them, which is about twice what real
// objects take. The objects of Velero that are ours have 2 to 20 KiB, and what is kept of
// them about 2 KiB.
const (
	// MaxObject is for an object or an event of a watch: etcd holds objects of up to
	// 1.5 MiB, and 8 MiB are enough for 75,000 short names in one of these.
	MaxObject = 8 << 20
	// MaxPage is for a page of a list, of 100 to 500 objects.
	MaxPage = 16 << 20
	// MaxList is for a list that is not read by pages, and for all that one discovery
	// reads: 2,000 PodVolumeBackups, or the resources of hundreds of API groups.
	MaxList = 32 << 20

	// maxReading is for all answers of a member that are being read at a time, a page
	// of each kind among them: with less, none of them might be read to its limit. And
	// maxReadingOfAll is for those of all members, of each what is above freeReading.
	maxReading, maxReadingOfAll, freeReading = 3 * MaxPage, 128 << 20, 1 << 20
	// maxKept is for all objects of a member that are kept, which are 10,000 or more,
	// and maxKeptOfAll for those of all members, of each what is above freeKept.
	maxKept, maxKeptOfAll, freeKept = 32 << 20, 128 << 20, 1 << 20

	// eventsPerSecond and eventsAtOnce bound all events of one watch: a hundred
	// objects a second, and some hundred at once, or one as large as may be.
	eventsPerSecond, eventsAtOnce = 1 << 20, MaxObject
)

// Kind is which of the limits a member exceeded.
type Kind string

// The kinds of limits, which are the values of a metric's label.
const (
	Answer  Kind = "answer"
	Events  Kind = "events"
	Objects Kind = "objects"
	Pages   Kind = "pages"
	Foreign Kind = "foreign"
)

// Error reports that a member exceeded one of the limits.
type Error struct {
	Kind Kind
	text string
}

// Exceeded returns an Error with a text for a person.
func Exceeded(kind Kind, format string, args ...any) *Error {
	return &Error{kind, fmt.Sprintf(format, args...)}
}

// Error returns the same text for the same fault.
func (e *Error) Error() string { return e.text }

// Unwrap returns migration.ErrLimitExceeded.
func (e *Error) Unwrap() error { return migration.ErrLimitExceeded }

// Mebibytes writes a size for a person.
func Mebibytes(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }
