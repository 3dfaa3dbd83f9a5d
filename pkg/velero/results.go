// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// maxResults bounds what is read of a results file when it is unpacked.
const maxResults = 16 << 20

// logNotUploaded begins the error that Velero's restore controller adds where the
// storage did not take the Restore's log, and that is about nothing else.
const logNotUploaded = "error uploading log file to backup storage"

// ReadErrors reads the errors of a Backup or Restore from the results file that
// Velero keeps of it in the storage (pkg/util/results, gzipped JSON): those of
// Velero itself first, then those of cluster-scoped resources, then those of each
// namespace, which they name.
func ReadErrors(file io.Reader) ([]string, error) {
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("the results are not gzipped: %w", err)
	}
	var results map[string]struct {
		Velero     []string            `json:"velero"`
		Cluster    []string            `json:"cluster"`
		Namespaces map[string][]string `json:"namespaces"`
	}
	if err := json.NewDecoder(io.LimitReader(unpacked, maxResults)).Decode(&results); err != nil {
		return nil, fmt.Errorf("the results can't be parsed: %w", err)
	}
	found := results["errors"]
	errs := slices.Concat(found.Velero, found.Cluster)
	for _, namespace := range slices.Sorted(maps.Keys(found.Namespaces)) {
		for _, message := range found.Namespaces[namespace] {
			errs = append(errs, "namespace "+namespace+": "+message)
		}
	}
	return errs, nil
}

// IsLogNotUploaded says whether an error of a Restore is only that Velero could
// not upload its log.
func IsLogNotUploaded(message string) bool { return strings.HasPrefix(message, logNotUploaded) }
