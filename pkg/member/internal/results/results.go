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
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/member/internal/transport"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

const (
	// headerTimeout bounds the time until a download begins, and downloadTimeout the whole
	// download of one file.
	headerTimeout, downloadTimeout = 5 * time.Second, 25 * time.Second
	// maxDownload and maxRefusal bound what is read of a file, and of an error response, in
	// bytes.
	maxDownload = 64 << 20
	maxRefusal  = 4 << 10
	// suffixLength is the number of random characters in the name of a DownloadRequest.
	suffixLength = 8
)

// Read returns what a request names: files from the storage, at the URLs that Velero provides, as the
// velero CLI reads them, and what belongs to them in the member. to receives each item and volume; an error
// of it ends reading, and is in ListsErr.
func Read(ctx context.Context, c *client.Client, request migration.ResultsRequest, to velero.Visitor) migration.Results {
	var found migration.Results
	cas, err := certificates(ctx, c, request.CA)
	if err != nil {
		found.Err, found.ListsErr = err, err
		return found
	}
	memory := limits.AllowanceOf(c.Allow(ctx, "a list of items", limits.MaxList))
	defer memory.Release()
	r := &reader{Client: c, request: request, to: to, cas: cas, use: memory.Use, links: map[*velerov1.DownloadRequest]func() (link, error){}}
	r.announce(ctx, request.Results, request.BackedUp, request.Restored)
	defer r.removeLinks(ctx)

	var results velero.Results
	if request.Results != nil {
		results, found.Err = r.readResults(ctx)
		found.Errors, found.Warnings = results.Errors, results.Warnings
		if errors.Is(found.Err, migration.ErrNotInStorage) {
			found.LogMissing = errors.Is(r.download(ctx, request.Log, func(io.Reader) error { return nil }), migration.ErrNotInStorage)
		}
	}
	switch {
	case request.BackedUp == nil:
	case found.Err != nil:
		found.ListsErr = found.Err
	case request.Restored != nil:
		found.Lists, found.EarlierErrors, found.ListsErr = r.readRestored(ctx, &results)
	default:
		found.Lists, found.ListsErr = r.readBackedUp(ctx)
	}
	return found
}

// reader reads the files of one request.
type reader struct {
	*client.Client
	request migration.ResultsRequest
	to      velero.Visitor
	cas     []byte
	use     velero.Use
	// links has the links to files that were announced.
	links map[*velerov1.DownloadRequest]func() (link, error)
}

// announce requests the links to files at once, because Velero needs a moment for each. A request may be nil.
func (r *reader) announce(ctx context.Context, requests ...*velerov1.DownloadRequest) {
	for _, request := range requests {
		if request == nil {
			continue
		}
		get := sync.OnceValues(func() (link, error) { return linkTo(ctx, r.Client, request) })
		r.links[request] = get
		go func() { _, _ = get() }()
	}
}

// removeLinks removes all links, after waiting for them.
func (r *reader) removeLinks(ctx context.Context) {
	var calls sync.WaitGroup
	for _, get := range r.links {
		calls.Go(func() {
			link, _ := get()
			link.remove(ctx, r.Client)
		})
	}
	calls.Wait()
}

// download calls read with a file of the storage.
func (r *reader) download(ctx context.Context, request *velerov1.DownloadRequest, read func(io.Reader) error) error {
	if _, ok := r.links[request]; !ok {
		r.announce(ctx, request)
	}
	from, err := r.links[request]()
	if err != nil {
		return err
	}
	if r.to.Item != nil { // it may be sent to somebody who reads slowly
		return fetch(ctx, r.Options().Addresses, from.url, r.cas, read)
	}
	return Fetch(ctx, r.Options().Addresses, from.url, r.cas, read)
}

func (r *reader) readResults(ctx context.Context) (results velero.Results, err error) {
	err = r.download(ctx, r.request.Results, func(file io.Reader) (err error) {
		results, err = velero.ReadResults(file, r.use)
		return err
	})
	return results, err
}

// readBackedUp reads the lists of a Backup.
func (r *reader) readBackedUp(ctx context.Context) (*migration.Lists, error) {
	var content velero.BackedUp
	if err := r.download(ctx, r.request.BackedUp, func(file io.Reader) (err error) {
		content, err = velero.ReadBackedUp(file, r.to)
		return err
	}); err != nil {
		return nil, err
	}
	lists := &migration.Lists{Items: v1alpha1.ItemCounts{Total: content.Items}, Kinds: content.Kinds, Contents: content.Contents()}
	volumes, err := r.readVolumes(ctx, content)
	if err != nil {
		return nil, err
	}
	bound := r.boundClaims(ctx, velero.WithoutInfo(content.Claims, volumes))
	lists.Volumes, lists.Exceptions, err = velero.CountVolumes(volumes, bound, nil, func(v velero.Volume) (bool, string) { return v.Taken, "" }, r.to)
	return lists, err
}

// readRestored reads the lists of a Restore and of its Backup. It also returns the errors of earlier Restores that last.
func (r *reader) readRestored(ctx context.Context, results *velero.Results) (*migration.Lists, []string, error) {
	var restored *velero.Restored
	if err := r.download(ctx, r.request.Restored, func(file io.Reader) (err error) {
		restored, err = velero.ReadRestored(file, r.use)
		return err
	}); err != nil {
		return nil, nil, err
	}
	restored.WithoutPods = r.request.WithoutPods
	// What is there by earlier attempts must be known before the items are counted.
	earlier, err := r.readEarlier(ctx, restored)
	if err != nil {
		return nil, nil, err
	}
	var found velero.Outcomes
	mapping := r.request.NamespaceMapping
	if err := r.download(ctx, r.request.BackedUp, func(file io.Reader) (err error) {
		found, err = velero.ReadOutcomes(file, restored, results, mapping, r.request.Status, r.to)
		return err
	}); err != nil {
		return nil, nil, err
	}
	lists := &migration.Lists{Items: found.Counts, Exceptions: found.Exceptions}
	volumes, err := r.readVolumes(ctx, found.BackedUp)
	if err != nil {
		return nil, nil, err
	}
	if r.request.BackedUpVolumes == nil {
		return lists, restored.LastingErrors(), nil
	}
	hasArrived, err := r.arrival(ctx, volumes, earlier)
	if err != nil {
		return nil, nil, err
	}
	bound := velero.WithoutInfo(found.Claims, volumes)
	if known := r.request.WithoutInfo; known != nil {
		bound = slices.DeleteFunc(bound, func(c velero.Claim) bool { return !slices.Contains(*known, c) })
	}
	counts, exceptions, err := velero.CountVolumes(volumes, bound, mapping, hasArrived, r.to)
	lists.Volumes = counts
	lists.Exceptions.Join(exceptions)
	return lists, restored.LastingErrors(), err
}

// arrival returns a function that reports whether the data of a volume has arrived; if it has not, why, if that is known.
func (r *reader) arrival(ctx context.Context, volumes []velero.Volume, earlier earlier) (func(velero.Volume) (bool, string), error) {
	arrived, err := r.arrivedVolumes(ctx, volumes, migration.RestoreFiles{Restore: r.request.Restore, Volumes: r.request.RestoredVolumes}, true)
	if err == nil {
		err = r.readArrived(ctx, earlier, volumes)
	}
	mapping := r.request.NamespaceMapping
	return func(v velero.Volume) (bool, string) {
		is, why := arrived.Has(v, mapping)
		// What was begun, and has failed, may have changed the data.
		return is || !arrived.HasBegun(v, mapping) && earlier.has(v, mapping), why
	}, err
}

// readVolumes reads the volume info of a Backup, which is empty if the Backup has neither pods nor
// claims.
func (r *reader) readVolumes(ctx context.Context, content velero.BackedUp) (volumes []velero.Volume, err error) {
	if r.request.BackedUpVolumes == nil || !content.HasVolumes() {
		return nil, nil
	}
	err = r.download(ctx, r.request.BackedUpVolumes, func(file io.Reader) (err error) {
		volumes, err = velero.ReadVolumes(file)
		return err
	})
	return volumes, err
}

// certificates returns the certificates of ca in PEM, from the member's Secret if it selects one.
func certificates(ctx context.Context, c *client.Client, ca migration.StorageCA) ([]byte, error) {
	if ca.Secret == nil {
		return ca.PEM, nil
	}
	ctx = klog.NewContext(ctx, logr.Discard()) // client-go must not log the Secret
	secrets := client.Collection{Resource: corev1.SchemeGroupVersion.WithResource("secrets"), InVelero: true}
	body, err := client.Get(ctx, c, secrets, ca.Secret.Name)
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

// link has the URL of a file, and the name of the DownloadRequest by which Velero provides it; empty
// without one.
type link struct{ url, request string }

// linkTo returns the link that Velero provides for a request, of which it creates a new one: the URL
// of an earlier one may have expired. Whoever has the URL can read the file, so client-go must not
// log it. With an error the link has what is to be removed.
func linkTo(ctx context.Context, c *client.Client, request *velerov1.DownloadRequest) (found link, err error) {
	ctx = klog.NewContext(ctx, logr.Discard())
	request = request.DeepCopy()
	request.Name += "-" + rand.String(suffixLength)
	_, err = client.Do(ctx, c, "create downloadrequest", func(ctx context.Context, conn *client.Connection) (*velerov1.DownloadRequest, error) {
		return conn.DownloadRequests.Create(ctx, client.InNamespace(request, conn.Namespace), metav1.CreateOptions{})
	})
	if err != nil {
		return found, err
	}
	found.request = request.Name
	err = c.PollAnswer(ctx, c.Options().LinkTimeout, func(ctx context.Context) (bool, error) {
		got, err := client.Do(ctx, c, "get downloadrequest", func(ctx context.Context, conn *client.Connection) (*velerov1.DownloadRequest, error) {
			return conn.DownloadRequests.Get(ctx, request.Name, metav1.GetOptions{})
		})
		if err == nil {
			found.url = got.Status.DownloadURL
		}
		return found.url != "", err
	})
	if wait.Interrupted(err) {
		err = fmt.Errorf("Velero gives no URL for it within %s", c.Options().LinkTimeout)
	}
	return found, err
}

// remove deletes the DownloadRequest of a link. If that fails, Velero does so when the URL expires.
func (l link) remove(ctx context.Context, c *client.Client) {
	if l.request == "" {
		return
	}
	_, _ = client.Do(context.WithoutCancel(ctx), c, "delete downloadrequest", func(ctx context.Context, conn *client.Connection) (struct{}, error) {
		return struct{}{}, conn.DownloadRequests.Delete(ctx, l.request, metav1.DeleteOptions{})
	})
}

// Fetch calls read with the file at a URL that a member provides. Errors don't repeat the URL,
// by which anybody can read the file.
func Fetch(ctx context.Context, addresses transport.Addresses, from string, cas []byte, read func(io.Reader) error) error {
	ctx, cancel := transport.WithTimeout(ctx, downloadTimeout)
	defer cancel()
	return fetch(ctx, addresses, from, cas, read)
}

// fetch is Fetch without a limit of time.
func fetch(ctx context.Context, addresses transport.Addresses, from string, cas []byte, read func(io.Reader) error) error {
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
			return migration.ErrNotInStorage
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
	roundTripper.ResponseHeaderTimeout = headerTimeout
	roundTripper.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     roundTripper,
	}, nil
}
