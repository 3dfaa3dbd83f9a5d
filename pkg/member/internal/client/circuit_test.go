// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
)

var errDown = errors.New("connection refused")

func TestCircuitBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit(Backoff{time.Second, time.Minute})
		began := time.Now()
		for _, longest := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			done, err := c.admit()
			if err != nil {
				t.Fatalf("not admitted: %v", err)
			}
			done(errDown)

			_, err = c.admit()
			var unreachable *UnreachableError
			if !errors.As(err, &unreachable) || !errors.Is(err, errDown) {
				t.Fatalf("admitted or other error: %v", err)
			}
			if unreachable.Since != began {
				t.Errorf("since %v, want %v", unreachable.Since, began)
			}
			pause := time.Until(unreachable.NextTry)
			if pause > longest*time.Second || pause < longest*time.Second*3/4 {
				t.Errorf("next try in %v, want up to a quarter less than %v s", pause, longest)
			}
			before := time.Now()
			c.wait(context.Background())
			if waited := time.Since(before); waited != pause {
				t.Errorf("waited %v, want %v", waited, pause)
			}
		}
		done, _ := c.admit()
		done(nil)
		if _, err := c.admit(); err != nil {
			t.Errorf("not admitted after an answer: %v", err)
		}
	})
}

func TestCircuitProbesOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit(Backoff{time.Second, time.Minute})
		done, _ := c.admit()
		done(errDown)
		time.Sleep(time.Second)
		probe, err := c.admit()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.admit(); err == nil {
			t.Error("a second probe was admitted")
		}
		waited := make(chan struct{})
		go func() {
			c.wait(context.Background())
			close(waited)
		}()
		synctest.Wait()
		probe(ErrAbandoned)
		<-waited
		probe, err = c.admit()
		if err != nil {
			t.Fatalf("an abandoned probe was not given up: %v", err)
		}
		probe(nil)
		if _, err := c.admit(); err != nil {
			t.Errorf("not admitted after an answer: %v", err)
		}
	})
}

func TestCircuitCountsFailuresTogetherOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit(Backoff{time.Second, time.Minute})
		var calls []func(error)
		for range 5 {
			done, _ := c.admit()
			calls = append(calls, done)
		}
		for _, done := range calls {
			done(errDown)
		}
		if c.failures != 1 {
			t.Errorf("%d failures, want 1", c.failures)
		}
	})
}

func TestCircuitRetryNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit(Backoff{time.Minute, time.Minute})
		done, _ := c.admit()
		done(errDown)
		waited := make(chan struct{})
		go func() {
			c.wait(context.Background())
			close(waited)
		}()
		synctest.Wait()
		c.retryNow()
		<-waited
		if _, err := c.admit(); err != nil {
			t.Errorf("not admitted: %v", err)
		}
	})
}

func TestCircuitRetriesTheHostSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit(Backoff{time.Minute, time.Minute})
		done, _ := c.admit()
		done(&accessError{errors.New("kubeconfig Secret not found")})
		time.Sleep(10 * time.Second)
		if _, err := c.admit(); err != nil {
			t.Errorf("not admitted: %v", err)
		}
	})
}

// TestTentativeFailures don't open a circuit, but count as those of a probe, unless they exceed a limit.
func TestTentativeFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit(Backoff{time.Second, time.Minute})
		done, _ := c.admit()
		done(tentativeError{errDown})
		done, err := c.admit()
		if err != nil {
			t.Fatal("a tentative failure opens the circuit")
		}
		done(errDown)
		for _, longest := range []time.Duration{2, 4} {
			c.wait(t.Context())
			if done, err = c.admit(); err != nil {
				t.Fatal(err)
			}
			done(tentativeError{errDown})
			_, err := c.admit()
			var unreachable *UnreachableError
			if !errors.As(err, &unreachable) || time.Until(unreachable.NextTry) <= longest*time.Second/2 {
				t.Errorf("after a probe that fails: %v", err)
			}
		}
		c.wait(t.Context())
		done, _ = c.admit()
		done(tentativeError{limits.Exceeded(limits.Answer, "too large")})
		if done, err = c.admit(); err != nil {
			t.Errorf("a probe that exceeds a limit: %v", err)
		}
		done(nil)
	})
}
