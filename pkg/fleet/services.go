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

// servicesInterval is the time between two reads of the ranges.
const servicesInterval = time.Minute

// Services reads the IP ranges of the host's Services: those of its ServiceCIDR objects, which
// Kubernetes has since 1.33, and the addresses of the Service kubernetes, which every host has.
type Services struct {
	client kubernetes.Interface

	mutex  sync.Mutex
	ranges []netip.Prefix
	// missing is why the ranges are unknown.
	missing error
	refused string
}

// NewServices returns Services, which need Run.
func NewServices(client kubernetes.Interface) *Services {
	return &Services{client: client, missing: errors.New("they have not been read yet")}
}

// Run reads the ranges periodically until ctx ends.
func (s *Services) Run(ctx context.Context) {
	wait.UntilWithContext(ctx, s.read, servicesInterval)
}

// Ranges returns the ranges. It returns an error until the host has answered once; ranges that
// the host forbids to read are left out.
func (s *Services) Ranges() ([]netip.Prefix, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.ranges, s.missing
}

// read reads the ranges, and keeps the last ones while the host gives no answer.
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
	s.record(ctx, ranges, errors.Join(refused, alsoRefused), errors.Join(missing, alsoMissing))
}

// classify returns an error as refused if the host forbids the read, or as missing if it gave no
// answer. A kind that the host does not serve is neither.
func classify(err error) (refused, missing error) {
	switch {
	case err == nil, apierrors.IsNotFound(err):
		return nil, nil
	case apierrors.IsForbidden(err):
		return err, nil
	}
	return nil, err
}

func (s *Services) record(ctx context.Context, ranges []netip.Prefix, refused, missing error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if text := fmt.Sprint(refused); refused != nil && text != s.refused {
		klog.FromContext(ctx).Error(refused, "Reading the IP ranges of the host's Services is forbidden: apply the RBAC of this version, or members may have addresses in them")
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
