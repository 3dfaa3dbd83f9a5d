// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"kurator.dev/migrate-apiserver/test/localfleet/pki"
)

// keys is a directory with a certificate authority and the pairs it signed. Every
// cluster has its own authority, so that the administrator of one cluster can't
// authenticate in another.
type keys struct{ dir string }

func (f *Fleet) keys(owner string) keys { return keys{dir: filepath.Join(f.dir, "pki", owner)} }

func (k keys) authority() string              { return k.certificate("ca") }
func (k keys) certificate(name string) string { return filepath.Join(k.dir, name+".crt") }
func (k keys) key(name string) string         { return filepath.Join(k.dir, name+".key") }

// issuer signs the pairs that a directory lacks.
type issuer struct {
	keys

	authority *pki.Authority
}

// writeKeys creates the keys and kubeconfigs that the fleet lacks.
func (f *Fleet) writeKeys() error {
	write := []func() error{
		func() error {
			return f.issue("etcd", func(i issuer) error {
				return errors.Join(i.peer("server", "localhost", "127.0.0.1"), i.client("client", "kube-apiserver"))
			})
		},
		func() error {
			return f.issue(serverEtcdName, func(i issuer) error {
				return errors.Join(i.peer("server", "localhost", "127.0.0.1"), i.client("client", serverName))
			})
		},
		func() error {
			return f.issue("front-proxy", func(i issuer) error { return i.client("client", "front-proxy") })
		},
		func() error {
			return f.issue("storage", func(i issuer) error { return i.server("server", "localhost", "127.0.0.1") })
		},
		func() error {
			return f.issue("migrate-apiserver", func(i issuer) error {
				return i.server("server", "localhost", "127.0.0.1", serverService+"."+serverNamespace+".svc")
			})
		},
	}
	for _, c := range f.clusters() {
		write = append(write, func() error { return f.writeClusterKeys(c) })
	}
	for _, w := range write {
		if err := w(); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fleet) writeClusterKeys(c cluster) error {
	err := f.issue(c.name, func(i issuer) error {
		return errors.Join(
			i.server("server", "localhost", "127.0.0.1", "kubernetes", "kubernetes.default", "kubernetes.default.svc"),
			i.client("admin", "kubernetes-admin", "system:masters"),
			i.client("controller-manager", "system:kube-controller-manager"),
			i.client("velero", "velero"),
			i.client("scheduler", "system:kube-scheduler"),
			i.client("kubelet", "system:node:"+f.nodeName(c), "system:nodes"),
			i.client("kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
			i.signingKey("serviceaccount"),
		)
	})
	if err != nil {
		return err
	}
	for _, user := range []string{"admin", "controller-manager", "velero", "scheduler", "kubelet"} {
		if err := f.writeKubeconfig(c, user); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fleet) issue(owner string, sign func(issuer) error) error {
	k := f.keys(owner)
	authority, err := k.loadAuthority(owner)
	if err != nil {
		return fmt.Errorf("keys of %s: %w", owner, err)
	}
	if err := sign(issuer{keys: k, authority: authority}); err != nil {
		return fmt.Errorf("keys of %s: %w", owner, err)
	}
	return nil
}

func (k keys) loadAuthority(name string) (*pki.Authority, error) {
	if err := k.once("ca", func() (pki.Pair, error) {
		authority, err := pki.NewAuthority(name)
		if err != nil {
			return pki.Pair{}, err
		}
		return authority.Pair, nil
	}); err != nil {
		return nil, err
	}
	pair, err := k.read("ca")
	if err != nil {
		return nil, err
	}
	return pki.LoadAuthority(pair)
}

func (i issuer) client(name, user string, groups ...string) error {
	return i.once(name, func() (pki.Pair, error) { return i.authority.Client(user, groups...) })
}

func (i issuer) server(name string, hosts ...string) error {
	return i.once(name, func() (pki.Pair, error) { return i.authority.Server(name, hosts...) })
}

func (i issuer) peer(name string, hosts ...string) error {
	return i.once(name, func() (pki.Pair, error) { return i.authority.Peer(name, hosts...) })
}

func (i issuer) signingKey(name string) error {
	return i.once(name, func() (pki.Pair, error) {
		key, err := pki.NewKey()
		return pki.Pair{Key: key}, err
	})
}

// once calls create and writes its pair, unless the pair exists. It writes the key
// last, so that an existing key implies that both files exist.
func (k keys) once(name string, create func() (pki.Pair, error)) error {
	if _, err := os.Stat(k.key(name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	pair, err := create()
	if err != nil {
		return err
	}
	if pair.Certificate != nil {
		if err := writeFile(k.certificate(name), pair.Certificate); err != nil {
			return err
		}
	}
	return writeFile(k.key(name), pair.Key)
}

func (k keys) read(name string) (pki.Pair, error) {
	certificate, err := os.ReadFile(k.certificate(name))
	if err != nil {
		return pki.Pair{}, err
	}
	key, err := os.ReadFile(k.key(name))
	return pki.Pair{Certificate: certificate, Key: key}, err
}

// get sends a GET request and returns nil if the server answers 200. If certificate and
// key are empty, the request is anonymous.
func get(ctx context.Context, url, authority, certificate, key string) error {
	_, err := fetch(ctx, url, authority, certificate, key)
	return err
}

// fetch is like get and returns the body of the answer, at most 1 MiB of it.
func fetch(ctx context.Context, url, authority, certificate, key string) ([]byte, error) {
	pem, err := os.ReadFile(authority)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config := &tls.Config{RootCAs: roots}
	if certificate != "" {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s: %.4096s", url, response.Status, body)
	}
	return body, nil
}
