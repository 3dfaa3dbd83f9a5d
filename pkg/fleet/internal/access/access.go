// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	clientauthentication "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	clientcmdv1 "k8s.io/client-go/tools/clientcmd/api/v1"
	"sigs.k8s.io/yaml"

	"kurator.dev/migrate-apiserver/pkg/recovery"
)

const (
	// timeout bounds a run of a program.
	timeout = 30 * time.Second
	// lifetime is after how long credentials without an expiration are renewed; expiryMargin is how long before their
	// expiration others are.
	lifetime, expiryMargin = 10 * time.Minute, time.Minute
	// youngest is for how long new credentials are used although the cluster refuses them, and the time between two runs for
	// a cluster after a failure.
	youngest = 30 * time.Second
	// maxRunning is how many programs run at the same time.
	maxRunning = 8
)

// ErrNoProvider reports that no program is configured for any access provider of a cluster.
var ErrNoProvider = errors.New("no access provider for the cluster")

// Provider is a way to access a cluster, as a ClusterProfile has it.
type Provider struct {
	Name    string              `json:"name"`
	Cluster clientcmdv1.Cluster `json:"cluster"`
}

// Providers are the programs of a file, with the credentials that they have returned. Nil has none. It is safe for concurrent use.
type Providers struct {
	programs []program
	now      func() time.Time
	running  singleflight.Group
	slots    chan struct{}

	mutex  sync.Mutex
	cache  map[string]cached
	failed map[string]failure
}

// failure is the last failure of a program for a cluster.
type failure struct {
	err error
	at  time.Time
}

// program is an entry of the file. The policies of KEP-5339 may only be to ignore what a profile adds.
type program struct {
	Name       string                  `json:"name"`
	ExecConfig *clientcmdv1.ExecConfig `json:"execConfig"`
	ArgsPolicy string                  `json:"profileSourcedCLIArgsPolicy,omitempty"`
	EnvPolicy  string                  `json:"profileSourcedEnvVarsPolicy,omitempty"`
}

// cached is a kubeconfig for as long as the cluster has the same provider. It is renewed from a time on, and used until it
// expires if that fails.
type cached struct {
	kubeconfig            []byte
	provider              [sha256.Size]byte
	since, renew, expires time.Time
}

// Load reads the providers of a file in JSON or YAML.
func Load(file string) (*Providers, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var parsed struct {
		Providers []program `json:"providers"`
	}
	if err := yaml.UnmarshalStrict(content, &parsed); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(parsed.Providers) == 0 {
		return nil, fmt.Errorf("%s: providers is empty", file)
	}
	seen := map[string]bool{}
	for i := range parsed.Providers {
		p := &parsed.Providers[i]
		if err := p.validate(seen[p.Name]); err != nil {
			return nil, fmt.Errorf("%s: providers[%d]: %w", file, i, err)
		}
		seen[p.Name] = true
	}
	return &Providers{programs: parsed.Providers, now: time.Now, slots: make(chan struct{}, maxRunning), cache: map[string]cached{}, failed: map[string]failure{}}, nil
}

func (p *program) validate(duplicate bool) error {
	versions := []string{clientauthentication.SchemeGroupVersion.String(), "client.authentication.k8s.io/v1beta1"}
	switch {
	case p.Name == "":
		return errors.New("name is empty")
	case duplicate:
		return fmt.Errorf("name %q is there twice", p.Name)
	case p.ExecConfig == nil || p.ExecConfig.Command == "":
		return fmt.Errorf("execConfig.command of %q is empty", p.Name)
	case !slices.Contains(versions, p.ExecConfig.APIVersion):
		return fmt.Errorf("execConfig.apiVersion of %q is %q: use one of %s", p.Name, p.ExecConfig.APIVersion, strings.Join(versions, ", "))
	case p.ExecConfig.InteractiveMode == clientcmdv1.AlwaysExecInteractiveMode:
		return fmt.Errorf("execConfig.interactiveMode of %q is Always, and nobody is there to answer", p.Name)
	case p.ArgsPolicy != "" && p.ArgsPolicy != "Ignore", p.EnvPolicy != "" && p.EnvPolicy != "Ignore":
		return fmt.Errorf("profileSourcedCLIArgsPolicy and profileSourcedEnvVarsPolicy of %q must be Ignore: a ClusterProfile can't change how a program is run", p.Name)
	}
	return nil
}

// Kubeconfig returns a kubeconfig for a cluster, identified by key, that has these providers: that of the first program in the
// file that is one of them. It runs the program if it has no credentials that are still good, and in the background if they expire
// soon.
func (p *Providers) Kubeconfig(ctx context.Context, key string, of []Provider) ([]byte, error) {
	run, provider, err := p.choose(of)
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(provider)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(encoded)
	last, ok := p.cached(key, hash)
	if ok && p.now().Before(last.renew) {
		return last.kubeconfig, nil
	}
	id := key + string(hash[:])
	if err := p.lastFailure(id); err != nil {
		if ok {
			return last.kubeconfig, nil
		}
		return nil, err
	}
	// It goes on if this caller gives up, for the next one.
	result := p.running.DoChan(id, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		var kubeconfig []byte
		err := recovery.Do(ctx, func() (err error) {
			kubeconfig, err = p.renew(ctx, key, hash, run, provider)
			return err
		})
		p.setFailure(id, err)
		return kubeconfig, err
	})
	if ok {
		return last.kubeconfig, nil
	}
	select {
	case r := <-result:
		kubeconfig, _ := r.Val.([]byte)
		return kubeconfig, r.Err
	case <-ctx.Done():
		return nil, fmt.Errorf("access provider %q has not returned credentials: %w", provider.Name, context.Cause(ctx))
	}
}

// lastFailure returns the error of the last run if that was a moment ago.
func (p *Providers) lastFailure(id string) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if f, ok := p.failed[id]; ok && p.now().Before(f.at.Add(youngest)) {
		return f.err
	}
	return nil
}

func (p *Providers) setFailure(id string, err error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for other, f := range p.failed {
		if p.now().After(f.at.Add(youngest)) {
			delete(p.failed, other)
		}
	}
	delete(p.failed, id)
	if err != nil {
		p.failed[id] = failure{err, p.now()}
	}
}

// Forget drops the credentials of a cluster, unless they are new: others would not be better.
func (p *Providers) Forget(key string) {
	if p == nil {
		return
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if c, ok := p.cache[key]; ok && p.now().After(c.since.Add(youngest)) {
		delete(p.cache, key)
	}
}

func (p *Providers) choose(of []Provider) (program, Provider, error) {
	var names, configured []string
	if p != nil {
		for _, run := range p.programs {
			configured = append(configured, run.Name)
			if i := slices.IndexFunc(of, func(provider Provider) bool { return provider.Name == run.Name }); i >= 0 {
				return run, of[i], nil
			}
		}
	}
	for _, provider := range of {
		names = append(names, provider.Name)
	}
	return program{}, Provider{}, fmt.Errorf("%w: it has %q, and --cluster-access-providers of this server has %q", ErrNoProvider, names, configured)
}

// cached returns the kubeconfig of a cluster that has not expired.
func (p *Providers) cached(key string, provider [sha256.Size]byte) (cached, bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	c, ok := p.cache[key]
	return c, ok && c.provider == provider && p.now().Before(c.expires)
}

func (p *Providers) renew(ctx context.Context, key string, hash [sha256.Size]byte, run program, provider Provider) ([]byte, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("access provider %q: %d programs are running: %w", provider.Name, maxRunning, context.Cause(ctx))
	}
	credential, err := execute(ctx, run.ExecConfig, provider.Cluster)
	if err != nil {
		return nil, fmt.Errorf("access provider %q: %w", provider.Name, err)
	}
	kubeconfig, err := kubeconfigOf(provider.Cluster, credential)
	if err != nil {
		return nil, fmt.Errorf("access provider %q: %w", provider.Name, err)
	}
	renew := p.now().Add(lifetime)
	expires := renew.Add(lifetime)
	if at := credential.ExpirationTimestamp; at != nil {
		renew, expires = at.Add(-expiryMargin), at.Time
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for k, c := range p.cache {
		if p.now().After(c.expires) {
			delete(p.cache, k)
		}
	}
	p.cache[key] = cached{kubeconfig, hash, p.now(), renew, expires}
	return kubeconfig, nil
}

// kubeconfigOf returns a kubeconfig with all that a provider says of its cluster, so that what a kubeconfig must not have is
// refused where it is read.
func kubeconfigOf(of clientcmdv1.Cluster, credential *clientauthentication.ExecCredentialStatus) ([]byte, error) {
	const name = "cluster"
	cluster := clientcmdapi.NewCluster()
	if err := clientcmdv1.Convert_v1_Cluster_To_api_Cluster(&of, cluster, nil); err != nil {
		return nil, err
	}
	cluster.Extensions = nil
	user := clientcmdapi.NewAuthInfo()
	user.Token = credential.Token
	user.ClientCertificateData, user.ClientKeyData = []byte(credential.ClientCertificateData), []byte(credential.ClientKeyData)
	config := clientcmdapi.NewConfig()
	config.Clusters[name], config.AuthInfos[name] = cluster, user
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	written, err := clientcmd.Write(*config)
	return bytes.TrimSpace(written), err
}
