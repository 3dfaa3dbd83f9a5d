// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned"
	clientv1alpha1 "kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned/typed/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/test/benchmark/report"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

const (
	// ours and byHand are the sides of migrations.
	ours   = "ours"
	byHand = "velero CLI"
	// cliRounds is the most rounds of the velero CLI, each of which waits up to a minute for Velero's sync.
	cliRounds = 3
	// manyObjects is the largest number of objects that are migrated in each round: Velero takes minutes for more.
	manyObjects = 1000
	// longest is the longest time of one migration.
	longest = 30 * time.Minute
)

// migrationBenchmark measures whole migrations by real Veleros, beside those that a person does by the velero CLI as Velero's
// documentation tells: a backup, the wait for Velero's sync, and a restore in each target.
type migrationBenchmark struct {
	*options
	fleet    *localfleet.Fleet
	migrates clientv1alpha1.MigrateInterface
	events   kubernetes.Interface
	server   *side
	number   int
}

func (o *options) migrations(ctx context.Context, fleet *localfleet.Fleet, server *side, r *report.Report) error {
	host, err := fleet.HostConfig()
	if err != nil {
		return err
	}
	b := &migrationBenchmark{
		options: o, fleet: fleet, server: server,
		migrates: versioned.NewForConfigOrDie(host).BackupV1alpha1().Migrates(metav1.NamespaceDefault), events: kubernetes.NewForConfigOrDie(host),
	}
	took := r.Table("Migrations, from the command to the end", ours, byHand)
	cost := r.Table("What a migration costs", ours)
	for _, objects := range o.objects {
		namespace := "objects-" + strconv.Itoa(objects)
		if err := fill(ctx, fleet, 1, namespace, objects); err != nil {
			return err
		}
		for _, targets := range []int{1, members - 1} {
			row := fmt.Sprintf("%d objects, 1 to %d", objects, targets)
			rounds := o.rounds
			if objects > manyObjects {
				rounds = 1
			}
			for round := range rounds {
				o.log("%s, round %d of %d", row, round+1, rounds)
				if err := b.migrate(ctx, took, cost, row, namespace, targets); err != nil {
					return fmt.Errorf("%s: %w", row, err)
				}
				if round < cliRounds {
					if err := b.byHand(ctx, took, row, namespace, targets); err != nil {
						return fmt.Errorf("%s by the velero CLI: %w", row, err)
					}
				}
			}
		}
	}
	return nil
}

// migrate migrates a namespace by a Migrate.
func (b *migrationBenchmark) migrate(ctx context.Context, took, cost *report.Table, row, namespace string, targets int) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	if err := b.empty(ctx, namespace, targets); err != nil {
		return err
	}
	velero, err := watchVeleros(ctx, b.fleet, targets)
	if err != nil {
		return err
	}
	requestsBefore, err := memberRequests(ctx, b.server)
	if err != nil {
		return err
	}
	b.number++
	m := migrateOf(fmt.Sprintf("benchmark-%d", b.number), namespace, targets)
	began := time.Now()
	created, err := b.migrates.Create(ctx, m, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	changes, err := b.migrates.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + m.Name, ResourceVersion: created.ResourceVersion})
	if err != nil {
		return err
	}
	defer changes.Stop()
	writes := 1 // the creation
	for event := range changes.ResultChan() {
		last, ok := event.Object.(*v1alpha1.Migrate)
		if !ok || event.Type != watch.Modified {
			return fmt.Errorf("the watch of the Migrate has %s %v", event.Type, event.Object)
		}
		writes++
		if last.Status.Phase == v1alpha1.MigratePhaseCompleted {
			break
		}
		if migration.IsTerminal(last.Status.Phase) {
			return fmt.Errorf("the Migrate is %s: %v", last.Status.Phase, last.Status.Conditions)
		}
	}
	whole := time.Since(began)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("the Migrate has not ended: %w", err)
	}
	requests, err := memberRequests(ctx, b.server)
	if err != nil {
		return err
	}
	events, err := b.eventsOf(ctx, created)
	if err != nil {
		return err
	}
	took.Add(row, "s", ours, whole.Seconds())
	cost.Add(row+": time besides Velero's", "ms", ours, float64((whole - velero.busy()).Milliseconds()))
	cost.Add(row+": writes of the Migrate", "", ours, float64(writes))
	cost.Add(row+": Events", "", ours, float64(events))
	all := 0.0
	for _, verb := range slices.Sorted(maps.Keys(requests)) {
		sent := requests[verb] - requestsBefore[verb]
		all += sent
		cost.Add(row+": requests to the members for each target: "+verb, "", ours, sent/float64(targets))
	}
	cost.Add(row+": requests to the members for each target", "", ours, all/float64(targets))
	return nil
}

// byHand migrates a namespace by the velero CLI.
func (b *migrationBenchmark) byHand(ctx context.Context, took *report.Table, row, namespace string, targets int) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	if err := b.empty(ctx, namespace, targets); err != nil {
		return err
	}
	b.number++
	name := fmt.Sprintf("by-hand-%d", b.number)
	began := time.Now()
	if _, err := b.velero(ctx, 1, "backup", "create", name, "--include-namespaces="+namespace, "--wait"); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for target := 2; target <= 1+targets; target++ {
		group.Go(func() error {
			if err := wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
				_, err := b.velero(ctx, target, "backup", "get", name)
				return err == nil, nil
			}); err != nil {
				return fmt.Errorf("member %d has not synced the backup: %w", target, err)
			}
			output, err := b.velero(ctx, target, "restore", "create", name, "--from-backup="+name, "--wait")
			if err == nil && !strings.Contains(output, "Restore completed") {
				err = fmt.Errorf("the restore ended with: %s", output)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	took.Add(row, "s", byHand, time.Since(began).Seconds())
	return nil
}

// velero runs the velero CLI in the nth member.
func (b *migrationBenchmark) velero(ctx context.Context, n int, args ...string) (string, error) {
	command := exec.CommandContext(ctx, filepath.Join(b.fleet.BinDir(), "velero"), append(args, "--kubeconfig="+b.fleet.MemberKubeconfig(n))...)
	output, err := command.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("velero %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(output))
	}
	return string(output), err
}

// empty deletes a namespace in the targets, and waits until our server is at rest.
func (b *migrationBenchmark) empty(ctx context.Context, namespace string, targets int) error {
	for n := 2; n <= 1+targets; n++ {
		config, err := b.fleet.MemberConfig(n)
		if err != nil {
			return err
		}
		namespaces := kubernetes.NewForConfigOrDie(config).CoreV1().Namespaces()
		if err := ignoreNotFound(namespaces.Delete(ctx, namespace, metav1.DeleteOptions{})); err != nil {
			return err
		}
		if err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
			_, err := namespaces.Get(ctx, namespace, metav1.GetOptions{})
			return apierrors.IsNotFound(err), ignoreNotFound(err)
		}); err != nil {
			return fmt.Errorf("namespace %s of member %d is not deleted: %w", namespace, n, err)
		}
	}
	return settle(ctx, b.fleet)
}

// eventsOf returns how many Events a Migrate has, once their number does not change for a second.
func (b *migrationBenchmark) eventsOf(ctx context.Context, m *v1alpha1.Migrate) (int, error) {
	count := -1
	err := wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		list, err := b.events.EventsV1().Events(m.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		now := len(slices.DeleteFunc(list.Items, func(e eventsv1.Event) bool { return e.Regarding.UID != m.UID }))
		same := now == count
		count = now
		return same, nil
	})
	return count, err
}

// migrateOf returns a Migrate of a namespace from the first member to others.
func migrateOf(name, namespace string, targets int) *v1alpha1.Migrate {
	var to []string
	for n := 2; n <= 1+targets; n++ {
		to = append(to, localfleet.MemberName(n))
	}
	m := migrateBetween(name, localfleet.FleetName, localfleet.MemberName(1), to...)
	m.Spec.Policy = &v1alpha1.MigratePolicy{ResourceFilter: &v1alpha1.ResourceFilter{IncludedNamespaces: []string{namespace}}}
	return m
}

// migrateBetween returns a Migrate from a member of a Fleet to others.
func migrateBetween(name, fleet, source string, targets ...string) *v1alpha1.Migrate {
	cluster := func(name string) corev1.ObjectReference {
		return corev1.ObjectReference{Kind: "AttachedCluster", Name: name}
	}
	m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{Name: name}}
	m.Spec.SourceCluster = v1alpha1.Destination{Fleet: fleet, Clusters: []corev1.ObjectReference{cluster(source)}}
	m.Spec.TargetCluster.Fleet = fleet
	for _, target := range targets {
		m.Spec.TargetCluster.Clusters = append(m.Spec.TargetCluster.Clusters, cluster(target))
	}
	return m
}

// memberRequests returns how many requests our server has sent to the members, by verb, by its metrics.
func memberRequests(ctx context.Context, server *side) (map[string]float64, error) {
	metrics, err := server.raw.Get().AbsPath("/metrics").Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	sums := map[string]float64{}
	for line := range strings.Lines(string(metrics)) {
		labels, ok := strings.CutPrefix(line, "migrate_member_requests_total{")
		if !ok {
			continue
		}
		labels, value, _ := strings.Cut(labels, "} ")
		count, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return nil, fmt.Errorf("metric %s: %w", line, err)
		}
		_, verb, _ := strings.Cut(labels, `verb="`)
		verb, _, _ = strings.Cut(verb, `"`)
		sums[verb] += count
	}
	return sums, nil
}
