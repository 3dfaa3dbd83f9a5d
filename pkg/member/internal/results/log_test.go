// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package results

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

func packed(text string) string {
	var out bytes.Buffer
	packer := gzip.NewWriter(&out)
	_, _ = packer.Write([]byte(text))
	_ = packer.Close()
	return out.String()
}

// TestCopyLog copies files that are logs and files that aren't.
func TestCopyLog(t *testing.T) {
	const limit = 100
	for name, tt := range map[string]struct{ file, want, err string }{
		"text":         {packed("time=\"x\" level=info\n\tmsg\n"), "time=\"x\" level=info\n\tmsg\n", ""},
		"JSON":         {packed(`{"level":"info","msg":"x"}` + "\n"), `{"level":"info","msg":"x"}` + "\n", ""},
		"a list":       {packed(`{"v1/Secret":["a/b"]}`), "", migration.ErrNoLog.Error()},
		"empty":        {packed(""), "", ""},
		"control":      {packed("time= level=\x1b[31mred\x07\u009b é\xff\r\n"), "time= level=?[31mred?? é??\n", ""},
		"not packed":   {"time=x", "", migration.ErrNoLog.Error()},
		"other":        {packed("root:x:0:0:root\n"), "", migration.ErrNoLog.Error()},
		"short":        {packed("ti"), "", migration.ErrNoLog.Error()},
		"large":        {packed("time= level=" + strings.Repeat("x", limit)), "time= level=" + strings.Repeat("x", limit-12) + "x", "the log is cut here: it has more than 100 bytes"},
		"as the limit": {packed("time= level=" + strings.Repeat("x", limit-12)), "time= level=" + strings.Repeat("x", limit-12), ""},
		"truncated":    {packed("time= level=" + strings.Repeat("xyz", 20))[:36], "", "unpacking the log failed: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := copyLog(&out, strings.NewReader(tt.file), limit)
			if (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
				t.Errorf("error %v", err)
			}
			if got := out.String(); got != tt.want && name != "truncated" {
				t.Errorf("%q", got)
			}
		})
	}
}
