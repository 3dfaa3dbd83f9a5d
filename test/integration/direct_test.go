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

// directly is a way to our server that leaves the host out, as kubelet's probes
// and a scraper of metrics take it.
type directly struct {
	client *http.Client
	url    string
}

// direct is the administrator's way.
func direct(t *testing.T) directly {
	t.Helper()
	return directAs(t, func(config *rest.Config) *rest.Config { return config })
}

func directAs(t *testing.T, identify func(*rest.Config) *rest.Config) directly {
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
	return directly{client, config.Host}
}

// throughHost is the administrator's way by the host's aggregator, without kubectl.
func throughHost(t *testing.T) directly {
	t.Helper()
	config, err := host.HostConfig()
	if err != nil {
		t.Fatal(err)
	}
	return throughHostAs(t, config)
}

func throughHostAs(t *testing.T, config *rest.Config) directly {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return directly{client, config.Host}
}

// get is the body of what must be answered with 200.
func (d directly) get(t *testing.T, path string) string {
	t.Helper()
	code, body, err := d.try(t.Context(), path)
	if err != nil || code != http.StatusOK {
		t.Fatalf("GET %s: %d, %v\n%s", path, code, err, body)
	}
	return body
}

// send sends any request and returns what it is answered.
func (d directly) send(t *testing.T, method, path string, header http.Header, body string) (code int, answer string) {
	t.Helper()
	code, answer, err := d.trySend(t.Context(), method, path, header, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return code, answer
}

func (d directly) trySend(ctx context.Context, method, path string, header http.Header, body string) (code int, answer string, err error) {
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

func (d directly) try(ctx context.Context, path string) (code int, body string, err error) {
	response, err := d.ask(ctx, path)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}

// ask sends a GET; the caller closes the body.
func (d directly) ask(ctx context.Context, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+path, nil)
	if err != nil {
		return nil, err
	}
	return d.client.Do(request)
}
