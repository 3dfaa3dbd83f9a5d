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

// Limits of what a status holds of a member's data: no member can make a status too large to
// be stored. Lengths are in bytes of JSON.
const (
	// maxMessageLength is the limit for the message of a cluster or a condition.
	maxMessageLength = 4096
	// maxReasonLength is the limit for Velero's failure reason and each validation error.
	maxReasonLength = 2048
	// maxValidationErrors is how many of Velero's validation errors are kept.
	maxValidationErrors = 32
	// maxTokenLength is the limit for a name or a phase.
	maxTokenLength = 253
	// maxTotalLength is the limit for the messages of all clusters together, for their exceptions
	// together, and for Velero's failure reasons and validation errors together.
	maxTotalLength = 192 << 10
)

// Shorten returns untrusted text in a form that is safe to show and to store: on one line,
// without control, format and invisible characters, and of at most n bytes of JSON. If it cuts
// the text, it appends "...".
func Shorten(s string, n int) string {
	// The time doesn't depend on the length of s: only a prefix is read, which is longer than n
	// because clean may drop some of it.
	const factor = 2
	start := prefix(s, factor*n)
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

// clean replaces or drops control characters, which could move a terminal's cursor or change its
// colours, and characters that change the direction of text or are invisible. It keeps
// joiners, which some scripts need.
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

// jsonSize returns the size of clean text in JSON, in bytes, without quotes.
func jsonSize(s string) int {
	n := 0
	for _, r := range s {
		n += jsonSizeOf(r)
	}
	return n
}

// jsonSizeOf returns the size of a rune of clean text as encoding/json writes it: it escapes
// HTML's special characters.
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
	s.Phase = velerov1.BackupPhase(Shorten(string(s.Phase), maxTokenLength))
	s.FormatVersion = Shorten(s.FormatVersion, maxTokenLength)
	s.FailureReason = Shorten(s.FailureReason, maxReasonLength)
	s.ValidationErrors = boundedErrors(s.ValidationErrors)
	return s
}

func boundedRestore(status velerov1.RestoreStatus) *velerov1.RestoreStatus {
	s := status.DeepCopy()
	s.Phase = velerov1.RestorePhase(Shorten(string(s.Phase), maxTokenLength))
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

// boundMessages cuts the texts of each cluster so that those of all clusters together stay
// within maxTotalLength.
func boundMessages(status *v1alpha1.MigrateStatus) {
	room := maxTotalLength / (1 + len(status.TargetClusterStatus))
	for _, cs := range ClusterStatuses(status) {
		cs.Message = Shorten(cs.Message, room)
		boundExceptions(cs, room)
	}
	if source := status.SourceClusterStatus; source != nil && source.BackupStatusInCluster != nil {
		s := source.BackupStatusInCluster
		boundVeleroErrors(&s.FailureReason, &s.ValidationErrors, room)
	}
	for _, target := range status.TargetClusterStatus {
		if s := target.RestoreStatusInCluster; s != nil {
			boundVeleroErrors(&s.FailureReason, &s.ValidationErrors, room)
		}
	}
}

// boundExceptions omits exceptions that need more than room bytes.
func boundExceptions(cs *v1alpha1.ClusterStatus, room int) {
	for i, x := range cs.Exceptions {
		if room -= jsonSize(x.Resource) + jsonSize(x.Namespace) + jsonSize(x.Name) + jsonSize(x.Message); room < 0 {
			cs.ExceptionsOmitted += int64(len(cs.Exceptions) - i)
			cs.Exceptions = cs.Exceptions[:i]
			return
		}
	}
}

// boundVeleroErrors cuts reason to room bytes and keeps as many of errs as fit beside it.
func boundVeleroErrors(reason *string, errs *[]string, room int) {
	*reason = Shorten(*reason, room)
	room -= jsonSize(*reason)
	for i, err := range *errs {
		if room -= jsonSize(err); room < 0 {
			*errs = (*errs)[:i]
			return
		}
	}
}
