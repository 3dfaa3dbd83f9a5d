// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package admission adds to the admission chain what is particular to Migrates. This
// is also the place of the threat model, since what a Migrate may do is decided
// first of all when it is created.
//
// # What is worth protecting
//
//   - The content of the member clusters: what a migration reads, Secrets among it,
//     and what it writes. The server reaches them with kubeconfigs that are mostly
//     an administrator's.
//   - Those kubeconfigs, and the server's own credentials on the host and in etcd.
//   - The bucket that the members' Veleros share: who restores from it has what was
//     backed up.
//   - The truth of a status, and who is told it: names of clusters, namespaces and
//     errors of one tenant are nothing to another.
//   - The server as such: one tenant, or one member, must not take it from the others.
//
// # Who is trusted with what
//
//   - The host's administrators and its kube-apiserver: with everything. The host
//     says who somebody is and what they may; the server believes it over mutual TLS
//     with the front proxy's CA, and nobody else.
//   - A tenant's users: with what RBAC gives them, in their namespaces. They may write
//     any Migrate, and often the Fleet, the cluster objects and the Secrets with the
//     kubeconfigs too, so none of these is believed.
//   - A member cluster: with its own content, and nothing else. It may be gone, hang,
//     lie, and answer with anything; so may the storage that its Velero names.
//   - Whoever can write in a member's Velero namespace: they own that member's
//     backups anyway. The server tells what stands there; it can't tell a forged
//     status from Velero's.
//
// # What each check stops
//
//   - RBAC on migrates: who may see, create and delete Migrates at all, by namespace.
//     migrates/status can be read, and written by nobody.
//   - Plugin ClusterUse: that the right to create Migrates is the right to all
//     clusters. It takes the verb use on each, or on the Fleet that stands for its
//     members, and is asked for again when the migration starts (package driver),
//     since the permission and the Fleet may have changed.
//   - spec.requester, which the server sets: that somebody migrates in another's name,
//     or that it can't be told later who it was. It is on every Velero object and in
//     the audit log.
//   - --member-access-review, where the members know the host's users: that a user
//     reads or writes by a migration what they could not in the member by themselves.
//     It is asked before a member is read or written for them. Users and groups whose
//     names begin with system: are somebody else in every cluster (the ServiceAccount
//     velero/velero of the host is not the member's), so they are refused and not asked
//     about, unless the operator says that they mean the same.
//   - Names and labels bound to the UID (package velero): that a Migrate touches the
//     objects of another one, or restores a predecessor's data.
//   - The bounds on kubeconfigs (package member): that a Secret makes the server run
//     a program, read a file, go through a proxy, act as somebody else or call into
//     its own network; that its content shows up in an error or a log.
//   - The bounds on members (package member): deadlines, sizes and numbers of calls, so
//     that a member which hangs or floods takes nothing from another.
//   - The host's own policies, quotas, webhooks, audit and flow control, which act on
//     Migrates as on everything else, and validation, which refuses what Velero would
//     refuse and what is too large to be handled.
//
// # What is left
//
//   - Without --member-access-review, use of a cluster is use of all of it: its
//     creator can move any namespace of the source, Secrets included, into any target.
//   - Use of a Fleet is use of whatever clusters it has when the migration starts:
//     who may edit the Fleet chooses them, from its own namespace.
//   - Between the question and the act, some seconds pass: a permission that is taken
//     away at that moment is too late for what has begun, and a Restore that runs is
//     never stopped. The host's answers are cached for up to ten seconds besides.
//   - The bucket is protected by its own credentials and by what each Velero may do;
//     data stays in it until Velero's expiry.
//   - A member review asks for what the filter says, not for the objects it finds. What
//     Velero's CSI plugin makes to move the data of a volume, with the Secrets that the
//     cluster's VolumeSnapshotClasses name, is not asked about where it is excluded, and
//     neither is what a hook in an annotation of a selected Pod runs there. Nor does it
//     ask for bind and escalate, which Velero's own credential has: whoever may create
//     RoleBindings in a target has them restored. The data of volumes goes with the
//     objects that are selected.
//   - The groups of a requester are those of the moment of creation: a permission by a
//     group that they have left since is still theirs in this Migrate.
//   - Who may read a Migrate reads its requester, groups and extra included.
//   - Addresses in private networks are allowed, for that is where members are, but for
//     those of the host's Services: who writes a kubeconfig learns by the error whether
//     something answers there by TLS. --member-address-ranges names where members are. A
//     host without ServiceCIDR objects says no more than the addresses of the Service
//     kubernetes, and none says where its pods are.
//     Behind a proxy it is the proxy that looks a name up in the end.
package admission
