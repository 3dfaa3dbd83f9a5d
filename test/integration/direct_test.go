// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

// apiClient sends HTTP requests to our server, either directly, like kubelet's probes and a
// metrics scraper, or through the host's aggregator.
type apiClient struct {
	client *http.Client
	url    string
}

// directClient returns a client of the administrator that connects to our server directly.
func directClient(t *testing.T) apiClient {
	t.Helper()
	return directClientAs(t, func(config *rest.Config) *rest.Config { return config })
}

// directClientAs returns a direct client with the credentials that identify sets.
func directClientAs(t *testing.T, identify func(*rest.Config) *rest.Config) apiClient {
	t.Helper()
	if host == nil {
		t.Skip("needs a host")
	}
	config, err := host.HostConfig()
	if err != nil {
		t.Fatal(err)
	}
	n := namespace{t, "default"}
	service := func(field string) string {
		return n.run("get", "apiservice", "v1alpha1.backup.kurator.dev", "-o", "jsonpath={.spec."+field+"}")
	}
	config = rest.CopyConfig(config)
	config.Host = "https://localhost:" + service("service.port")
	if config.CAData, err = base64.StdEncoding.DecodeString(service("caBundle")); err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(identify(config))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return apiClient{client, config.Host}
}

// hostClient returns a client of the administrator that connects through the host's aggregator.
func hostClient(t *testing.T) apiClient {
	t.Helper()
	config, err := host.HostConfig()
	if err != nil {
		t.Fatal(err)
	}
	return hostClientAs(t, config)
}

func hostClientAs(t *testing.T, config *rest.Config) apiClient {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return apiClient{client, config.Host}
}

// get returns the body of a GET, which must succeed with 200.
func (d apiClient) get(t *testing.T, path string) string {
	t.Helper()
	code, body, err := d.try(t.Context(), path)
	if err != nil || code != http.StatusOK {
		t.Fatalf("GET %s: %d, %v\n%s", path, code, err, body)
	}
	return body
}

// send sends a request and returns the code and body of the response.
func (d apiClient) send(t *testing.T, method, path string, header http.Header, body string) (code int, answer string) {
	t.Helper()
	code, answer, err := d.trySend(t.Context(), method, path, header, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return code, answer
}

func (d apiClient) trySend(ctx context.Context, method, path string, header http.Header, body string) (code int, answer string, err error) {
	request, err := http.NewRequestWithContext(ctx, method, d.url+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := d.client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}

func (d apiClient) try(ctx context.Context, path string) (code int, body string, err error) {
	response, err := d.open(ctx, path)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}

// open sends a GET; the caller must close the body of the response.
func (d apiClient) open(ctx context.Context, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+path, nil)
	if err != nil {
		return nil, err
	}
	return d.client.Do(request)
}
