// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/component-base/metrics/testutil"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"
)

// TestAlarmsAreReported checks the metric, the log and the readiness while alarms are raised and disarmed.
func TestAlarmsAreReported(t *testing.T) {
	registerAlarms()
	logger := ktesting.NewLogger(t, ktesting.NewConfig(ktesting.BufferLogs(true)))
	ctx := klog.NewContext(t.Context(), logger)
	before := ""
	logged := func() string {
		all := logger.GetSink().(ktesting.Underlier).GetBuffer().String()
		added := strings.TrimPrefix(all, before)
		before = all
		return added
	}
	etcd, read := &fakeLister{}, &Alarms{}
	full, corrupt := etcdserverpb.AlarmMember{MemberID: 1, Alarm: etcdserverpb.AlarmType_NOSPACE}, etcdserverpb.AlarmMember{MemberID: 2, Alarm: etcdserverpb.AlarmType_CORRUPT}
	steps := []struct {
		what             string
		alarms           []*etcdserverpb.AlarmMember
		err              error
		noSpace, corrupt float64
		log              string
	}{
		{what: "no alarm"},
		{what: "raised", alarms: []*etcdserverpb.AlarmMember{&full}, noSpace: 1, log: `alarm="NOSPACE"`},
		{what: "still raised", alarms: []*etcdserverpb.AlarmMember{&full}, noSpace: 1},
		{what: "no answer", err: errors.New("down"), noSpace: 1, log: "Reading the alarms of the etcd failed"},
		{what: "still no answer", err: errors.New("down"), noSpace: 1},
		{what: "another one", alarms: []*etcdserverpb.AlarmMember{&full, &corrupt}, noSpace: 1, corrupt: 1, log: `alarm="CORRUPT"`},
		{what: "disarmed", alarms: []*etcdserverpb.AlarmMember{&corrupt}, corrupt: 1, log: `An alarm of the etcd is disarmed alarm="NOSPACE"`},
	}
	for _, step := range steps {
		etcd.alarms, etcd.err = step.alarms, step.err
		read.read(ctx, etcd)
		if log := logged(); !strings.Contains(log, step.log) || (step.log == "") != (log == "") {
			t.Errorf("%s: logged %q, want %q", step.what, log, step.log)
		}
		if err := read.Check(nil); (err != nil) != (step.corrupt > 0) {
			t.Errorf("%s: the check of readiness: %v", step.what, err)
		}
		for alarm, want := range map[string]float64{"NOSPACE": step.noSpace, "CORRUPT": step.corrupt} {
			if got, err := testutil.GetGaugeMetricValue(alarms.WithLabelValues(alarm)); err != nil || got != want {
				t.Errorf("%s: the metric of %s is %v, %v, want %v", step.what, alarm, got, err, want)
			}
		}
	}
}

type fakeLister struct {
	alarms []*etcdserverpb.AlarmMember
	err    error
}

func (l *fakeLister) AlarmList(context.Context) (*clientv3.AlarmResponse, error) {
	if l.err != nil {
		return nil, l.err
	}
	return &clientv3.AlarmResponse{Alarms: l.alarms}, nil
}
