// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"time"

	"kurator.dev/migrate-apiserver/test/netproxy"
)

// memberFaults returns the cases with faults of a member's API server, or of the network to
// it.
func memberFaults() []faultCase {
	return []faultCase{{
		name: "source-down-before",
		steps: []step{
			{do(kill(apiserverOf(source)), apply), expectation{0: reports("MemberUnreachable"), source: reports("MemberUnreachable", "Reading kurator-member1 has failed since ")}},
			{start(apiserverOf(source)), nil},
		},
	}, {
		name: "target-down-before",
		steps: []step{
			{do(kill(apiserverOf(2)), apply), expectation{
				source: reports("NoTargetReady", "No target is ready for the Backup, so it is not created yet. kurator-member2: Reading kurator-member2 has failed since "),
				2:      reports("MemberUnreachable", "Reading kurator-member2 has failed since "),
			}},
			{start(apiserverOf(2)), nil},
		},
	}, {
		name: "source-down-during",
		steps: []step{
			{do(stop(veleroOf(source)), apply), expectation{source: reports(backupNew)}},
			{kill(apiserverOf(source)), expectation{0: reports("MemberUnreachable"), source: reports("MemberUnreachable", "Reading kurator-member1 has failed since ")}},
			{do(resume(veleroOf(source)), start(apiserverOf(source))), nil},
		},
	}, {
		name:    "target-down-during",
		targets: []int{2, 3},
		steps: []step{
			{do(stop(veleroOf(2)), apply), expectation{2: reports(restoreNew), 3: reports("RestoreCompleted")}},
			{do(kill(apiserverOf(2)), resume(veleroOf(2))), expectation{0: reports("MemberUnreachable", "1 of 2 targets done."), 2: reports("MemberUnreachable", "Reading kurator-member2 has failed since ")}},
			{start(apiserverOf(2)), nil},
		},
	}, {
		name: "source-and-target-down-after",
		steps: []step{
			{do(apply, awaitTerminal), expectation{source: reports("BackupCompleted"), 2: reports("RestoreCompleted")}},
			{do(kill(apiserverOf(source), apiserverOf(2)), checkLive, start(apiserverOf(source), apiserverOf(2))), nil},
		},
	}, {
		name: "source-silent-before",
		steps: []step{
			{do(link(netproxy.Refuse, source), link(netproxy.Blackhole, source), apply), expectation{source: reports("MemberUnreachable", "TLS handshake timeout")}},
			{link(netproxy.Pass, source), nil},
		},
	}, {
		// One target is silent because of the network and one because of its process;
		// the third must complete.
		name:    "targets-silent-during",
		targets: []int{2, 3, 4},
		steps: []step{
			{do(stop(veleroOf(2), veleroOf(3)), apply), expectation{2: reports(restoreNew), 3: reports(restoreNew), 4: reports("RestoreCompleted")}},
			{do(link(netproxy.Blackhole, 2), stop(apiserverOf(3))), expectation{
				0: reports("MemberUnreachable", "1 of 3 targets done."),
				2: reports("MemberUnreachable", "Reading kurator-member2 has failed since "),
				3: reports("MemberUnreachable", "Reading kurator-member3 has failed since "),
			}},
			{do(resume(veleroOf(2), veleroOf(3), apiserverOf(3)), link(netproxy.Pass, 2)), nil},
		},
	}, {
		name: "connections-reset",
		steps: []step{
			{do(stop(veleroOf(source)), apply), expectation{source: reports(backupNew)}},
			{link(netproxy.Reset, source), expectation{source: reports("MemberUnreachable", "connection reset by peer")}},
			{do(stop(veleroOf(2)), resume(veleroOf(source)), link(netproxy.Pass, source)), expectation{source: reports("BackupCompleted"), 2: reports(restoreNew)}},
			{link(netproxy.Reset, 2), expectation{2: reports("MemberUnreachable", "connection reset by peer")}},
			{do(resume(veleroOf(2)), link(netproxy.Pass, 2)), nil},
		},
	}, {
		name: "network-slow",
		steps: []step{
			{do(link(netproxy.Delay(200*time.Millisecond), source, 2), apply), nil},
		},
	}}
}
