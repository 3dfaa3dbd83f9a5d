// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/test/benchmark/report"
	"kurator.dev/migrate-apiserver/test/localfleet"
	"kurator.dev/migrate-apiserver/test/modelvelero"
)

const (
	// modelledFleet has modelledMembers members: a source and a hundred targets. Each is a namespace with a modelled Velero in the last
	// real member.
	modelledFleet   = "modelled"
	modelledMembers = 101
	// modelledRounds is the most rounds of migrations between them.
	modelledRounds = 3
	// modelledPhaseTime is how long each phase of their Backups and Restores lasts.
	modelledPhaseTime = 100 * time.Millisecond
)

func modelledName(n int) string { return fmt.Sprintf("modelled-%03d", n) }

// modelled measures live statuses with up to a hundred targets, and then migrations between all members.
func (b *crowdBenchmark) modelled(ctx context.Context, r *report.Report) error {
	config, namespaces, err := b.attachModelled(ctx)
	if err != nil {
		return err
	}
	// While statuses are read, each phase lasts longer than that takes.
	if err := runVeleros(ctx, config, namespaces, longest, func() error { return b.liveStatus(ctx, config, r) }); err != nil {
		return err
	}
	return runVeleros(ctx, config, namespaces, modelledPhaseTime, func() error { return b.runModelled(ctx, r) })
}

// runVeleros runs a modelled Velero in each namespace, whose phases last phaseTime each, until do has ended.
func runVeleros(ctx context.Context, config *rest.Config, namespaces []string, phaseTime time.Duration, do func() error) error {
	veleros, err := modelvelero.NewVeleros(config, namespaces...)
	if err != nil {
		return err
	}
	veleros.PhaseTime = phaseTime
	running, stop := context.WithCancel(ctx)
	stopped := make(chan error, 1)
	go func() { stopped <- veleros.Run(running) }()
	err = do()
	stop()
	return errors.Join(err, <-stopped)
}

// attachModelled attaches the members, and returns how to connect to all of them, and their namespaces.
func (b *crowdBenchmark) attachModelled(ctx context.Context) (*rest.Config, []string, error) {
	kubeconfig, err := clientcmd.LoadFromFile(b.fleet.MemberKubeconfig(members))
	if err != nil {
		return nil, nil, err
	}
	content, err := clientcmd.Write(*kubeconfig)
	if err != nil {
		return nil, nil, err
	}
	var namespaces []string
	var all []localfleet.Attachment
	for n := range modelledMembers {
		namespaces = append(namespaces, modelledName(n))
		all = append(all, localfleet.Attachment{Name: modelledName(n), Kubeconfig: content, VeleroNamespace: modelledName(n)})
	}
	config, err := b.fleet.MemberConfig(members)
	if err == nil {
		config.QPS = -1
		err = errors.Join(b.fleet.AddVeleroNamespaces(ctx, members, namespaces...), b.fleet.Attach(ctx, modelledFleet, all...))
	}
	return config, namespaces, err
}

// liveStatus measures reads of live statuses, beside a list in their member.
func (b *crowdBenchmark) liveStatus(ctx context.Context, config *rest.Config, r *report.Report) error {
	member, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	backups := member.Resource(velerov1.SchemeGroupVersion.WithResource("backups"))
	t := table{r.Table("A live status", ours)}
	for source, targets := range []int{1, 10, modelledMembers - 1} { // each has a source without other Backups
		var to []string
		for n := 1; n <= targets; n++ {
			to = append(to, modelledName((source+n)%modelledMembers))
		}
		m, err := b.migrates.Create(ctx, migrateBetween(fmt.Sprintf("live-%d", targets), modelledFleet, modelledName(source), to...), metav1.CreateOptions{})
		if err != nil {
			return err
		}
		if err := wait.PollUntilContextTimeout(ctx, pollInterval, longest, false, func(ctx context.Context) (bool, error) {
			current, err := b.migrates.Get(ctx, m.Name, metav1.GetOptions{})
			return err == nil && current.Status.SourceClusterStatus != nil && current.Status.SourceClusterStatus.BackupStatusInCluster != nil, err
		}); err != nil {
			return fmt.Errorf("%s has no Backup: %w", m.Name, err)
		}
		if err := settle(ctx, b.fleet); err != nil {
			return err
		}
		for round := range b.rounds {
			b.log("live status of %d targets, round %d of %d", targets, round+1, b.rounds)
			row := fmt.Sprintf("of a source and %d targets", targets)
			var took []float64
			used, err := cpuDuring(b.fleet, func() (err error) {
				took, err = repeat(func() error {
					return b.ours.raw.Get().AbsPath(b.ours.path(crowdNamespace, m.Name, "status")).Do(ctx).Error()
				})
				return err
			})
			if err != nil {
				return err
			}
			t.addQuantiles(row, took)
			for _, name := range processes {
				t.Add(row+", CPU of "+name, "ms", ours, used[name].Seconds()*1000/reads)
			}
			took, err = repeat(func() error { return listBackup(ctx, backups.Namespace(modelledName(source)), m) })
			if err != nil {
				return err
			}
			t.addQuantiles("beside it, a list of the Backup in its member", took)
		}
		if err := b.migrates.Delete(ctx, m.Name, metav1.DeleteOptions{}); err != nil {
			return err
		}
	}
	return settle(ctx, b.fleet)
}

// runModelled measures migrations from each member to the next one.
func (b *crowdBenchmark) runModelled(ctx context.Context, r *report.Report) error {
	t := r.Table(fmt.Sprintf("%d migrations at once, between %d members with modelled Veleros", b.modelledAtOnce, modelledMembers), ours)
	for round := range min(b.rounds, modelledRounds) {
		var all []*v1alpha1.Migrate
		for i := range b.modelledAtOnce {
			name := "modelled-" + strconv.Itoa(round) + "-" + strconv.Itoa(i)
			all = append(all, migrateBetween(name, modelledFleet, modelledName(i%modelledMembers), modelledName((i+1)%modelledMembers)))
		}
		if err := b.run(ctx, t, all, []int{members}); err != nil {
			return err
		}
	}
	return nil
}
