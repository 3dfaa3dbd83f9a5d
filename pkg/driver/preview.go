// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/klog/v2"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/recovery"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// The time within which a preview ends, and each of its steps. What is not read by then is a finding.
const (
	previewTimeout       = 24 * time.Second
	previewAccessTimeout = 5 * time.Second
	previewReadTimeout   = 10 * time.Second
	previewTargetTimeout = 8 * time.Second
)

// Preview returns the plan of a Migrate that is not stored: of its namespace and spec, with the requester. It changes
// nothing in the members but for a ServerStatusRequest, which Velero removes.
func (d *Driver) Preview(ctx context.Context, m *v1alpha1.Migrate) (*v1alpha1.MigratePreviewStatus, error) {
	return newPreview(ctx, d.Config, &d.sharings, m, true)
}

// Warnings returns the first findings about a Migrate that is not stored, without information, as far as they can be had
// before ctx ends. It changes nothing in the members.
func (d *Driver) Warnings(ctx context.Context, m *v1alpha1.Migrate) []v1alpha1.PreviewFinding {
	status, err := newPreview(ctx, d.Config, &d.sharings, m, false)
	if err != nil {
		return nil
	}
	unknown := []string{v1alpha1.ReasonNotChecked, v1alpha1.ReasonConnecting}
	if ctx.Err() != nil {
		unknown = append(unknown, v1alpha1.ReasonHostUnreachable, v1alpha1.ReasonAccessReviewFailed, v1alpha1.ReasonMemberUnreachable, v1alpha1.ReasonNoTargetReady)
	}
	return slices.DeleteFunc(status.Findings, func(f v1alpha1.PreviewFinding) bool {
		return f.Severity == v1alpha1.SeverityInformation || slices.Contains(unknown, f.Reason)
	})
}

// newPreview plans a migration. askVelero is whether Veleros are asked for their version, which creates a request.
func newPreview(ctx context.Context, config Config, known *sharings, m *v1alpha1.Migrate, askVelero bool) (*v1alpha1.MigratePreviewStatus, error) {
	ctx, cancel := context.WithTimeout(member.ForPreview(ctx), previewTimeout)
	defer cancel()
	m = asCreated(m, config.Clock.Now())
	p := &preview{Config: config, sharings: known, m: m, askVelero: askVelero, seen: map[migration.Cluster]migration.Member{}}
	p.surveys.Targets, p.surveys.NotChecked = map[migration.Cluster]*migration.TargetSurvey{}, map[migration.Cluster][]migration.NotChecked{}
	ctx = withMigrate(ctx, keyOf(m))
	p.resolve(ctx)
	p.readAll(ctx)
	p.surveyTargets(ctx)
	var status v1alpha1.MigratePreviewStatus
	err := recovery.Do(ctx, func() error {
		status = migration.Preview(m, migration.Observation{Plan: p.plan, Members: p.seen}, p.surveys, config.Clock.Now())
		return nil
	})
	return &status, err
}

// maxPreviews is the number of plans of suspended Migrates that are made at the same time.
const maxPreviews = 4

// previewInterval returns the time after which the plan of a suspended Migrate of the given age is made again; last is nil
// if there is none. One that is likely to change is made again sooner, but less often with time: much of what is missing or
// can't be checked stays so.
func previewInterval(last *v1alpha1.MigratePreviewStatus, age time.Duration) time.Duration {
	isNotChecked := func(f v1alpha1.PreviewFinding) bool { return f.Reason == v1alpha1.ReasonNotChecked }
	isPreliminary := last == nil || last.Verdict == v1alpha1.PreviewBlocked || slices.ContainsFunc(last.Findings, isNotChecked)
	switch {
	case isPreliminary && age < 10*time.Minute:
		return time.Minute
	case isPreliminary && age < 2*time.Hour:
		return 10 * time.Minute
	}
	return time.Hour
}

// preview returns the last plan of a suspended Migrate that has not started; nil if there is none.
func (l *loop) preview(ctx context.Context, s *migrateState, m *v1alpha1.Migrate) *v1alpha1.MigratePreviewStatus {
	if !migration.NeedsPreview(m) {
		s.previews.forget(migration.Cluster{})
		return nil
	}
	last, _ := s.previews.last(migration.Cluster{})
	interval := previewInterval(last, l.Clock.Now().Sub(migration.StartTime(m)))
	return inquireOrLast(l, s, &s.previews, migration.Cluster{}, interval, func(last *v1alpha1.MigratePreviewStatus) *v1alpha1.MigratePreviewStatus {
		select {
		case l.previews <- struct{}{}:
			defer func() { <-l.previews }()
		case <-ctx.Done():
			return last
		}
		made, err := l.plan(ctx, m)
		if err != nil {
			return last
		}
		return made
	})
}

// asCreated returns a Migrate as if it was created now. Its UID depends on its namespace and spec only, so that
// the ServerStatusRequests of equal previews are the same.
func asCreated(m *v1alpha1.Migrate, now time.Time) *v1alpha1.Migrate {
	m = m.DeepCopy()
	m.Status, m.Spec.Suspend = v1alpha1.MigrateStatus{}, nil
	m.CreationTimestamp = metav1.NewTime(now)
	spec, err := json.Marshal(m.Spec)
	if err != nil {
		panic(err) // a spec was decoded from JSON
	}
	m.UID = types.UID(uuid.NewSHA1(uuid.NameSpaceOID, append([]byte(m.Namespace+"/"), spec...)).String())
	if len(validation.IsDNS1123Subdomain(m.Name)) > 0 {
		m.Name = "preview"
	}
	return m
}

// preview is a preview that is made.
type preview struct {
	Config
	sharings  *sharings
	m         *v1alpha1.Migrate
	askVelero bool
	plan      migration.Plan

	mutex   sync.Mutex
	seen    map[migration.Cluster]migration.Member
	surveys migration.Surveys
}

// each calls f for each cluster side by side, until ctx ends. A panic in a call is logged: the cluster is not read
// then.
func (p *preview) each(ctx context.Context, timeout time.Duration, clusters []migration.ClusterPlan, f func(context.Context, migration.ClusterPlan)) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it did not answer within %s", timeout))
	defer cancel()
	var calls sync.WaitGroup
	for _, c := range clusters {
		calls.Go(func() { p.contain(ctx, c, func() { f(ctx, c) }) })
	}
	calls.Wait()
}

// contain calls f. A panic is logged, and the cluster counts as not read.
func (p *preview) contain(ctx context.Context, c migration.ClusterPlan, f func()) {
	err := recovery.Do(ctx, func() error {
		f()
		return nil
	})
	if err != nil {
		klog.FromContext(ctx).Error(err, "Reading a cluster for a preview failed", "cluster", c.Cluster.Name)
		p.mutex.Lock()
		defer p.mutex.Unlock()
		p.surveys.NotChecked[c.Cluster] = append(p.surveys.NotChecked[c.Cluster], migration.NotChecked{What: "what it has", Err: err})
	}
}

// resolve resolves the clusters, and checks the access of the requester to them.
func (p *preview) resolve(ctx context.Context) {
	reading, cancel := context.WithTimeout(ctx, previewAccessTimeout)
	plan := migration.Resolve(p.m, p.Host.Read(reading, p.m.Namespace, &p.m.Spec))
	cancel()
	known := map[migration.Cluster]migration.Access{}
	p.each(ctx, previewAccessTimeout, plan.NotStarted(), func(ctx context.Context, c migration.ClusterPlan) {
		access := p.Permission.Check(ctx, p.m, c, p.Members.Member(p.m.Namespace, c.Velero()))
		p.mutex.Lock()
		defer p.mutex.Unlock()
		known[c.Cluster] = access
	})
	p.plan = plan.WithAccess(known)
}

// errNotReviewed is why something is not read of a member that reviews what the requester may do there.
var errNotReviewed = errors.New("with --member-access-review only what the requester may read there is read")

// notReviewed describes what a survey of a target leaves out.
func notReviewed(request migration.SurveyRequest) string {
	const always = "quotas, node ports, and what the filter leaves behind"
	if request.HideExisting {
		return "which objects it has, " + always
	}
	return always
}

// usable returns the clusters that may be read.
func (p *preview) usable() (clusters []migration.ClusterPlan) {
	for _, v := range p.plan.Veleros() {
		clusters = append(clusters, p.plan.Of(v.Cluster))
	}
	return clusters
}

// request returns the request for a survey of a cluster.
func (p *preview) request(c migration.ClusterPlan) migration.SurveyRequest {
	request := migration.SurveyRequest{OnlySelected: p.Permission.ReviewsMembers()}
	if p.askVelero {
		request.ServerStatus = velero.NewServerStatusRequest(p.m, c.Cluster.Name)
	}
	if p.m.Spec.Policy != nil {
		request.Policy = *p.m.Spec.Policy
	}
	return request
}

// readAll reads of each cluster what the driver waits for, and surveys the source.
func (p *preview) readAll(ctx context.Context) {
	p.each(ctx, previewReadTimeout, p.usable(), func(ctx context.Context, c migration.ClusterPlan) {
		member := p.Members.Member(p.m.Namespace, c.Velero())
		var calls sync.WaitGroup
		if c.Source {
			calls.Go(func() { p.contain(ctx, c, func() { p.surveySource(ctx, c, member) }) })
		}
		seen := member.Read(ctx, c.Objects)
		var err error
		if seen.Err == nil && c.NeedsPrerequisites() {
			seen.Checked = &migration.Checked{}
			*seen.Checked, err = member.CheckPrerequisites(ctx, c.Prerequisites)
		}
		p.mutex.Lock()
		if p.seen[c.Cluster] = seen; err != nil {
			p.surveys.NotChecked[c.Cluster] = append(p.surveys.NotChecked[c.Cluster], migration.NotChecked{What: "what spec.policy.volumes needs", Err: err})
		}
		p.mutex.Unlock()
		calls.Wait()
	})
}

// surveySource surveys the source, and reads its queue.
func (p *preview) surveySource(ctx context.Context, c migration.ClusterPlan, source Member) {
	var calls sync.WaitGroup
	running, waiting := migration.Running{}, int64(0)
	calls.Go(func() {
		p.contain(ctx, c, func() {
			running.Backups, running.Err = source.RunningBackups(ctx)
			waiting = p.waitingMigrates(ctx, c.Cluster)
		})
	})
	defer calls.Wait()
	survey := source.SurveySource(ctx, p.request(c))
	calls.Wait()
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.surveys.Source, p.surveys.Running, p.surveys.WaitingMigrates = &survey, &running, waiting
}

// waitingMigrates returns the number of Migrates of the namespace that wait for their turn in a source.
func (p *preview) waitingMigrates(ctx context.Context, source migration.Cluster) (waiting int64) {
	list, err := p.Migrates.List(ctx, p.m.Namespace)
	if err != nil {
		return 0
	}
	for i := range list.Items {
		s := list.Items[i].Status.SourceClusterStatus
		if s != nil && migration.ClusterOf(s.ClusterStatus) == source && s.Reason == v1alpha1.ReasonWaitingInQueue {
			waiting++
		}
	}
	return waiting
}

// surveyTargets surveys the targets for what the source has selected.
func (p *preview) surveyTargets(ctx context.Context) {
	of := p.surveys.Source
	if of == nil {
		return
	}
	source := p.Members.Member(p.m.Namespace, p.plan.Source().Velero())
	var targets []migration.ClusterPlan
	for _, c := range p.usable() {
		if !c.Source && p.seen[c.Cluster].Err == nil {
			targets = append(targets, c)
		}
	}
	p.each(ctx, previewTargetTimeout, targets, func(ctx context.Context, c migration.ClusterPlan) {
		member, request := p.Members.Member(p.m.Namespace, c.Velero()), p.request(c)
		var calls sync.WaitGroup
		calls.Go(func() { p.contain(ctx, c, func() { p.checkSharing(ctx, c) }) })
		defer calls.Wait()
		request.HideExisting = !p.Permission.MayRead(ctx, p.m, c, member)
		survey := member.SurveyTarget(ctx, request, of, source.Object)
		if request.OnlySelected {
			survey.NotChecked = append(survey.NotChecked, migration.NotChecked{What: notReviewed(request), Err: errNotReviewed})
		}
		p.mutex.Lock()
		defer p.mutex.Unlock()
		p.surveys.Targets[c.Cluster] = &survey
	})
}

// checkSharing determines whether a target shares the storage of the source, if their locations alone don't show it.
func (p *preview) checkSharing(ctx context.Context, c migration.ClusterPlan) {
	p.mutex.Lock()
	check, needed := migration.SharingCheckOf(c.Cluster, migration.Observation{Plan: p.plan, Members: p.seen})
	p.mutex.Unlock()
	if !needed {
		return
	}
	sharing := p.sharings.check(ctx, p.Members, p.m.Namespace, check, p.Clock)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	member := p.seen[c.Cluster]
	member.Sharing = &sharing
	p.seen[c.Cluster] = member
}
