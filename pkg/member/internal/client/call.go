// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"

	"kurator.dev/migrate-apiserver/pkg/clientmetrics"
	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/member/internal/transport"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/recovery"
)

// ErrVeleroNotInstalled reports that a member does not serve Velero's kinds.
var ErrVeleroNotInstalled = errors.New("Velero is not installed in the cluster: its CustomResourceDefinitions are missing")

// maxMessage is the longest message of a member that is passed on, and maxStatus the largest
// error status that is passed on with its details, in bytes.
const maxMessage, maxStatus = 1024, 16 << 10

// Do makes a call, waiting for a slot. what names it in the message of an error, as in
// "get backup".
func Do[T any](ctx context.Context, c *Client, what string, call func(context.Context, *Connection) (T, error)) (T, error) {
	ctx, cancel := transport.WithTimeout(ctx, c.options.CallTimeout)
	defer cancel()
	c.Touch()

	var none T
	free, err := c.takeSlot(ctx)
	if err != nil {
		return none, fmt.Errorf("%s in %s: %w", what, c, err)
	}
	defer free()
	result, err := Attempt(ctx, c, call)
	if err != nil {
		return none, fmt.Errorf("%s in %s: %w", what, c, err)
	}
	return result, nil
}

// Attempt makes a call if the circuit admits it, and records its outcome. The call may be
// made twice, with two Connections, if the member refuses the credentials.
func Attempt[T any](ctx context.Context, c *Client, call func(context.Context, *Connection) (T, error)) (T, error) {
	var none T
	if limits.AllowanceOf(ctx) == nil {
		ctx = c.Allow(ctx, "an answer", limits.MaxObject)
	}
	if a := limits.AllowanceOf(ctx); !a.IsWatch() {
		defer a.Release()
	}
	conn, done, err := c.open(ctx)
	if err != nil {
		return none, err
	}
	call = contained(call)
	ctx = clientmetrics.WithCluster(ctx, c.namespace, c.velero.Cluster.Name)
	started := time.Now()
	result, err := call(ctx, conn)
	if apierrors.IsUnauthorized(err) {
		// The credentials may have been renewed since they were read. The call was not
		// executed, so it can be repeated.
		c.suspect(conn)
		c.kubeconfigs.Refused(c.namespace, c.velero.Cluster)
		renewed, refreshErr := c.Connection(ctx)
		if refreshErr == nil && renewed != conn {
			conn = renewed
			result, err = call(ctx, conn)
		}
	}
	if err == nil {
		done(nil)
		return result, nil
	}
	recorded := c.outcome(ctx, err, time.Since(started))
	if recorded != nil && ctx.Value(tentativeKey{}) != nil {
		done(tentativeError{recorded})
		return none, Explain(ctx, err)
	}
	if recorded != nil && !errors.Is(recorded, ErrAbandoned) {
		c.suspect(conn)
	}
	done(recorded)
	return none, Explain(ctx, err)
}

// contained returns a call that returns a panic of call as an error: it may be caused by what
// the member answered.
func contained[T any](call func(context.Context, *Connection) (T, error)) func(context.Context, *Connection) (T, error) {
	return func(ctx context.Context, conn *Connection) (result T, err error) {
		err = recovery.Do(ctx, func() (err error) {
			result, err = call(ctx, conn)
			return err
		})
		return result, err
	}
}

// open returns the Connection if the circuit admits an attempt. The caller calls done with the
// outcome of the attempt.
func (c *Client) open(ctx context.Context) (conn *Connection, done func(error), err error) {
	if done, err = c.circuit.admit(); err != nil {
		return nil, nil, err
	}
	if conn, err = c.Connection(ctx); err != nil {
		done(c.outcome(ctx, err, 0))
		return nil, nil, err
	}
	return conn, done, nil
}

// outcome returns what to record of an attempt that failed after the member had a time to
// answer: nil if the member answered with an error status, ErrAbandoned if the caller gave up
// early, else the reason why there was no answer.
func (c *Client) outcome(ctx context.Context, err error, took time.Duration) error {
	var status apierrors.APIStatus
	var hostSide *accessError
	cause := context.Cause(ctx)
	gaveUp := cause != nil && !errors.As(cause, new(transport.TimeoutError))
	switch isHostSide := errors.As(err, &hostSide); {
	case errors.Is(err, ErrAbandoned), errors.Is(err, limits.ErrBusy):
		return ErrAbandoned
	case !isHostSide && errors.As(err, &status):
		return nil
	case gaveUp && took >= c.options.CallTimeout/2:
		return transport.TimeoutError{Within: took.Round(time.Second)}
	case gaveUp:
		return ErrAbandoned
	case isHostSide:
		return err
	}
	return Explain(ctx, err)
}

// Explain returns an error of client-go without the URL, and with the same text for the same
// fault.
func Explain(ctx context.Context, err error) error {
	var exceeded *limits.Error
	if errors.As(err, &exceeded) {
		return exceeded
	}
	if errors.Is(err, limits.ErrBusy) {
		return errBusy
	}
	var status *apierrors.StatusError
	if errors.As(err, &status) {
		return ExplainStatus(status)
	}
	var unanswered *transport.Error
	if errors.As(err, &unanswered) {
		err = unanswered.Cause
	}
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	var refused *transport.AddressError
	if errors.As(err, &refused) {
		return refused
	}
	var op *net.OpError
	if errors.As(err, &op) {
		// The local port is left out, which differs each time.
		return &net.OpError{Op: op.Op, Net: op.Net, Addr: op.Addr, Err: op.Err}
	}
	return err
}

// ExplainStatus returns an error status with a message that says what to do, shortened.
func ExplainStatus(status *apierrors.StatusError) error {
	switch {
	case apierrors.IsNotFound(status) && apierrors.HasStatusCause(status, metav1.CauseTypeUnexpectedServerResponse):
		return ErrVeleroNotInstalled
	case apierrors.HasStatusCause(status, metav1.CauseTypeUnexpectedServerResponse):
		// Its message is left out: a kubeconfig may lead to a server that answers us
		// what it would not answer the author of the kubeconfig.
		return withMessage(status, fmt.Sprintf("it answers %d, and not as Kubernetes does", status.ErrStatus.Code))
	case apierrors.IsUnauthorized(status):
		return fmt.Errorf("the cluster does not accept the credentials of the kubeconfig; renew them in its Secret, or have the access provider of its ClusterProfile return others: %w", shorten(status))
	}
	return shorten(status)
}

func shorten(status *apierrors.StatusError) *apierrors.StatusError {
	if clean := migration.Shorten(status.ErrStatus.Message, maxMessage); clean != status.ErrStatus.Message {
		status = withMessage(status, clean)
	}
	if size, err := limits.SizeOf(status); err == nil && size <= maxStatus {
		return status
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: status.ErrStatus.Code, Message: status.ErrStatus.Message,
		Reason: metav1.StatusReason(migration.Shorten(string(status.ErrStatus.Reason), maxMessage)),
	}}
}

func withMessage(status *apierrors.StatusError, message string) *apierrors.StatusError {
	other := &apierrors.StatusError{ErrStatus: *status.ErrStatus.DeepCopy()}
	other.ErrStatus.Message = message
	return other
}

// Unreachable returns the observation of a member that gave no answer, by the error of a call.
func Unreachable(err error) migration.Member {
	var unreachable *UnreachableError
	if errors.As(err, &unreachable) {
		return migration.Member{Err: unreachable.Err, Since: unreachable.Since, NextTry: unreachable.NextTry}
	}
	return migration.Member{Err: err, Since: time.Now()}
}

// errBusy is limits.ErrBusy as an outcome.
var errBusy = fmt.Errorf("%w: %w", limits.ErrBusy, ErrAbandoned)

type tentativeKey struct{}

// tentativeError is the failure of a call with Tentative.
type tentativeError struct{ error }

// Tentative returns a context for calls whose failure does not count against a member that answers: they may ask for
// more than it can answer in their time, and must not keep others from calling it.
func Tentative(ctx context.Context) context.Context {
	return context.WithValue(ctx, tentativeKey{}, true)
}

type readerKey struct{}

// ForReader returns a context for calls on behalf of API clients. They get at most half of a
// member's slots, so that any number of them leaves the other half to the driver.
func ForReader(ctx context.Context) context.Context {
	return context.WithValue(ctx, readerKey{}, true)
}

// takeSlot waits for a slot. The caller calls free after the call.
func (c *Client) takeSlot(ctx context.Context) (free func(), err error) {
	slots := []chan struct{}{c.slots}
	if ctx.Value(readerKey{}) != nil {
		slots = []chan struct{}{c.readerSlots, c.slots}
	}
	if free, err = take(ctx, slots...); err != nil {
		err = fmt.Errorf("too many calls are under way: %w", err)
	}
	return free, err
}

// TakeResultSlot waits until the results of fewer than Options.MaxResults Backups and Restores are being read, so that
// Velero is not asked for more files than it provides in time. The caller calls free after reading them.
func (c *Client) TakeResultSlot(ctx context.Context) (free func(), err error) {
	if free, err = take(ctx, c.resultSlots); err != nil {
		err = fmt.Errorf("the results of %d other Backups and Restores are being read: %w", cap(c.resultSlots), err)
	}
	return free, err
}

// take waits for one of each of slots, in their order. Its error is why ctx has ended.
func take(ctx context.Context, slots ...chan struct{}) (free func(), err error) {
	free = func() {}
	for _, slot := range slots {
		select {
		case slot <- struct{}{}:
			before := free
			free = func() { <-slot; before() }
		case <-ctx.Done():
			free()
			return nil, context.Cause(ctx)
		}
	}
	return free, nil
}

// InNamespace returns a copy of an object that can be created in a namespace.
func InNamespace[T interface {
	runtime.Object
	metav1.Object
}](obj T, namespace string) T {
	obj = obj.DeepCopyObject().(T)
	obj.SetNamespace(namespace)
	obj.SetResourceVersion("")
	obj.SetUID("")
	return obj
}

// PollAnswer polls until Velero has processed a ServerStatusRequest or DownloadRequest, at first
// quickly, because Velero needs some milliseconds. After a time it returns an error for which
// wait.Interrupted is true.
func (c *Client) PollAnswer(ctx context.Context, within time.Duration, answered wait.ConditionWithContextFunc) error {
	const (
		fastest   = 25 * time.Millisecond
		slowest   = 15 // polls within the time
		doublings = 10 // more than there are between both
	)
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	backoff := wait.Backoff{Duration: min(fastest, within/slowest), Factor: 2, Steps: doublings, Cap: within / slowest}
	return backoff.DelayFunc().Until(ctx, false, true, answered)
}
