// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"fmt"
	"net/netip"

	cliflag "k8s.io/component-base/cli/flag"
)

// Members are the options of the calls to member clusters, whose kubeconfigs tenants
// write.
type Members struct {
	// AllowInsecureTLS accepts kubeconfigs that don't verify the member.
	AllowInsecureTLS bool
	// AllowLocalAddresses lets members be at addresses of this machine and its
	// network.
	AllowLocalAddresses bool
	// AddressRanges are the only ones at which members may be, as CIDRs.
	AddressRanges []string
	// AccessReview has members asked too what who created a Migrate may do there.
	AccessReview bool
	// AccessReviewSystemIdentities says that identities of the host that begin with
	// system: mean the same in the members.
	AccessReviewSystemIdentities bool
}

func (m *Members) addFlags(sets *cliflag.NamedFlagSets) {
	fs := sets.FlagSet("member clusters")
	fs.BoolVar(&m.AllowInsecureTLS, "member-allow-insecure-tls", m.AllowInsecureTLS,
		"Accept kubeconfigs with insecure-skip-tls-verify. Whoever is on the way to such a member can take its credentials and answer in its place.")
	fs.BoolVar(&m.AllowLocalAddresses, "member-allow-local-addresses", m.AllowLocalAddresses,
		"Let members, and the storage that a member's Velero names, be at loopback, link-local, unspecified and multicast addresses and at those of metadata services of clouds. "+
			"Whoever may write a kubeconfig's Secret can then have this server call what runs on its own machine. For fleets on one machine only.")
	fs.StringSliceVar(&m.AddressRanges, "member-address-ranges", m.AddressRanges,
		"CIDRs in which alone members, and the storage that a member's Velero names, may be, such as 10.0.0.0/8. Empty: anywhere. "+
			"The Services of the host, which whoever may write a kubeconfig's Secret could have this server call, are refused unless a range here lies within theirs.")
	fs.BoolVar(&m.AccessReview, "member-access-review", m.AccessReview,
		"Ask each member cluster by SubjectAccessReviews, before anything else, whether the user who created a Migrate could by themselves read what it selects in the source and create it in the target. The members must know the host's users by the same names and groups.")
	fs.BoolVar(&m.AccessReviewSystemIdentities, "member-access-review-system-identities", m.AccessReviewSystemIdentities,
		"Ask members about users and groups of the host whose names begin with system:, too. Without it Migrates that ServiceAccounts, nodes or members of groups like system:masters created are refused by --member-access-review, "+
			"for in a member these names are somebody else's: the host's ServiceAccount of a name would be allowed what the member's may.")
}

// Ranges are the AddressRanges.
func (m *Members) Ranges() ([]netip.Prefix, error) {
	var ranges []netip.Prefix
	for _, text := range m.AddressRanges {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("--member-address-ranges: %q is no CIDR such as 10.0.0.0/8", text)
		}
		ranges = append(ranges, prefix.Masked())
	}
	return ranges, nil
}

func (m *Members) validate() []error {
	if _, err := m.Ranges(); err != nil {
		return []error{err}
	}
	return nil
}
