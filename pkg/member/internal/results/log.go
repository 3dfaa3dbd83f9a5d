// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package results

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// maxLog bounds the size of a log, unpacked, in bytes.
const maxLog = 128 << 20

// Log writes the log that a request names to a writer, without control characters, until ctx ends. Nothing else
// than a log of Velero is passed on: whoever names its URL could otherwise read what the host reaches.
func Log(ctx context.Context, c *client.Client, request *velerov1.DownloadRequest, ca migration.StorageCA, to io.Writer) error {
	cas, err := certificates(ctx, c, ca)
	if err != nil {
		return err
	}
	from, err := linkTo(ctx, c, request)
	defer from.remove(ctx, c)
	if err != nil {
		return err
	}
	return fetch(ctx, c.Options().Addresses, from.url, cas, func(file io.Reader) error {
		return copyLog(to, file, maxLog)
	})
}

// copyLog writes at most limit bytes of a packed log to a writer. A larger log is an error after them.
func copyLog(to io.Writer, packed io.Reader, limit int64) error {
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		return migration.ErrNoLog
	}
	rest := &io.LimitedReader{R: unpacked, N: limit + 1}
	log := bufio.NewReader(rest)
	if !isLog(log) {
		return migration.ErrNoLog
	}
	out := bufio.NewWriter(to)
	for {
		r, _, err := log.ReadRune()
		switch {
		case errors.Is(err, io.EOF) && rest.N <= 0:
			return errors.Join(out.Flush(), fmt.Errorf("the log is cut here: it has more than %d bytes", limit))
		case errors.Is(err, io.EOF):
			return out.Flush()
		case err != nil:
			return errors.Join(out.Flush(), fmt.Errorf("unpacking the log failed: %w", err))
		}
		if _, err := out.WriteRune(printable(r)); err != nil {
			return err
		}
	}
}

// isLog reports whether a file starts with a line of a log of Velero: as text, or as JSON with
// --log-format=json. An empty log is one too.
func isLog(file *bufio.Reader) bool {
	start, err := file.Peek(file.Size())
	line, _, _ := strings.Cut(string(start), "\n")
	isText := strings.HasPrefix(line, "time=") && strings.Contains(line, " level=")
	isJSON := strings.HasPrefix(line, `{"`) && strings.Contains(line, `"level":"`) && strings.Contains(line, `"msg":"`)
	return len(start) == 0 && errors.Is(err, io.EOF) || isText || isJSON
}

// printable returns a replacement for a control character, which could move a terminal's cursor.
func printable(r rune) rune {
	const firstPrintable, del, lastC1 = ' ', 0x7f, 0x9f
	if r != '\n' && r != '\t' && r < firstPrintable || r >= del && r <= lastC1 || r == utf8.RuneError {
		return '?'
	}
	return r
}
