// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned"
	"kurator.dev/migrate-apiserver/pkg/velero"
	"kurator.dev/migrate-apiserver/test/benchmark/report"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

const (
	// changes is the number of changes of a phase, and reads that of live statuses, of each round.
	changes, reads = 40, 100
	// pause is the time between two changes, in which everything is at rest again.
	pause = 50 * time.Millisecond
)

// freshness measures how old what a user sees is: the time from a change of a Backup's phase in a member to the event of its Migrate at the
// host, and what a live status takes, beside a read of the same objects in one member. Velero of the source is stopped for that.
func (o *options) freshness(ctx context.Context, fleet *localfleet.Fleet, r *report.Report) (err error) {
	velero, err := fleet.Process(localfleet.MemberName(1) + "-velero")
	if err != nil {
		return err
	}
	if err := velero.Stop(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, velero.Start(context.WithoutCancel(ctx))) }()
	host, err := fleet.HostConfig()
	if err != nil {
		return err
	}
	host.QPS = -1
	client := versioned.NewForConfigOrDie(host).BackupV1alpha1()
	migrates := client.Migrates(metav1.NamespaceDefault)
	created, err := migrates.Create(ctx, migrateOf("freshness", metav1.NamespaceDefault, members-1), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	watched, err := migrates.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + created.Name, ResourceVersion: created.ResourceVersion})
	if err != nil {
		return err
	}
	defer watched.Stop()
	// await returns the Migrate with the next event that is as it should be.
	await := func(is func(*v1alpha1.BackupDetails) bool) (*v1alpha1.Migrate, error) {
		for event := range watched.ResultChan() {
			if m, ok := event.Object.(*v1alpha1.Migrate); ok && m.Status.SourceClusterStatus != nil && is(m.Status.SourceClusterStatus) {
				return m, nil
			}
		}
		return nil, fmt.Errorf("the watch of the Migrate has ended: %w", context.Cause(ctx))
	}
	m, err := await(func(s *v1alpha1.BackupDetails) bool { return s.BackupStatusInCluster != nil })
	if err != nil {
		return err
	}
	source, err := fleet.MemberConfig(1)
	if err != nil {
		return err
	}
	source.QPS = -1
	member, err := dynamic.NewForConfig(source)
	if err != nil {
		return err
	}
	backups := member.Resource(velerov1.SchemeGroupVersion.WithResource("backups")).Namespace("velero")
	backup := m.Status.SourceClusterStatus.BackupNameInCluster

	t := table{r.Table("Freshness, at rest", ours)}
	for round := range o.rounds {
		o.log("freshness, round %d of %d", round+1, o.rounds)
		var took []float64
		for i := range changes {
			time.Sleep(pause)
			phase := []velerov1.BackupPhase{velerov1.BackupPhaseInProgress, velerov1.BackupPhaseFinalizing}[i%2]
			patch := fmt.Appendf(nil, `{"status": {"phase": %q}}`, phase)
			began := time.Now()
			if _, err := backups.Patch(ctx, backup, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
				return err
			}
			if _, err := await(func(s *v1alpha1.BackupDetails) bool { return s.BackupStatusInCluster.Phase == phase }); err != nil {
				return err
			}
			took = append(took, time.Since(began).Seconds()*1000)
		}
		t.addQuantiles("a phase in a member until its watch event", took)
		for _, read := range []struct {
			name string
			do   func() error
		}{
			{"a list of the Backup in its member, directly", func() error { return listBackup(ctx, backups, m) }},
			{fmt.Sprintf("a live status, 1 source and %d targets", members-1), func() error {
				return client.RESTClient().Get().Namespace(m.Namespace).Resource("migrates").Name(m.Name).SubResource("status").Do(ctx).Error()
			}},
		} {
			took, err := repeat(read.do)
			if err != nil {
				return err
			}
			t.addQuantiles(read.name, took)
		}
	}
	return migrates.Delete(ctx, m.Name, metav1.DeleteOptions{})
}

// listBackup lists the Backup of a Migrate in its member.
func listBackup(ctx context.Context, backups dynamic.ResourceInterface, m *v1alpha1.Migrate) error {
	_, err := backups.List(ctx, metav1.ListOptions{LabelSelector: velero.MigrateUIDLabel + "=" + string(m.UID)})
	return err
}

// repeat reads several times, and returns the milliseconds that each took.
func repeat(read func() error) (milliseconds []float64, err error) {
	for range reads {
		began := time.Now()
		if err := read(); err != nil {
			return nil, err
		}
		milliseconds = append(milliseconds, time.Since(began).Seconds()*1000)
	}
	return milliseconds, nil
}

// start measures starts of the server after a kill, with what is stored in it, and its size.
func (o *options) start(ctx context.Context, fleet *localfleet.Fleet, server *side, r *report.Report) error {
	process, err := fleet.Process(serverName)
	if err != nil {
		return err
	}
	t := r.Table(fmt.Sprintf("Start with %d Migrates that wait", o.pending), ours)
	for round := range o.rounds {
		o.log("start, round %d of %d", round+1, o.rounds)
		if err := process.Kill(ctx); err != nil {
			return err
		}
		began := time.Now()
		started := make(chan error, 1)
		go func() { started <- process.Start(ctx) }()
		for ctx.Err() == nil && server.raw.Get().AbsPath("/readyz").Do(ctx).Error() != nil {
			time.Sleep(10 * time.Millisecond)
		}
		t.Add("from the start to ready", "s", ours, time.Since(began).Seconds())
		if err := <-started; err != nil {
			return err
		}
		if err := settle(ctx, fleet); err != nil {
			return err
		}
		t.Add("from the start to rest, and a second of rest", "s", ours, time.Since(began).Seconds())
		memory, err := resident(fleet)
		if err != nil {
			return err
		}
		t.Add("memory at rest", "MiB", ours, float64(memory)/(1<<20))
	}
	for _, program := range []struct{ row, path string }{
		{"program", localfleet.ServerProgram(fleet.BinDir())}, {"program without symbols, as in the image", o.stripped},
	} {
		if program.path == "" {
			continue
		}
		file, err := os.Stat(program.path)
		if err != nil {
			return err
		}
		t.Add(program.row, "MiB", ours, float64(file.Size())/(1<<20))
	}
	return nil
}

// table is one of latencies.
type table struct{ *report.Table }

// addQuantiles adds the median and the 99th percentile of a round.
func (t table) addQuantiles(row string, milliseconds []float64) {
	slices.Sort(milliseconds)
	t.Add(row, "ms", ours, milliseconds[len(milliseconds)/2])
	t.Add(row+", p99", "ms", ours, milliseconds[len(milliseconds)*99/100])
}
