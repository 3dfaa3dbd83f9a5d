// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package servingcert

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/dynamic"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"kurator.dev/migrate-apiserver/pkg/aggregation"
)

const (
	// interval is the time between two reads of the Secret and the APIService: what somebody changes is repaired after that.
	interval = 5 * time.Second
	// jitter is the share of the interval by which it varies, so that replicas don't write at the same time.
	jitter = 0.2
	// loadInterval is the interval until there is a certificate to serve.
	loadInterval = time.Second
)

// Options are what a Provider provides.
type Options struct {
	// Secret is the Secret with the certificate and its CA. It need not exist; its namespace must.
	Secret types.NamespacedName
	// Service is the Service for which the certificate is issued. Only an APIService that refers to it is changed.
	Service types.NamespacedName
	// Clock is the clock of the validity of certificates.
	Clock clock.PassiveClock
}

// Provider provides the serving certificate to the API server, which calls Run.
type Provider struct {
	secret  types.NamespacedName
	service types.NamespacedName
	clock   clock.PassiveClock
	secrets corev1client.SecretInterface
	host    dynamic.Interface

	mutex            sync.Mutex
	certificate, key []byte
	listeners        []dynamiccertificates.Listener

	// syncing is held while the following are used.
	syncing sync.Mutex
	// published is the CA bundle of the APIService, and publishedSince the time since when it is known to be so.
	published      []byte
	publishedSince time.Time
	// lastError and lastNote are what was logged last, so that it is logged once.
	lastError, lastNote string
}

var (
	_ dynamiccertificates.CertKeyContentProvider = &Provider{}
	_ dynamiccertificates.ControllerRunner       = &Provider{}
)

// New returns a Provider, which has no certificate before Load.
func New(secrets corev1client.SecretsGetter, host dynamic.Interface, o Options) *Provider {
	registerMetrics()
	return &Provider{secret: o.Secret, service: o.Service, clock: o.Clock, secrets: secrets.Secrets(o.Secret.Namespace), host: host}
}

// Name returns a name for logs.
func (p *Provider) Name() string { return "Secret " + p.secret.String() }

// CurrentCertKeyContent returns the certificate and its key, as PEM.
func (p *Provider) CurrentCertKeyContent() (certificate, key []byte) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.certificate, p.key
}

// AddListener adds a listener that is notified when the certificate changes.
func (p *Provider) AddListener(listener dynamiccertificates.Listener) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.listeners = append(p.listeners, listener)
}

// Load returns when there is a certificate to serve. While the host does not answer, or does not allow to read or write the Secret,
// it logs that and tries again. If ctx ends it returns an error with the reason.
func (p *Provider) Load(ctx context.Context) error {
	var last error
	err := wait.PollUntilContextCancel(ctx, loadInterval, true, func(ctx context.Context) (bool, error) {
		last = p.RunOnce(ctx)
		certificate, _ := p.CurrentCertKeyContent()
		return len(certificate) > 0, nil
	})
	if err != nil {
		return fmt.Errorf("no serving certificate: %w", errors.Join(last, err))
	}
	return nil
}

// Run keeps the certificate current until ctx ends.
func (p *Provider) Run(ctx context.Context, _ int) {
	wait.JitterUntilWithContext(ctx, func(ctx context.Context) {
		_ = p.RunOnce(ctx) // it has logged the error
	}, interval, jitter, true)
}

// RunOnce reads the Secret and the APIService, and writes and serves what is due. It logs an error, if it is another one than the
// last time, and returns it.
func (p *Provider) RunOnce(ctx context.Context) error {
	p.syncing.Lock()
	defer p.syncing.Unlock()
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName("serving-certificate"))
	// Another replica may write at the same time.
	err := retry.OnError(retry.DefaultRetry, func(err error) bool {
		return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
	}, func() error { return p.sync(ctx) })
	if ctx.Err() != nil {
		return err
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != p.lastError {
		p.lastError = text
		if err != nil {
			klog.FromContext(ctx).Error(err, "Keeping the serving certificate current failed, trying again", "secret", p.secret)
		} else {
			klog.FromContext(ctx).Info("The serving certificate is current again", "secret", p.secret)
		}
	}
	return err
}

// sync reads the APIService before the Secret, so that an older bundle can't replace a newer one: who has written a newer Secret
// after it was read here changes the APIService after it was read here, too, which is a conflict.
func (p *Provider) sync(ctx context.Context) error {
	registration, registrationErr := p.registration(ctx)
	secret, err := p.secrets.Get(ctx, p.secret.Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return explain(fmt.Errorf("read Secret %s: %w", p.secret, err))
	}
	if err != nil {
		secret = nil
	}
	if registrationErr != nil {
		p.serveUsable(ctx, secret)
		return explain(registrationErr)
	}
	data, err := p.ensure(ctx, secret, p.trusted(registration))
	if err != nil {
		p.serveUsable(ctx, secret)
		return err
	}
	p.serve(ctx, data)
	if registration == nil || bytes.Equal(aggregation.CABundle(registration), data[bundleKey]) {
		return nil
	}
	if err := aggregation.SetCABundle(ctx, p.host, registration, data[bundleKey]); err != nil {
		return explain(err)
	}
	klog.FromContext(ctx).Info("Set the CA of the APIService", "apiService", registration.GetName())
	return nil
}

// registration returns the APIService, or nil if there is none that the CA must be set in.
func (p *Provider) registration(ctx context.Context) (*unstructured.Unstructured, error) {
	registration, err := aggregation.Get(ctx, p.host)
	if err != nil {
		return nil, err
	}
	note := ""
	switch {
	case registration == nil:
		note = "it does not exist yet"
	case aggregation.ServerOf(registration) != aggregation.Service:
		note = "the host serves the group version by CustomResourceDefinitions"
	case aggregation.Backend(registration) != p.service:
		note = fmt.Sprintf("it refers to Service %s, not %s", aggregation.Backend(registration), p.service)
	case aggregation.SkipsVerification(registration):
		note = "it has insecureSkipTLSVerify, so the host does not verify this server: remove that"
	}
	if note != p.lastNote {
		p.lastNote = note
		if note != "" {
			klog.FromContext(ctx).Info("The CA of the APIService is not set for now", "apiService", aggregation.APIServiceName, "reason", note)
		}
	}
	if note != "" {
		return nil, nil
	}
	return registration, nil
}

// trusted returns what the host trusts.
func (p *Provider) trusted(registration *unstructured.Unstructured) trust {
	var bundle []byte
	if registration != nil {
		bundle = aggregation.CABundle(registration)
	}
	if !bytes.Equal(bundle, p.published) || p.publishedSince.IsZero() {
		p.published, p.publishedSince = bundle, p.clock.Now()
	}
	certificates, _ := cert.ParseCertsPEM(bundle) // what can't be parsed is not trusted
	return trust{certificates, p.publishedSince}
}

// ensure returns the data of the Secret, after it has written what is due. A Secret that is nil is created.
func (p *Provider) ensure(ctx context.Context, secret *corev1.Secret, host trust) (map[string][]byte, error) {
	var data map[string][]byte
	if secret != nil {
		data = secret.Data
		if name := secret.Annotations["cert-manager.io/certificate-name"]; name != "" {
			return nil, fmt.Errorf("read Secret %s: Certificate %s of cert-manager writes it: name another Secret, or mount this one and set --tls-cert-file and --tls-private-key-file", p.secret, name)
		}
	}
	due, reason, err := next(data, host, p.service, p.clock.Now())
	if err != nil {
		return nil, fmt.Errorf("read Secret %s: %w", p.secret, err)
	}
	if due == nil {
		return data, nil
	}
	if secret == nil {
		reason = "the Secret does not exist"
	}
	if err := p.write(ctx, secret, due); err != nil {
		return nil, explain(err)
	}
	klog.FromContext(ctx).Info("Wrote the Secret with the serving certificate", "secret", p.secret, "reason", reason)
	return due, nil
}

func (p *Provider) write(ctx context.Context, secret *corev1.Secret, data map[string][]byte) error {
	if secret == nil {
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Name: p.secret.Name, Namespace: p.secret.Namespace,
				Labels: map[string]string{"app.kubernetes.io/name": "migrate-apiserver"},
			},
			Type: corev1.SecretTypeTLS,
			Data: data,
		}
		if _, err := p.secrets.Create(ctx, secret, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("create Secret %s: %w", p.secret, err)
		}
		return nil
	}
	secret = secret.DeepCopy()
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	for _, key := range []string{signerKey, nextKey} {
		delete(secret.Data, key)
	}
	maps.Copy(secret.Data, data)
	if _, err := p.secrets.Update(ctx, secret, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("update Secret %s: %w", p.secret, err)
	}
	return nil
}

// serveUsable serves the certificate of a Secret that can't be written, while it can be used.
func (p *Provider) serveUsable(ctx context.Context, secret *corev1.Secret) {
	if secret == nil {
		return
	}
	if c := parse(secret.Data); c.problem(p.service, p.clock.Now()) == "" {
		p.serve(ctx, secret.Data)
	}
}

// serve serves the certificate in the data of the Secret, if there is one.
func (p *Provider) serve(ctx context.Context, data map[string][]byte) {
	certificate, key := data[certificateKey], data[privateKey]
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return
	}
	p.mutex.Lock()
	changed := !bytes.Equal(p.certificate, certificate) || !bytes.Equal(p.key, key)
	p.certificate, p.key = certificate, key
	listeners := p.listeners
	p.mutex.Unlock()
	if !changed {
		return
	}
	expiration.Set(float64(pair.Leaf.NotAfter.Unix()))
	klog.FromContext(ctx).Info("Serving a new certificate", "secret", p.secret, "issuer", pair.Leaf.Issuer.CommonName, "notAfter", pair.Leaf.NotAfter)
	for _, listener := range listeners {
		listener.Enqueue()
	}
}

// explain adds to an error what to do about it.
func explain(err error) error {
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("%w: apply the RBAC of the manifests", err)
	}
	return err
}
