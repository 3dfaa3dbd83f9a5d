// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// ServerStatusRequest asks the Velero server in a cluster whether it is there,
// for m: a server that runs sets the request's phase to Processed at once.
func ServerStatusRequest(m *v1alpha1.Migrate, cluster string) *velerov1.ServerStatusRequest {
	return &velerov1.ServerStatusRequest{ObjectMeta: objectMeta(cluster, m)}
}

// DownloadRequest asks the Velero server in a cluster for a URL at which a file
// about the object with the given name can be read for the next minutes.
func DownloadRequest(m *v1alpha1.Migrate, kind velerov1.DownloadTargetKind, name string) *velerov1.DownloadRequest {
	request := &velerov1.DownloadRequest{
		ObjectMeta: objectMeta("", m),
		Spec:       velerov1.DownloadRequestSpec{Target: velerov1.DownloadTarget{Kind: kind, Name: name}},
	}
	// The name of an object may have all the length that there is.
	request.Name = "migrate-" + strings.ToLower(string(kind)) + "-" + string(m.UID)
	return request
}
