// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"strings"
	"unicode"
	"unicode/utf8"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// What comes from a member is bounded, so that no member can make a status too
// large to be stored.
const (
	// maxMessageLength is for a part or a condition, in bytes of JSON.
	maxMessageLength = 4096
	// maxReasonLength is for one reason of Velero's, in bytes of JSON.
	maxReasonLength = 2048
	// maxValidationErrors is how many of Velero's validation errors are kept.
	maxValidationErrors = 32
	// maxWordLength is for what is one word, such as a phase, in bytes of JSON.
	maxWordLength = 253
	// maxTextOfParts is for the messages of all parts, and again for what Velero says
	// in all of them, in bytes of JSON.
	maxTextOfParts = 192 << 10
)

// Shorten returns text that may be somebody else's as it can be shown and stored: in one
// line, without what a terminal or a reader could take for something else, and of at most
// n bytes of JSON, which is what it is stored as. A cut is marked.
func Shorten(s string, n int) string {
	// However long it is, no more of it is looked at than may be shown, and some that may
	// have to be left out.
	const looked = 2
	start := prefix(s, looked*n)
	short := clean(start)
	if len(start) == len(s) && jsonSize(short) <= n {
		return short
	}
	const mark = "..."
	s = short
	room := n - len(mark)
	for i, r := range s {
		if room -= jsonSizeOf(r); room < 0 {
			return s[:i] + mark
		}
	}
	return s + mark
}

// prefix returns the whole runes within the first n bytes of s.
func prefix(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// clean replaces what would move a terminal's cursor or change its colours, what turns
// the direction of the text around, and what can't be seen. Joiners are left: some
// scripts can't be written without.
func clean(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return s
	}
	return strings.Map(func(r rune) rune {
		const nonJoiner, joiner = '\u200c', '\u200d'
		switch {
		case r == nonJoiner, r == joiner:
			return r
		case unicode.In(r, unicode.Zl, unicode.Zp), r == '\n', r == '\r', r == '\t':
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		case unicode.In(r, unicode.Cc, unicode.Co):
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// jsonSize is how many bytes clean text takes in JSON, without its quotes.
func jsonSize(s string) int {
	n := 0
	for _, r := range s {
		n += jsonSizeOf(r)
	}
	return n
}

// jsonSizeOf is how encoding/json writes a rune of clean text: it escapes what HTML has a
// meaning for.
func jsonSizeOf(r rune) int {
	switch r {
	case '"', '\\':
		return 2
	case '<', '>', '&':
		return len(`\u003c`)
	}
	return utf8.RuneLen(r)
}

func boundedBackup(status velerov1.BackupStatus) *velerov1.BackupStatus {
	s := status.DeepCopy()
	s.Phase = velerov1.BackupPhase(Shorten(string(s.Phase), maxWordLength))
	s.FormatVersion = Shorten(s.FormatVersion, maxWordLength)
	s.FailureReason = Shorten(s.FailureReason, maxReasonLength)
	s.ValidationErrors = boundedErrors(s.ValidationErrors)
	return s
}

func boundedRestore(status velerov1.RestoreStatus) *velerov1.RestoreStatus {
	s := status.DeepCopy()
	s.Phase = velerov1.RestorePhase(Shorten(string(s.Phase), maxWordLength))
	s.FailureReason = Shorten(s.FailureReason, maxReasonLength)
	s.ValidationErrors = boundedErrors(s.ValidationErrors)
	return s
}

func boundedErrors(errs []string) []string {
	if len(errs) > maxValidationErrors {
		errs = errs[:maxValidationErrors]
	}
	for i := range errs {
		errs[i] = Shorten(errs[i], maxReasonLength)
	}
	return errs
}

// boundParts cuts what is told of each part where there are so many that all of it
// would be too much.
func boundParts(status *v1alpha1.MigrateStatus) {
	room := maxTextOfParts / (1 + len(status.TargetClusterStatus))
	for _, part := range partsOf(status) {
		part.Message = Shorten(part.Message, room)
	}
	if source := status.SourceClusterStatus; source != nil && source.BackupStatusInCluster != nil {
		s := source.BackupStatusInCluster
		boundWords(&s.FailureReason, &s.ValidationErrors, room)
	}
	for _, target := range status.TargetClusterStatus {
		if s := target.RestoreStatusInCluster; s != nil {
			boundWords(&s.FailureReason, &s.ValidationErrors, room)
		}
	}
}

// boundWords keeps as many of Velero's errors as there is room for beside its reason.
func boundWords(reason *string, errs *[]string, room int) {
	*reason = Shorten(*reason, room)
	room -= jsonSize(*reason)
	for i, err := range *errs {
		if room -= jsonSize(err); room < 0 {
			*errs = (*errs)[:i]
			return
		}
	}
}
