// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// NewServerStatusRequest returns a request by which m checks whether the Velero server in
// cluster runs: a running server sets the request's phase to Processed at once.
func NewServerStatusRequest(m *v1alpha1.Migrate, cluster string) *velerov1.ServerStatusRequest {
	return &velerov1.ServerStatusRequest{ObjectMeta: objectMeta(cluster, m)}
}

// NewDownloadRequest returns a request to a Velero server for the URL of a file about the Backup
// or Restore named name. The URL is valid for some minutes.
func NewDownloadRequest(m *v1alpha1.Migrate, kind velerov1.DownloadTargetKind, name string) *velerov1.DownloadRequest {
	request := &velerov1.DownloadRequest{
		ObjectMeta: objectMeta("", m),
		Spec:       velerov1.DownloadRequestSpec{Target: velerov1.DownloadTarget{Kind: kind, Name: name}},
	}
	// The name of the object is not part of it: it may have the maximal length already.
	request.Name = "migrate-" + strings.ToLower(string(kind)) + "-" + string(m.UID)
	return request
}
