// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package client

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
	"kurator.dev/migrate-apiserver/pkg/member/internal/transport"
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

// Connection has the typed clients of one Velero, by the content of one kubeconfig.
type Connection struct {
	// ctx ends when the connection is closed.
	ctx    context.Context
	cancel context.CancelFunc
	// content identifies the kubeconfig.
	content   [sha256.Size]byte
	transport *http.Transport

	// server identifies the API server.
	server string

	// Namespace is that of the Velero.
	Namespace string

	Backups          *backupClient
	Restores         *restoreClient
	Locations        *locationClient
	PodVolumeBackups *podVolumeBackupClient
	StatusRequests   *statusRequestClient
	DownloadRequests *downloadRequestClient
	// REST makes the calls about other kinds.
	REST *rest.RESTClient
}

// connect returns a Connection. It makes no calls.
func connect(text []byte, namespace string, o Options) (*Connection, error) {
	config, err := kubeconfig.ClientConfig(text, kubeconfig.Options{AllowInsecureTLS: o.AllowInsecureTLS})
	if err != nil {
		return nil, err
	}
	roundTripper, err := transport.New(config, o.Addresses, o.PingInterval)
	if err != nil {
		return nil, err
	}
	client, err := newRESTClient(config, roundTripper, o)
	if err != nil {
		return nil, err
	}

	c := &Connection{content: sha256.Sum256(text), server: serverOf(config, text), transport: roundTripper, Namespace: namespace}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	codec := runtime.NewParameterCodec(veleroScheme())
	c.Backups = gentype.NewClientWithList("backups", client, codec, namespace,
		func() *velerov1.Backup { return &velerov1.Backup{} },
		func() *velerov1.BackupList { return &velerov1.BackupList{} })
	c.Restores = gentype.NewClientWithList("restores", client, codec, namespace,
		func() *velerov1.Restore { return &velerov1.Restore{} },
		func() *velerov1.RestoreList { return &velerov1.RestoreList{} })
	c.Locations = gentype.NewClientWithList("backupstoragelocations", client, codec, namespace,
		func() *velerov1.BackupStorageLocation { return &velerov1.BackupStorageLocation{} },
		func() *velerov1.BackupStorageLocationList { return &velerov1.BackupStorageLocationList{} })
	c.PodVolumeBackups = gentype.NewClientWithList("podvolumebackups", client, codec, namespace,
		func() *velerov1.PodVolumeBackup { return &velerov1.PodVolumeBackup{} },
		func() *velerov1.PodVolumeBackupList { return &velerov1.PodVolumeBackupList{} })
	c.StatusRequests = gentype.NewClient("serverstatusrequests", client, codec, namespace,
		func() *velerov1.ServerStatusRequest { return &velerov1.ServerStatusRequest{} })
	c.DownloadRequests = gentype.NewClient("downloadrequests", client, codec, namespace,
		func() *velerov1.DownloadRequest { return &velerov1.DownloadRequest{} })
	c.REST = client
	return c, nil
}

// isBy reports whether the Connection was made by a kubeconfig.
func (c *Connection) isBy(kubeconfig []byte) bool { return c.content == sha256.Sum256(kubeconfig) }

// Server identifies the API server: by its address and the CA that proves it, so no other server has
// the same. One server may have several.
func (c *Connection) Server() string { return c.server }

func serverOf(config *rest.Config, kubeconfig []byte) string {
	parts := [][]byte{[]byte(config.Host), []byte(config.ServerName), config.CAData}
	if config.Insecure {
		parts = [][]byte{kubeconfig} // nothing proves which server it is
	}
	hash := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(hash, "%d\n%s", len(part), part)
	}
	return string(hash.Sum(nil))
}

// Context returns a context that ends when the Connection is closed, which ends its watches.
func (c *Connection) Context() context.Context { return c.ctx }

// close ends the watches. A call in progress may finish, and its socket is closed once it has
// been idle.
func (c *Connection) close() {
	c.cancel()
	c.transport.CloseIdleConnections()
}

func newRESTClient(config *rest.Config, roundTripper http.RoundTripper, o Options) (*rest.RESTClient, error) {
	config = rest.CopyConfig(config)
	config.UserAgent = userAgent
	config.APIPath = "/apis"
	config.GroupVersion = &velerov1.SchemeGroupVersion
	config.NegotiatedSerializer = onlyJSON{serializer.NewCodecFactory(veleroScheme()).WithoutConversion()}
	config.QPS = -1 // calls are bounded by Options.MaxCalls
	config.WarningHandler = rest.NoWarnings{}

	authenticated, err := rest.HTTPWrappersForConfig(config, transport.Bound(roundTripper, o.CallTimeout))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", migration.ErrKubeconfigNotAccepted, err)
	}
	client := &http.Client{
		Transport: authenticated,
		// A redirect could send the credentials to another server.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return rest.RESTClientForConfigAndClient(config, client)
}

// onlyJSON reads and writes JSON only: a small answer in YAML could expand to any size.
type onlyJSON struct{ runtime.NegotiatedSerializer }

func (s onlyJSON) SupportedMediaTypes() []runtime.SerializerInfo {
	return slices.DeleteFunc(slices.Clone(s.NegotiatedSerializer.SupportedMediaTypes()), func(info runtime.SerializerInfo) bool {
		return info.MediaType != runtime.ContentTypeJSON
	})
}

func veleroScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	// AddToScheme fails only if two types have the same name, which Velero's don't.
	_ = velerov1.AddToScheme(scheme)
	return scheme
}
