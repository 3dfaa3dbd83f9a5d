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

// DefaultLocation is the BackupStorageLocation that Velero uses where none is
// named: the one marked as default, else the one called "default". It is nil
// where there is none.
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

// Sameness says whether two BackupStorageLocations of two clusters are the same
// storage.
type Sameness int

const (
	// Unproven means that the two may or may not lead to the same storage.
	Unproven Sameness = iota
	// Same means that what one cluster writes the other reads.
	Same
	// Different means that what one cluster writes the other can't see.
	Different
)

// storeKeys are, by provider, the keys of a location's config that say which
// object store a bucket is in. With AWS and GCP alone a bucket's name is unique
// in the world; with an endpoint of its own it is unique at that endpoint.
var storeKeys = map[string][]string{
	"aws":   {"s3Url"},
	"gcp":   {},
	"azure": {"storageAccount", "storageAccountURI"},
}

// CompareStorage says whether two locations of two clusters are the same
// storage. The bucket and the prefix must be the same. The store that they are
// in is compared by what the provider identifies it with; an endpoint that is
// named relative to its cluster proves nothing, unless both clusters trust it by
// the same certificate of a CA of its own.
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

// DescribeLocation names the storage behind a location for a person, such as
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

// isClusterRelative says whether an endpoint's host may lead to another place in
// each cluster: the name of a Service or one without a domain, an address of the
// machine itself or of a private network.
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
