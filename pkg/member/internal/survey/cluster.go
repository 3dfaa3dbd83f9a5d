// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/version"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/serverstatus"
	"kurator.dev/migrate-apiserver/pkg/member/internal/transport"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/recovery"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

const (
	// pageSize is the number of objects in a page, wholePageSize that of objects that are read whole, and maxPages how
	// many pages of the former are read of one resource.
	pageSize, wholePageSize, maxPages = 500, 100, 40
	// maxCollections is the number of namespaces up to which each is listed by itself.
	maxCollections = 50
)

// surveyor makes the calls of a survey side by side, and collects what could not be read.
type surveyor struct {
	*client.Client
	calls errgroup.Group

	mutex      sync.Mutex
	notChecked []migration.NotChecked
}

func newSurveyor(c *client.Client) *surveyor {
	s := &surveyor{Client: c}
	s.calls.SetLimit(max(c.Options().MaxCalls/2, 1)) // a reader has half of the slots
	return s
}

// start makes a call in the background. An error, or a panic by what the cluster answers, is why what could not be
// read.
func (s *surveyor) start(ctx context.Context, what string, call func() error) {
	s.calls.Go(func() error {
		s.failed(what, recovery.Do(ctx, call))
		return nil
	})
}

// wait waits for all calls that were started.
func (s *surveyor) wait() { _ = s.calls.Wait() }

// failed records why something could not be read, once; nil is no failure.
func (s *surveyor) failed(what string, err error) {
	if err == nil {
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !slices.ContainsFunc(s.notChecked, func(n migration.NotChecked) bool { return n.What == what }) {
		s.notChecked = append(s.notChecked, migration.NotChecked{What: what, Err: err})
	}
}

// do calls f alone.
func (s *surveyor) do(f func()) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	f()
}

// startCluster reads what is read from a source and from a target.
func (s *surveyor) startCluster(ctx context.Context, request *velerov1.ServerStatusRequest, into *migration.ClusterSurvey) {
	s.start(ctx, "the version of Kubernetes", func() error {
		ctx := transport.ReportClock(ctx, func(ahead time.Duration) { s.do(func() { into.ClockAhead = ahead }) })
		answer, err := client.Do(ctx, s.Client, "get the version", func(ctx context.Context, conn *client.Connection) ([]byte, error) {
			return conn.REST.Get().AbsPath("/version").Do(ctx).Raw()
		})
		var found version.Info
		if err == nil {
			err = json.Unmarshal(answer, &found)
		}
		s.do(func() { into.Kubernetes = found.GitVersion })
		return err
	})
	if request != nil {
		s.start(ctx, "whether Velero answers", func() error {
			state, version := serverstatus.Ask(ctx, s.Client, request)
			s.do(func() { into.Server, into.Velero = state, version })
			if state == migration.ServerAnswers { // then Velero removes the request
				return nil
			}
			serverstatus.Withdraw(ctx, s.Client, request)
			if state == "" {
				return errors.New("a ServerStatusRequest could not be created or read")
			}
			return nil
		})
	}
	s.start(ctx, "node-agent", func() error {
		found, err := s.nodeAgent(ctx)
		s.do(func() { into.NodeAgent = found })
		return err
	})
}

// nodeAgent reads Velero's node-agent; nil if it is not installed (pkg/nodeagent of Velero v1.18.3).
func (s *surveyor) nodeAgent(ctx context.Context) (*v1alpha1.NodeAgentPreview, error) {
	daemonSets := client.Collection{Resource: appsv1.SchemeGroupVersion.WithResource("daemonsets"), InVelero: true}
	var found struct {
		Spec struct {
			Template struct {
				Spec struct {
					Containers []container `json:"containers"`
				} `json:"spec"`
			} `json:"template"`
		} `json:"spec"`
		Status appsv1.DaemonSetStatus `json:"status"`
	}
	err := client.GetInto(ctx, s.Client, daemonSets, "node-agent", &found)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	agent := &v1alpha1.NodeAgentPreview{Ready: found.Status.NumberReady, Desired: found.Status.DesiredNumberScheduled, LoadConcurrency: 1}
	name := configMapOf(found.Spec.Template.Spec.Containers)
	if name == "" {
		return agent, nil
	}
	var configMap corev1.ConfigMap
	configMaps := client.Collection{Resource: corev1.SchemeGroupVersion.WithResource("configmaps"), InVelero: true}
	if err := client.GetInto(ctx, s.Client, configMaps, name, &configMap); err != nil {
		return agent, fmt.Errorf("its configuration, ConfigMap %s: %w", name, err)
	}
	for _, text := range configMap.Data {
		var config struct {
			LoadConcurrency struct {
				GlobalConfig int32 `json:"globalConfig"`
			} `json:"loadConcurrency"`
		}
		if json.Unmarshal([]byte(text), &config) == nil && config.LoadConcurrency.GlobalConfig > 0 {
			agent.LoadConcurrency = config.LoadConcurrency.GlobalConfig
		}
	}
	return agent, nil
}

// container has the command of a container.
type container struct {
	Command []string `json:"command"`
	Args    []string `json:"args"`
}

// configMapOf returns the name of the ConfigMap that configures node-agent; empty without one.
func configMapOf(containers []container) string {
	for _, c := range containers {
		args := slices.Concat(c.Command, c.Args)
		for i, arg := range args {
			name, found := strings.CutPrefix(strings.TrimLeft(arg, "-"), "node-agent-configmap")
			switch {
			case found && strings.HasPrefix(name, "="):
				return name[1:]
			case found && name == "" && i+1 < len(args):
				return args[i+1]
			}
		}
	}
	return ""
}

// collectionsOf returns the collections of a resource that have all objects of the namespaces: that of each, if
// there are few. nil namespaces are all.
func collectionsOf(r velero.Resource, namespaces []string) []client.Collection {
	all := client.Collection{Resource: r.GroupVersionResource()}
	if !r.Namespaced || namespaces == nil || len(namespaces) > maxCollections {
		return []client.Collection{all}
	}
	var each []client.Collection
	for _, namespace := range namespaces {
		each = append(each, all.In(namespace))
	}
	return each
}

// collectionOf returns the collection that has an object.
func collectionOf(r velero.Resource, namespace string) client.Collection {
	all := client.Collection{Resource: r.GroupVersionResource()}
	if !r.Namespaced {
		return all
	}
	return all.In(namespace)
}

// maxName is the length of the longest name of Kubernetes.
const maxName = 253

// isName reports whether a name is not too long to be kept.
func isName(name string) bool { return name != "" && len(name) <= maxName }

// itemOf returns an object of a resource as an item.
func itemOf(r velero.Resource, key migration.ObjectKey) velero.Item {
	return velero.Item{Kind: r.ItemKind(), Namespace: key.Namespace, Name: key.Name}
}
