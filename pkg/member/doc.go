// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package member is one member cluster: the connection to it, whether it
// answers, calls to its Velero, and watches of the Velero objects that are ours.
//
// A member is somebody else's cluster. It may be gone, hang, be cut off, or be
// hostile, and so may the kubeconfig that leads to it; nothing of that may hold
// up another member or the API. So every call has a deadline, a member gets only
// so many calls at a time, and one that doesn't answer is left alone for a while
// that grows from a second to a minute; until then calls fail at once with an
// UnreachableError. An error status of the API is an answer; anything else that
// prevents one is a failure of the connection.
//
// A connection belongs to a kubeconfig's content. It is read again when a connection
// is opened, after the member refused the credentials or did not answer, on
// Invalidate, and otherwise once a minute; when it has changed, a new connection takes
// the place of the old one and the watches move over. A Member is a cluster with one
// of its Veleros, whose namespace never changes.
//
// # What a kubeconfig may lead to
//
// Whoever may write the Secret of a kubeconfig writes what this server does with it, so
// it is input: nothing in it may run a program, read a file, name a proxy or another
// user, be larger than a Secret, or have YAML aliases, which can expand to gigabytes.
// Where it leads is looked at when a connection is opened, by the address that a name
// stands for at that moment: this machine, link-local and multicast addresses and the
// metadata services of clouds are not called unless an Option allows it. The same holds
// for the URL at which a member's Velero says that its results are. Redirects are not
// followed.
//
// Behind a proxy of the environment, the proxy's address is the operator's choice, and
// the host that it is asked for is looked at before. The proxy resolves the name again;
// that it gets another answer then is not noticed here.
//
// A member's address, and what a refused connection says, is told in the status: who
// writes a kubeconfig can find out by it what this server can reach. Keep private
// networks that nobody may know about from it by a NetworkPolicy.
//
// # What is asked beyond the objects
//
// Diagnose finds out why Velero makes no progress, and Results what the errors of an
// object were, in the way of the velero CLI: by a ServerStatusRequest, and by a
// DownloadRequest whose URL is read from the storage. Both write an object of the
// Migrate's own name and UID label, which Velero removes after some minutes. A
// member whose kubeconfig does not allow it is used all the same.
//
// # How fast a dead member is noticed by a watch
//
// Each of Backups, Restores and BackupStorageLocations has a list and watch of
// its own. With the default Options:
//
//   - A process that ends (connection closed or reset): at once. The watch ends,
//     the list that follows fails.
//   - A process that is stopped, or a network that swallows packets: an HTTP/2
//     ping goes out after 10 s of silence and is given 5 s, then the list that
//     follows has 5 s to connect and 10 s to be answered. 30 s at most.
//   - The same behind a proxy that speaks HTTP/1.1 only: a lost network is found
//     by TCP keepalive, after 25 s of silence, and the list that follows as above;
//     a stopped process is only found by the next call.
//
// It imports nothing of ours but packages migration, recovery, velero and yamlalias.
package member
