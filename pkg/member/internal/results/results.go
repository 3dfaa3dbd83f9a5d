// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package results

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
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
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"

	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/transport"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

const (
	// downloadTimeout bounds the download of one file.
	downloadTimeout = 5 * time.Second
	// maxDownload and maxRefusal bound what is read of a file, and of an error response, in
	// bytes.
	maxDownload = 4 << 20
	maxRefusal  = 4 << 10
)

// errNoFile reports that the storage does not have a file.
var errNoFile = errors.New("the storage does not have it")

// Read returns the errors and warnings of a Backup or Restore from the storage, at the URL that Velero
// provides for the request, as the velero CLI does. log requests the object's log, which Read
// looks for if there are no results. ca has the CAs of the storage besides the public ones.
func Read(ctx context.Context, c *client.Client, results, log *velerov1.DownloadRequest, ca migration.StorageCA) migration.Results {
	cas, err := certificates(ctx, c, ca)
	if err != nil {
		return migration.Results{Err: err}
	}
	var errs, warnings []string
	err = download(ctx, c, results, cas, func(file io.Reader) (err error) {
		errs, warnings, err = velero.ReadResults(file)
		return err
	})
	if err == nil {
		return migration.Results{Errors: errs, Warnings: warnings}
	}
	found := migration.Results{Err: err}
	if errors.Is(err, errNoFile) {
		err = download(ctx, c, log, cas, func(io.Reader) error { return nil })
		found.LogMissing = errors.Is(err, errNoFile)
	}
	return found
}

// certificates returns the certificates of ca in PEM, from the member's Secret if it selects one.
func certificates(ctx context.Context, c *client.Client, ca migration.StorageCA) ([]byte, error) {
	if ca.Secret == nil {
		return ca.PEM, nil
	}
	ctx = klog.NewContext(ctx, logr.Discard()) // client-go must not log the Secret
	body, err := client.Do(ctx, c, "get secret", func(ctx context.Context, conn *client.Connection) ([]byte, error) {
		return conn.REST.Get().AbsPath("/api/v1/namespaces", conn.Namespace, "secrets", ca.Secret.Name).Do(ctx).Raw()
	})
	if err != nil {
		return nil, fmt.Errorf("the CA of the storage, in Secret %s of caCertRef, can't be read: %w", ca.Secret.Name, err)
	}
	var secret corev1.Secret
	if err := json.Unmarshal(body, &secret); err != nil {
		return nil, fmt.Errorf("the CA of the storage, in Secret %s of caCertRef, is invalid", ca.Secret.Name)
	}
	content, found := secret.Data[ca.Secret.Key]
	if !found {
		return nil, fmt.Errorf("the CA of the storage is not in Secret %s of caCertRef: it has no key %q", ca.Secret.Name, ca.Secret.Key)
	}
	return content, nil
}

// download calls read with a file of the storage.
func download(ctx context.Context, c *client.Client, request *velerov1.DownloadRequest, cas []byte, read func(io.Reader) error) error {
	from, err := downloadURL(ctx, c, request)
	if err != nil {
		return err
	}
	return Fetch(ctx, c.Options().Addresses, from, cas, read)
}

// downloadURL returns the URL that Velero provides for a request. Velero removes the request
// when the URL expires. Whoever has the URL can read the file, so client-go must not log it.
func downloadURL(ctx context.Context, c *client.Client, request *velerov1.DownloadRequest) (string, error) {
	ctx = klog.NewContext(ctx, logr.Discard())
	_, err := client.Do(ctx, c, "create downloadrequest", func(ctx context.Context, conn *client.Connection) (*velerov1.DownloadRequest, error) {
		return conn.DownloadRequests.Create(ctx, client.InNamespace(request, conn.Namespace), metav1.CreateOptions{})
	})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return "", err
	}
	var found string
	err = c.PollAnswer(ctx, func(ctx context.Context) (bool, error) {
		got, err := client.Do(ctx, c, "get downloadrequest", func(ctx context.Context, conn *client.Connection) (*velerov1.DownloadRequest, error) {
			return conn.DownloadRequests.Get(ctx, request.Name, metav1.GetOptions{})
		})
		if err == nil {
			found = got.Status.DownloadURL
		}
		return found != "", err
	})
	if wait.Interrupted(err) {
		return "", fmt.Errorf("Velero gives no URL for it within %s", c.Options().AnswerTimeout)
	}
	return found, err
}

// Fetch calls read with the file at a URL that a member provides. Errors don't repeat the URL,
// by which anybody can read the file.
func Fetch(ctx context.Context, addresses transport.Addresses, from string, cas []byte, read func(io.Reader) error) error {
	ctx, cancel := transport.WithTimeout(ctx, downloadTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return errors.New("the URL that Velero gives is invalid")
	}
	if scheme := request.URL.Scheme; scheme != "https" && scheme != "http" {
		return errors.New("the URL that Velero gives is not one of https or http")
	}
	downloads, err := downloader(addresses, request.URL, cas)
	if err != nil {
		return err
	}
	defer downloads.CloseIdleConnections()
	response, err := downloads.Do(request)
	if err != nil {
		return fmt.Errorf("the storage can't be reached from here: %w", client.Explain(ctx, err))
	}
	defer func() { _ = response.Body.Close() }()
	switch response.StatusCode {
	case http.StatusOK:
		return read(io.LimitReader(response.Body, maxDownload))
	case http.StatusNotFound:
		if text, _ := io.ReadAll(io.LimitReader(response.Body, maxRefusal)); isNoFile(string(text)) {
			return errNoFile
		}
	}
	return fmt.Errorf("the storage answers %s", response.Status)
}

// isNoFile reports whether an error response is that of an object store which does not have
// the file, as opposed to another server. The codes are those of S3, GCS and Azure.
func isNoFile(response string) bool {
	return strings.Contains(response, "NoSuchKey") || strings.Contains(response, "BlobNotFound")
}

// downloader returns an HTTP client for one download. It follows no redirects, because the URL
// is signed for one server.
func downloader(addresses transport.Addresses, from *url.URL, cas []byte) (*http.Client, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if len(cas) > 0 && !roots.AppendCertsFromPEM(cas) {
		return nil, errors.New("caCert or caCertRef of the BackupStorageLocation is not PEM")
	}
	roundTripper, err := addresses.TransportTo(from, net.KeepAliveConfig{})
	if err != nil {
		return nil, err
	}
	roundTripper.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     roundTripper,
	}, nil
}
