// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"bytes"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
)

// DefaultLocation returns the BackupStorageLocation that Velero uses if a Backup names none: the
// one marked as default, otherwise the one named "default". It returns nil if neither exists.
func DefaultLocation(locations []velerov1.BackupStorageLocation) *velerov1.BackupStorageLocation {
	isDefault := func(l velerov1.BackupStorageLocation) bool { return l.Spec.Default }
	isCalledDefault := func(l velerov1.BackupStorageLocation) bool { return l.Name == "default" }
	for _, is := range []func(velerov1.BackupStorageLocation) bool{isDefault, isCalledDefault} {
		if i := slices.IndexFunc(locations, is); i >= 0 {
			return &locations[i]
		}
	}
	return nil
}

// Sameness is the result of CompareStorage.
type Sameness int

const (
	// Unproven means that the two may be the same storage or not.
	Unproven Sameness = iota
	// Same means that each cluster can read what the other one writes.
	Same
	// Different means that neither cluster can read what the other one writes.
	Different
)

// storeKeys are, by provider, the keys of a location's config that identify the object store
// of a bucket. At AWS and GCP the name of a bucket is globally unique; with a custom endpoint
// it is unique at that endpoint.
var storeKeys = map[string][]string{
	"aws":   {"s3Url"},
	"gcp":   {},
	"azure": {"storageAccount", "storageAccountURI"},
}

// CompareStorage reports whether two locations, each of another cluster, are the same storage.
// Bucket and prefix must be equal, and the keys by which the provider identifies the object
// store. An endpoint that may resolve to different places in the two clusters proves nothing,
// unless both locations have the same caCert.
func CompareStorage(a, b *velerov1.BackupStorageLocation) Sameness {
	if a.Spec.ObjectStorage == nil || b.Spec.ObjectStorage == nil {
		return Unproven
	}
	if a.Spec.ObjectStorage.Bucket != b.Spec.ObjectStorage.Bucket || prefix(a) != prefix(b) {
		return Different
	}
	if provider(a) != provider(b) {
		return Unproven
	}
	keys, known := storeKeys[provider(a)]
	if !known {
		keys = allKeys(a.Spec.Config, b.Spec.Config)
	}
	sameCA := len(a.Spec.ObjectStorage.CACert) > 0 && bytes.Equal(a.Spec.ObjectStorage.CACert, b.Spec.ObjectStorage.CACert)
	for _, key := range keys {
		x, y := strings.TrimRight(a.Spec.Config[key], "/"), strings.TrimRight(b.Spec.Config[key], "/")
		if x != y || isClusterRelative(x) && !sameCA {
			return Unproven
		}
	}
	return Same
}

// DescribeLocation returns the name and the storage of l for a message, such as
// "default (aws, bucket velero, prefix team-a, http://s3.example.com)".
func DescribeLocation(l *velerov1.BackupStorageLocation) string {
	if l == nil {
		return "an unknown BackupStorageLocation"
	}
	parts := []string{provider(l)}
	if l.Spec.ObjectStorage != nil {
		parts = append(parts, "bucket "+l.Spec.ObjectStorage.Bucket)
		if p := prefix(l); p != "" {
			parts = append(parts, "prefix "+p)
		}
	}
	for _, key := range storeKeys[provider(l)] {
		if v := l.Spec.Config[key]; v != "" {
			parts = append(parts, v)
		}
	}
	return fmt.Sprintf("%s (%s)", l.Name, strings.Join(parts, ", "))
}

func prefix(l *velerov1.BackupStorageLocation) string {
	return strings.Trim(l.Spec.ObjectStorage.Prefix, "/")
}

func provider(l *velerov1.BackupStorageLocation) string {
	return strings.TrimPrefix(l.Spec.Provider, "velero.io/")
}

func allKeys(configs ...map[string]string) []string {
	var keys []string
	for _, c := range configs {
		for k := range c {
			keys = append(keys, k)
		}
	}
	return keys
}

// isClusterRelative reports whether the host of endpoint may be another one in each cluster: the
// name of a Service or a name without a domain, or a loopback, link-local or private address.
func isClusterRelative(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" {
		return false
	}
	host := strings.TrimSuffix(u.Hostname(), ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()
	}
	return !strings.Contains(host, ".") ||
		strings.HasSuffix(host, ".svc") ||
		strings.HasSuffix(host, ".cluster.local")
}
