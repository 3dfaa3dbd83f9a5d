// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/pkg/member/internal/kubeconfig"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// userAgent is what members see in their audit logs.
const userAgent = "migrate-apiserver"

type (
	backupClient          = gentype.ClientWithList[*velerov1.Backup, *velerov1.BackupList]
	restoreClient         = gentype.ClientWithList[*velerov1.Restore, *velerov1.RestoreList]
	locationClient        = gentype.ClientWithList[*velerov1.BackupStorageLocation, *velerov1.BackupStorageLocationList]
	podVolumeBackupClient = gentype.ClientWithList[*velerov1.PodVolumeBackup, *velerov1.PodVolumeBackupList]
	statusRequestClient   = gentype.Client[*velerov1.ServerStatusRequest]
	downloadRequestClient = gentype.Client[*velerov1.DownloadRequest]
)

// connection is a way into a member's Velero by one kubeconfig.
type connection struct {
	// ctx ends when the connection is closed.
	ctx    context.Context
	cancel context.CancelFunc
	// content identifies the kubeconfig.
	content [sha256.Size]byte
	// namespace is Velero's.
	namespace string
	transport *http.Transport

	backups          *backupClient
	restores         *restoreClient
	locations        *locationClient
	podVolumeBackups *podVolumeBackupClient
	statusRequests   *statusRequestClient
	downloadRequests *downloadRequestClient
	// rest is for the lists of other kinds, which a diagnosis asks for.
	rest *rest.RESTClient
}

// connect makes a connection; nothing is sent before the first call.
func connect(text []byte, namespace string, o Options) (*connection, error) {
	config, err := kubeconfig.ClientConfig(text, kubeconfig.Options{AllowInsecureTLS: o.AllowInsecureTLS})
	if err != nil {
		return nil, err
	}
	transport, err := newTransport(config, o)
	if err != nil {
		return nil, err
	}
	client, err := newRESTClient(config, transport, o)
	if err != nil {
		return nil, err
	}

	c := &connection{content: sha256.Sum256(text), namespace: namespace, transport: transport}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	codec := runtime.NewParameterCodec(veleroScheme())
	c.backups = gentype.NewClientWithList("backups", client, codec, namespace,
		func() *velerov1.Backup { return &velerov1.Backup{} },
		func() *velerov1.BackupList { return &velerov1.BackupList{} })
	c.restores = gentype.NewClientWithList("restores", client, codec, namespace,
		func() *velerov1.Restore { return &velerov1.Restore{} },
		func() *velerov1.RestoreList { return &velerov1.RestoreList{} })
	c.locations = gentype.NewClientWithList("backupstoragelocations", client, codec, namespace,
		func() *velerov1.BackupStorageLocation { return &velerov1.BackupStorageLocation{} },
		func() *velerov1.BackupStorageLocationList { return &velerov1.BackupStorageLocationList{} })
	c.podVolumeBackups = gentype.NewClientWithList("podvolumebackups", client, codec, namespace,
		func() *velerov1.PodVolumeBackup { return &velerov1.PodVolumeBackup{} },
		func() *velerov1.PodVolumeBackupList { return &velerov1.PodVolumeBackupList{} })
	c.statusRequests = gentype.NewClient("serverstatusrequests", client, codec, namespace,
		func() *velerov1.ServerStatusRequest { return &velerov1.ServerStatusRequest{} })
	c.downloadRequests = gentype.NewClient("downloadrequests", client, codec, namespace,
		func() *velerov1.DownloadRequest { return &velerov1.DownloadRequest{} })
	c.rest = client
	return c, nil
}

// isBy says whether the connection is the one by a kubeconfig.
func (c *connection) isBy(kubeconfig []byte) bool { return c.content == sha256.Sum256(kubeconfig) }

// close ends the watches of the connection. A call that is under way may end; its
// socket is closed when it has been idle.
func (c *connection) close() {
	c.cancel()
	c.transport.CloseIdleConnections()
}

func newRESTClient(config *rest.Config, transport *http.Transport, o Options) (*rest.RESTClient, error) {
	config = rest.CopyConfig(config)
	config.UserAgent = userAgent
	config.APIPath = "/apis"
	config.GroupVersion = &velerov1.SchemeGroupVersion
	config.NegotiatedSerializer = onlyJSON{serializer.NewCodecFactory(veleroScheme()).WithoutConversion()}
	config.QPS = -1 // calls are bounded by Options.MaxCalls
	config.WarningHandler = rest.NoWarnings{}

	authenticated, err := rest.HTTPWrappersForConfig(config, &bounded{next: transport, timeout: o.CallTimeout})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", migration.ErrKubeconfigRefused, err)
	}
	client := &http.Client{
		Transport: authenticated,
		// The credentials are for this server only.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return rest.RESTClientForConfigAndClient(config, client)
}

// onlyJSON reads and writes nothing but JSON: a small answer in YAML could unfold to
// anything.
type onlyJSON struct{ runtime.NegotiatedSerializer }

func (s onlyJSON) SupportedMediaTypes() []runtime.SerializerInfo {
	return slices.DeleteFunc(slices.Clone(s.NegotiatedSerializer.SupportedMediaTypes()), func(info runtime.SerializerInfo) bool {
		return info.MediaType != runtime.ContentTypeJSON
	})
}

func veleroScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	// It only fails where two types claim one name, which Velero's do not.
	_ = velerov1.AddToScheme(scheme)
	return scheme
}
