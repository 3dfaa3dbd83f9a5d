// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
)

// servicesInterval is how old what is known of the host's Services may get.
const servicesInterval = time.Minute

// Services knows at which addresses the host's Services are: the ranges of its ServiceCIDR
// objects, which it has since Kubernetes 1.33, and on any host at least the addresses of
// the Service kubernetes.
type Services struct {
	client kubernetes.Interface

	mutex  sync.Mutex
	ranges []netip.Prefix
	// missing is why nothing is known.
	missing error
	refused string
}

// NewServices returns Services that are known once Run has read them.
func NewServices(client kubernetes.Interface) *Services {
	return &Services{client: client, missing: errors.New("they have not been read yet")}
}

// Run keeps them known until ctx ends.
func (s *Services) Run(ctx context.Context) {
	wait.UntilWithContext(ctx, s.read, servicesInterval)
}

// Ranges returns the ranges of addresses. An error says that the host gave no answer
// since the start; one that refuses to say holds up nothing.
func (s *Services) Ranges() ([]netip.Prefix, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.ranges, s.missing
}

// read reads them. What was known holds while the host gives no answer.
func (s *Services) read(ctx context.Context) {
	var ranges []netip.Prefix
	cidrs, err := s.client.NetworkingV1().ServiceCIDRs().List(ctx, metav1.ListOptions{})
	refused, missing := classify(err)
	if err == nil {
		for i := range cidrs.Items {
			for _, text := range cidrs.Items[i].Spec.CIDRs {
				if prefix, err := netip.ParsePrefix(text); err == nil {
					ranges = append(ranges, prefix)
				}
			}
		}
	}
	service, err := s.client.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	alsoRefused, alsoMissing := classify(err)
	if err == nil {
		for _, text := range service.Spec.ClusterIPs {
			if ip, err := netip.ParseAddr(text); err == nil {
				ranges = append(ranges, netip.PrefixFrom(ip, ip.BitLen()))
			}
		}
	}
	s.note(ctx, ranges, errors.Join(refused, alsoRefused), errors.Join(missing, alsoMissing))
}

// classify says whether an error is that the host refuses to say, or that it gave no
// answer. That it does not serve a kind is neither.
func classify(err error) (refused, missing error) {
	switch {
	case err == nil, apierrors.IsNotFound(err):
		return nil, nil
	case apierrors.IsForbidden(err):
		return err, nil
	}
	return nil, err
}

func (s *Services) note(ctx context.Context, ranges []netip.Prefix, refused, missing error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if text := fmt.Sprint(refused); refused != nil && text != s.refused {
		klog.FromContext(ctx).Error(refused, "Which addresses the host's Services have can't be read: apply the RBAC of this version, or members may be at them")
		s.refused = text
	}
	if missing != nil {
		if s.missing != nil {
			s.missing = missing
		}
		return
	}
	s.ranges, s.missing = ranges, nil
}
