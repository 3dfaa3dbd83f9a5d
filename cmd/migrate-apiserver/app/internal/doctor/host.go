// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"

	"kurator.dev/migrate-apiserver/pkg/aggregation"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/servingcert"
)

const (
	// oldestHost is the oldest Kubernetes that is tested as a host.
	oldestHost = "1.30.0"
	// expiresSoon is how long before its expiration a certificate is warned of, or a tenth of its lifetime if that is less.
	expiresSoon = 30 * 24 * time.Hour
)

// checkHost returns an error if the host does not answer.
func (d *Doctor) checkHost(ctx context.Context) error {
	found, err := d.discovery.ServerVersion()
	if err != nil {
		return fmt.Errorf("the host does not answer: %w", err)
	}
	parsed, err := version.ParseGeneric(found.GitVersion)
	switch {
	case err != nil:
		d.add("Host", found.GitVersion, Warning, "the version is not one of Kubernetes")
	case parsed.LessThan(version.MustParseGeneric(oldestHost)):
		d.add("Host", found.GitVersion, Warning, "Kubernetes before %s is not tested", oldestHost)
	default:
		d.add("Host", found.GitVersion, OK, "it answers")
	}
	return ctx.Err()
}

// checkAPIService reports whether the server answers through the host. It returns the APIService, nil if it could not be read.
func (d *Doctor) checkAPIService(ctx context.Context) (*unstructured.Unstructured, answer) {
	const check = "APIService"
	name := aggregation.APIServiceName
	service, err := d.dynamic.Resource(aggregation.APIServices).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		d.add(check, name, Failed, "it does not exist, so no request reaches the server: apply the manifests")
		return nil, no
	case err != nil:
		d.add(check, name, Skipped, "it can't be read: %v", err)
		return nil, unknown
	}
	if aggregation.ServerOf(service) == aggregation.Definitions {
		d.add(check, name, Failed, "CustomResourceDefinitions of Kurator serve the group version, so no request reaches the server: import their objects, "+
			"and apply the manifests with --server-side --force-conflicts")
		return service, no
	}
	if value, ok := service.GetLabels()["kube-aggregator.kubernetes.io/automanaged"]; ok && (value == "true" || value == "onstart") {
		d.add(check, name, Failed, "its label kube-aggregator.kubernetes.io/automanaged is %q, so the host replaces it by its own: set it to \"false\", as the manifests have it", value)
	}
	conditions, _, _ := unstructured.NestedSlice(service.Object, "status", "conditions")
	for _, item := range conditions {
		condition, _ := item.(map[string]any)
		if condition["type"] != "Available" {
			continue
		}
		if condition["status"] == "True" {
			d.add(check, name, OK, "it is available")
			return service, yes
		}
		d.add(check, name, Failed, "it is not available (%v): %v; see the pods of namespace %s", condition["reason"], condition["message"], d.options.Namespace)
		return service, no
	}
	d.add(check, name, Failed, "the host has not checked it: is its aggregation layer configured (--requestheader-client-ca-file, --proxy-client-cert-file)?")
	return service, no
}

// checkCertificate checks the serving certificate in its Secret against the CA in the APIService. What is wrong is a warning if the
// server answers through the host: then it has another certificate.
func (d *Doctor) checkCertificate(ctx context.Context, service *unstructured.Unstructured, served answer) {
	const check = "Certificate"
	worst, object := Failed, d.options.Namespace+"/"+d.options.Secret
	if served == yes {
		worst = Warning
	}
	secret, err := d.kube.CoreV1().Secrets(d.options.Namespace).Get(ctx, d.options.Secret, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		d.add(check, object, worst, "the Secret with the serving certificate does not exist: the server makes it with --serving-certificate-secret, so see the log of its pods; or name another one by --secret")
		return
	case err != nil:
		d.add(check, object, Skipped, "the Secret can't be read: %v", err)
		return
	}
	own := servingcert.Issues(secret.Data)
	remedy := "issue it again, or have the server do that with --serving-certificate-secret"
	if own {
		remedy = "the server issues it again by itself, so see the log of its pods"
	}
	if issuer := secret.Annotations["cert-manager.io/issuer-name"]; issuer != "" {
		remedy = "see the Certificate and the issuer " + issuer + " of cert-manager"
	}
	pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
	if err != nil {
		d.add(check, object, worst, "tls.crt and tls.key are no certificate with its key: %s", remedy) // err may have content
		return
	}
	chain, err := d.verify(service, pair.Leaf, secret.Data["tls.crt"])
	if err == nil && own && service != nil && aggregation.Backend(service).Name != "" && len(aggregation.CABundle(service)) == 0 && !aggregation.SkipsVerification(service) {
		err = errors.New("spec.caBundle of the APIService is empty, so the host does not accept the server")
	}
	for _, c := range chain {
		d.checkLifetime(check, object, c, remedy)
	}
	if err != nil {
		d.add(check, object, worst, "%v: %s", err, remedy)
	}
}

// verify returns the certificates by which the host accepts a serving certificate, or that alone and why it does not.
func (d *Doctor) verify(service *unstructured.Unstructured, leaf *x509.Certificate, content []byte) ([]*x509.Certificate, error) {
	alone := []*x509.Certificate{leaf}
	if service == nil || aggregation.Backend(service).Name == "" {
		return alone, nil // the check of the APIService has reported it
	}
	bundle := aggregation.CABundle(service)
	if len(bundle) == 0 {
		return alone, nil // the host trusts a public CA, or everybody
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return alone, errors.New("spec.caBundle of the APIService has no certificate, so the host does not accept the server")
	}
	backend := aggregation.Backend(service)
	host := backend.Name + "." + backend.Namespace + ".svc"
	intermediates := x509.NewCertPool()
	intermediates.AppendCertsFromPEM(content)
	at := d.now()
	if at.After(leaf.NotAfter) || at.Before(leaf.NotBefore) {
		at = leaf.NotBefore // that is reported by itself
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, DNSName: host, CurrentTime: at})
	if err != nil {
		return alone, fmt.Errorf("the host does not accept it for %s by the CA in spec.caBundle of the APIService: %w", host, err)
	}
	return chains[0], nil
}

func (d *Doctor) checkLifetime(check, object string, c *x509.Certificate, remedy string) {
	soon := min(expiresSoon, c.NotAfter.Sub(c.NotBefore)/10)
	what := "certificate " + cmp.Or(c.Subject.CommonName, strings.Join(c.DNSNames, ", "))
	switch left := c.NotAfter.Sub(d.now()); {
	case left < 0:
		d.add(check, object, Failed, "%s expired at %s: %s", what, c.NotAfter.Format(time.RFC3339), remedy)
	case d.now().Before(c.NotBefore):
		d.add(check, object, Failed, "%s is not valid before %s: compare the clocks", what, c.NotBefore.Format(time.RFC3339))
	case left < soon:
		d.add(check, object, Warning, "%s expires at %s: %s", what, c.NotAfter.Format(time.RFC3339), remedy)
	default:
		d.add(check, object, OK, "%s is valid until %s", what, c.NotAfter.Format(time.RFC3339))
	}
}

// checkDiscovery checks that the host lists our resources, and those of Kurator where Kurator is.
func (d *Doctor) checkDiscovery(ctx context.Context) {
	const check = "Discovery"
	groupVersion := v1alpha1.SchemeGroupVersion.String()
	list, err := d.discovery.ServerResourcesForGroupVersion(groupVersion)
	if err != nil {
		d.add(check, groupVersion, Failed, "the host does not list it: %v", err)
		return
	}
	serves := func(resource string) bool {
		return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == resource })
	}
	if !serves("migratepreviews") {
		d.add(check, groupVersion, Failed, "it has no migratepreviews: another or an older server serves it")
		return
	}
	definitions := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	_, err = d.dynamic.Resource(definitions).Get(ctx, "backups."+v1alpha1.GroupName, metav1.GetOptions{})
	switch {
	case err == nil && !serves("backups"):
		d.add(check, groupVersion, Failed, "Kurator's CustomResourceDefinitions are on the host, and their kinds are not served, so Kurator's fleet-manager ends: start the server with --kurator-compatibility")
	case err == nil && d.storesNothing(ctx):
		d.add(check, groupVersion, Warning, "Kurator's CustomResourceDefinitions are on the host, and this server has no Backup, Restore or Migrate: if they had objects, these are hidden; "+
			"delete the APIService, and import them before it is applied again")
	case err != nil && !apierrors.IsNotFound(err):
		d.add(check, groupVersion, Skipped, "whether Kurator is on the host can't be read: %v", err)
	default:
		d.add(check, groupVersion, OK, "it has %s", strings.Join(resourceNames(list), ", "))
	}
}

// storesNothing reports whether the server has no object of Kurator's kinds, which may not have been imported then.
func (d *Doctor) storesNothing(ctx context.Context) bool {
	for _, resource := range []string{"backups", "restores", "migrates"} {
		list, err := d.dynamic.Resource(v1alpha1.SchemeGroupVersion.WithResource(resource)).List(ctx, metav1.ListOptions{Limit: 1})
		if err != nil || len(list.Items) > 0 {
			return false
		}
	}
	return true
}

func resourceNames(list *metav1.APIResourceList) []string {
	var names []string
	for _, r := range list.APIResources {
		if !strings.Contains(r.Name, "/") {
			names = append(names, r.Name)
		}
	}
	slices.Sort(names)
	return names
}
