// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package servingcert

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"k8s.io/client-go/util/cert"
)

// TestTrustedForThirtyYears runs replicas for thirty years, in which each step of each one comes late, up to three days, and the
// host's API servers notice a change of the APIService up to nine minutes late. At every moment all of them trust what each replica
// serves.
func TestTrustedForThirtyYears(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := &world{t: t, random: rand.New(rand.NewPCG(seed, 0)), now: start, pause: time.Minute, authorities: map[string]bool{}, certificates: map[string]bool{}, trusted: map[string]bool{}}
			w.replicas = make([]replica, 3)
			for w.now.Before(start.Add(30 * 365 * day)) {
				w.step()
				if t.Failed() {
					return
				}
			}
			if len(w.authorities) != 5 {
				t.Errorf("%d CAs, want 5: the first, and one each 6 years and 8 months", len(w.authorities))
			}
			if n := len(w.certificates); n < 175 || n > 190 {
				t.Errorf("%d certificates, want one each 60 days", n)
			}
		})
	}
}

// quiet is the longest time between two steps while no CA changes; replicas make whole syncs then.
const quiet = 10 * day

// world is a host with a Secret and an APIService.
type world struct {
	t      *testing.T
	random *rand.Rand
	now    time.Time

	secret        map[string][]byte
	secretVersion int
	// pause is the longest time between two steps.
	pause         time.Duration
	bundle        []byte
	bundleVersion int
	// former are the bundles of the APIService that an API server may still use, and until when.
	former []formerBundle

	replicas                  []replica
	authorities, certificates map[string]bool
	// trusted are the pairs of bundle and certificate that have been verified, apart from the time.
	trusted map[string]bool
}

type formerBundle struct {
	bundle []byte
	until  time.Time
}

// replica is a replica, in the middle of a sync.
type replica struct {
	stage int
	// resumes is when it goes on after it has been late.
	resumes time.Time

	bundle        []byte
	bundleVersion int
	since         time.Time
	secret        map[string][]byte
	secretVersion int

	serving *x509.Certificate
}

// step lets some time pass, and has one replica go one step on or, while no CA changes, each one make a whole sync.
func (w *world) step() {
	w.now = w.now.Add(time.Duration(w.random.Int64N(int64(w.pause))))
	if w.pause != quiet {
		w.advance(&w.replicas[w.random.IntN(len(w.replicas))])
		return
	}
	for _, i := range w.random.Perm(len(w.replicas)) {
		w.advance(&w.replicas[i])
		for w.replicas[i].stage != 0 && w.pause == quiet && !w.now.Before(w.replicas[i].resumes) {
			w.advance(&w.replicas[i])
		}
	}
}

// advance has a replica go one step on, unless it is late.
func (w *world) advance(r *replica) {
	if w.now.Before(r.resumes) {
		return
	}
	odds := 20
	if w.pause == quiet {
		odds = 500
	}
	if w.random.IntN(odds) == 0 {
		r.resumes = w.now.Add(time.Duration(w.random.Int64N(int64(3 * day))))
		return
	}
	w.sync(r)
	w.check()
}

// sync does what Provider.sync does, one call to the host at a time.
func (w *world) sync(r *replica) {
	r.stage++
	switch r.stage {
	case 1:
		if !bytes.Equal(r.bundle, w.bundle) || r.since.IsZero() {
			r.since = w.now
		}
		r.bundle, r.bundleVersion = w.bundle, w.bundleVersion
	case 2:
		r.secret, r.secretVersion = w.secret, w.secretVersion
		certificates, _ := cert.ParseCertsPEM(r.bundle)
		due, _, err := next(r.secret, trust{certificates, r.since}, service, w.now)
		if err != nil {
			w.t.Fatal(err)
		}
		if due == nil {
			r.stage++ // there is nothing to write
			return
		}
		r.secret = due
	case 3:
		if r.secretVersion != w.secretVersion {
			r.stage = 0
			return
		}
		w.secret = r.secret
		w.secretVersion++
		c := parse(w.secret)
		for _, a := range c.bundle {
			w.authorities[string(a.Raw)] = true
		}
		switch {
		case c.next != nil:
			w.pause = time.Minute
		case len(c.bundle) > 1:
			w.pause = time.Hour
		default:
			w.pause = quiet
		}
		w.certificates[string(w.secret["tls.crt"])] = true
	case 4:
		// Load waits for this before it serves, so the first one is trusted.
		if r.serving != nil {
			r.serving = parse(r.secret).serving.leaf
		}
	case 5:
		r.stage = 0
		if !bytes.Equal(r.bundle, r.secret["ca.crt"]) {
			if r.bundleVersion != w.bundleVersion {
				return
			}
			w.former = append(w.former, formerBundle{w.bundle, w.now.Add(9 * time.Minute)})
			w.bundle, w.bundleVersion = r.secret["ca.crt"], w.bundleVersion+1
		}
		if r.serving == nil {
			// A server that starts does not serve before an API server has asked for it.
			w.former = nil
			r.serving = parse(r.secret).serving.leaf
		}
	}
}

func (w *world) check() {
	bundles := [][]byte{w.bundle}
	for _, f := range w.former {
		if w.now.Before(f.until) {
			bundles = append(bundles, f.bundle)
		}
	}
	for i, r := range w.replicas {
		for _, bundle := range bundles {
			if r.serving == nil {
				continue
			}
			if !w.now.Before(r.serving.NotAfter) {
				w.t.Errorf("after %s: the certificate of replica %d has expired", w.now.Sub(start), i)
			}
			pair := string(bundle) + string(r.serving.Raw)
			if w.trusted[pair] {
				continue
			}
			if err := verify(bundle, r.serving, "migrate-apiserver.migrate-system.svc", w.now); err != nil {
				w.t.Errorf("after %s: replica %d: %v", w.now.Sub(start), i, err)
			}
			w.trusted[pair] = true
		}
	}
}
