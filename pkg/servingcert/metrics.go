// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package servingcert

import (
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

var (
	expiration = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: "migrate", Name: "serving_certificate_expiration_timestamp_seconds", StabilityLevel: metrics.ALPHA,
		Help: "Time, in seconds since 1970, at which the serving certificate that this replica got from its Secret expires.",
	})

	registerMetrics = sync.OnceFunc(func() { legacyregistry.MustRegister(expiration) })
)
