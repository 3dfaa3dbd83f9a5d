// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-logr/logr"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"

	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

const (
	// downloadTimeout bounds the reading of one file of the storage.
	downloadTimeout = 5 * time.Second
	// maxDownload is how much is read of one, and maxRefusal of what is answered instead.
	maxDownload = 4 << 20
	maxRefusal  = 4 << 10
)

// errNoFile says that the storage does not have a file.
var errNoFile = errors.New("the storage does not have it")

// Results reads the errors of a Backup or Restore from the storage, at the URL that
// Velero gives for the request. log is the same request for the object's log, which
// is looked for where there are no results. cas are the certificates of the CAs by
// which the storage is known, beside the usual ones; may be empty.
func (m *Member) Results(ctx context.Context, results, log *velerov1.DownloadRequest, cas []byte) migration.Results {
	var errs []string
	err := m.download(ctx, results, cas, func(file io.Reader) (err error) {
		errs, err = velero.ReadErrors(file)
		return err
	})
	if err == nil {
		return migration.Results{Errors: errs}
	}
	found := migration.Results{Err: err}
	if errors.Is(err, errNoFile) {
		err = m.download(ctx, log, cas, func(io.Reader) error { return nil })
		found.LogMissing = errors.Is(err, errNoFile)
	}
	return found
}

// download hands a file of the storage to read.
func (m *Member) download(ctx context.Context, request *velerov1.DownloadRequest, cas []byte, read func(io.Reader) error) error {
	from, err := m.downloadURL(ctx, request)
	if err != nil {
		return err
	}
	return m.options.addresses().fetch(ctx, from, cas, read)
}

// downloadURL has Velero make a URL. Velero removes the request when that expires. The
// URL is a way in for whoever has it, so client-go does not log the answers.
func (m *Member) downloadURL(ctx context.Context, request *velerov1.DownloadRequest) (string, error) {
	ctx = klog.NewContext(ctx, logr.Discard())
	_, err := do(ctx, m, "create downloadrequest", func(ctx context.Context, c *connection) (*velerov1.DownloadRequest, error) {
		return c.downloadRequests.Create(ctx, inNamespace(request, c.namespace), metav1.CreateOptions{})
	})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return "", err
	}
	var found string
	err = m.pollAnswer(ctx, func(ctx context.Context) (bool, error) {
		got, err := do(ctx, m, "get downloadrequest", func(ctx context.Context, c *connection) (*velerov1.DownloadRequest, error) {
			return c.downloadRequests.Get(ctx, request.Name, metav1.GetOptions{})
		})
		if err == nil {
			found = got.Status.DownloadURL
		}
		return found != "", err
	})
	if wait.Interrupted(err) {
		return "", fmt.Errorf("Velero gives no URL for it within %s", m.options.AnswerTimeout)
	}
	return found, err
}

// fetch reads what is at a URL that a member names. Errors don't repeat the URL: it
// is a way in for whoever has it.
func (a addresses) fetch(ctx context.Context, from string, cas []byte, read func(io.Reader) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, downloadTimeout, noAnswerError{downloadTimeout})
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return errors.New("the URL that Velero gives is invalid")
	}
	if scheme := request.URL.Scheme; scheme != "https" && scheme != "http" {
		return errors.New("the URL that Velero gives is not one of https or http")
	}
	client, err := a.downloader(request.URL, cas)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		var at *url.Error
		if errors.As(err, &at) {
			err = at.Err
		}
		return fmt.Errorf("the storage can't be reached from here: %w", explain(ctx, err))
	}
	defer func() { _ = response.Body.Close() }()
	switch response.StatusCode {
	case http.StatusOK:
		return read(io.LimitReader(response.Body, maxDownload))
	case http.StatusNotFound:
		if says, _ := io.ReadAll(io.LimitReader(response.Body, maxRefusal)); isNoFile(string(says)) {
			return errNoFile
		}
	}
	return fmt.Errorf("the storage answers %s", response.Status)
}

// isNoFile says whether an object store says that it does not have a file: something
// else that answers there would be none to believe. The codes are those of S3 and GCS,
// and of Azure.
func isNoFile(says string) bool {
	return strings.Contains(says, "NoSuchKey") || strings.Contains(says, "BlobNotFound")
}

// downloader is a client for one download, which follows no redirects: the URL is
// signed for one place.
func (a addresses) downloader(from *url.URL, cas []byte) (*http.Client, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if len(cas) > 0 && !roots.AppendCertsFromPEM(cas) {
		return nil, errors.New("caCert of the BackupStorageLocation is not PEM")
	}
	transport, err := a.transportTo(from, &net.Dialer{Timeout: dialTimeout})
	if err != nil {
		return nil, err
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	transport.DisableCompression = true
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     transport,
	}, nil
}
