// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"fmt"
	"net/netip"

	cliflag "k8s.io/component-base/cli/flag"
)

// Members are the options of the calls to member clusters. The kubeconfigs come from
// Secrets that tenants write, so every default is the strict one.
type Members struct {
	// Readiness is how it is determined whether a cluster is ready: ReadinessStatus or ReadinessProbe.
	Readiness string
	// AllowInsecureTLS accepts kubeconfigs with insecure-skip-tls-verify.
	AllowInsecureTLS bool
	// AllowLocalAddresses allows loopback, link-local, unspecified and multicast
	// addresses and those of cloud metadata services.
	AllowLocalAddresses bool
	// AddressRanges are CIDRs. If there are any, no other addresses are allowed.
	AddressRanges []string
	// AccessReview has each member review the permissions of a Migrate's requester.
	AccessReview bool
	// AccessReviewSystemIdentities sends identities of the host that begin with system:
	// to the members, too, where AccessReview is set.
	AccessReviewSystemIdentities bool
	// AccessProviders is a file with the programs that get the credentials of ClusterProfiles.
	AccessProviders string
}

// The values of Members.Readiness.
const (
	// ReadinessStatus takes the status of its object, which Kurator or another cluster manager writes.
	ReadinessStatus = "status"
	// ReadinessProbe asks its API server.
	ReadinessProbe = "probe"
)

func (m *Members) addFlags(sets *cliflag.NamedFlagSets) {
	fs := sets.FlagSet("member clusters")
	fs.StringVar(&m.Readiness, "cluster-readiness", m.Readiness,
		"How it is determined whether a cluster is ready: status takes status.ready of its AttachedCluster, the phase of its Cluster, or the condition ControlPlaneHealthy of its ClusterProfile; probe asks its API server with its kubeconfig, for hosts without Kurator.")
	fs.StringVar(&m.AccessProviders, "cluster-access-providers", m.AccessProviders,
		"File with the programs that return credentials for ClusterProfiles, in the format of KEP-5339: providers, each with a name and an execConfig (apiVersion, command, args, env, provideClusterInfo). "+
			"Whoever can write the status of ClusterProfiles decides to which servers these credentials are sent.")
	fs.BoolVar(&m.AllowInsecureTLS, "member-allow-insecure-tls", m.AllowInsecureTLS,
		"Accept kubeconfigs with insecure-skip-tls-verify. Anyone on the network path to such a member can read its credentials and impersonate it.")
	fs.BoolVar(&m.AllowLocalAddresses, "member-allow-local-addresses", m.AllowLocalAddresses,
		"Allow loopback, link-local, unspecified and multicast addresses, and the addresses of cloud metadata services, for members and for the storage that a member's Velero names. "+
			"Anyone who can write a kubeconfig Secret can then make this server connect to services on its own machine. Use it only where the whole fleet runs on one machine.")
	fs.StringSliceVar(&m.AddressRanges, "member-address-ranges", m.AddressRanges,
		"CIDRs, for example 10.0.0.0/8, that contain the addresses of all members and of the storage that their Veleros name; no other address is allowed. If empty, any non-local address is allowed. The host's Services, "+
			"which anyone who can write a kubeconfig Secret could make this server connect to, stay refused unless a range given here lies within the host's Service range.")
	fs.BoolVar(&m.AccessReview, "member-access-review", m.AccessReview,
		"Before anything is read or written in a member for a Migrate, check with SubjectAccessReviews in that member that the user who created the Migrate may read what it selects (in the source) or create it (in a target). "+
			"The members must know the host's users by the same user and group names.")
	fs.BoolVar(&m.AccessReviewSystemIdentities, "member-access-review-system-identities", m.AccessReviewSystemIdentities,
		"With --member-access-review, also review users and groups whose names begin with system:. By default Migrates created by such users, for example by ServiceAccounts, nodes or members of system:masters, are refused, "+
			"because a system: name is a different identity in each cluster: the host's ServiceAccount would get the permissions of the member's ServiceAccount of the same name.")
}

// Ranges returns the parsed AddressRanges; the error names the flag.
func (m *Members) Ranges() ([]netip.Prefix, error) {
	var ranges []netip.Prefix
	for _, text := range m.AddressRanges {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("--member-address-ranges: %q is not a CIDR such as 10.0.0.0/8", text)
		}
		ranges = append(ranges, prefix.Masked())
	}
	return ranges, nil
}

func (m *Members) validate() []error {
	var errs []error
	if m.Readiness != ReadinessStatus && m.Readiness != ReadinessProbe {
		errs = append(errs, fmt.Errorf("--cluster-readiness: %q is neither %s nor %s", m.Readiness, ReadinessStatus, ReadinessProbe))
	}
	if _, err := m.Ranges(); err != nil {
		errs = append(errs, err)
	}
	return errs
}
