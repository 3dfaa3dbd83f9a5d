// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/recovery"
)

// ErrVeleroNotInstalled says that a member doesn't know Velero's kinds.
var ErrVeleroNotInstalled = errors.New("Velero is not installed in the cluster: its CustomResourceDefinitions are missing")

// maxMessage is how much is passed on of what a member says, and maxStatus how large an
// error may be that is passed on with its details.
const maxMessage, maxStatus = 1024, 16 << 10

// do makes a call, within the bounds that a member has.
func do[T any](ctx context.Context, m *Member, what string, call func(context.Context, *connection) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, m.options.CallTimeout, noAnswerError{m.options.CallTimeout})
	defer cancel()
	m.touch()

	var none T
	free, err := m.takeSlot(ctx)
	if err != nil {
		return none, fmt.Errorf("%s in %s: %w", what, m, err)
	}
	defer free()
	result, err := attempt(ctx, m, call)
	if err != nil {
		return none, fmt.Errorf("%s in %s: %w", what, m, err)
	}
	return result, nil
}

// attempt makes a call if the circuit admits it, and tells the circuit how it
// went.
func attempt[T any](ctx context.Context, m *Member, call func(context.Context, *connection) (T, error)) (T, error) {
	var none T
	if limits.AllowanceOf(ctx) == nil {
		ctx = m.allowing(ctx, "an answer", limits.MaxObject)
	}
	if a := limits.AllowanceOf(ctx); !a.IsWatch() {
		defer a.Release()
	}
	started := time.Now()
	done, err := m.circuit.admit()
	if err != nil {
		return none, err
	}
	conn, err := m.connection(ctx)
	if err != nil {
		done(settled(ctx, err))
		return none, err
	}
	call = contained(call)
	result, err := call(ctx, conn)
	if apierrors.IsUnauthorized(err) {
		// The credentials may have been renewed since they were read. The call was
		// not executed, so it may be made again.
		m.suspect(conn)
		renewed, refreshErr := m.connection(ctx)
		if refreshErr == nil && renewed != conn {
			conn = renewed
			result, err = call(ctx, conn)
		}
	}
	if err == nil {
		done(nil)
		return result, nil
	}
	outcome := settled(ctx, err)
	if took := time.Since(started); errors.Is(outcome, errAbandoned) && took >= m.options.CallTimeout/2 {
		// The caller had less patience than we have, but enough.
		outcome = noAnswerError{took.Round(time.Second)}
	}
	if outcome != nil && !errors.Is(outcome, errAbandoned) {
		m.suspect(conn)
	}
	done(outcome)
	return none, explain(ctx, err)
}

// contained is a call whose panic, be it over what the member answered, is its error.
func contained[T any](call func(context.Context, *connection) (T, error)) func(context.Context, *connection) (T, error) {
	return func(ctx context.Context, conn *connection) (result T, err error) {
		err = recovery.Do(ctx, func() (err error) {
			result, err = call(ctx, conn)
			return err
		})
		return result, err
	}
}

// settled is what a failed attempt tells the circuit: nothing if the member
// answered by an error, errAbandoned if the caller gave up, else why there was no
// answer.
func settled(ctx context.Context, err error) error {
	var status apierrors.APIStatus
	var hostSide *accessError
	cause := context.Cause(ctx)
	gaveUp := cause != nil && !errors.As(cause, new(noAnswerError))
	switch isHostSide := errors.As(err, &hostSide); {
	case errors.Is(err, errAbandoned), errors.Is(err, limits.ErrBusy):
		return errAbandoned
	case !isHostSide && errors.As(err, &status):
		return nil
	case gaveUp:
		return errAbandoned
	case isHostSide:
		return err
	}
	return explain(ctx, err)
}

// explain turns an error of client-go into one for a person: without the URL, and
// the same for the same fault.
func explain(ctx context.Context, err error) error {
	var exceeded *limits.Error
	if errors.As(err, &exceeded) {
		return exceeded
	}
	if errors.Is(err, limits.ErrBusy) {
		return errBusy
	}
	var status *apierrors.StatusError
	if errors.As(err, &status) {
		return explainStatus(status)
	}
	var transport *transportError
	if errors.As(err, &transport) {
		err = transport.cause
	}
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	var refused *addressError
	if errors.As(err, &refused) {
		return refused
	}
	var op *net.OpError
	if errors.As(err, &op) {
		// The local port is another one each time.
		return &net.OpError{Op: op.Op, Net: op.Net, Addr: op.Addr, Err: op.Err}
	}
	return err
}

func explainStatus(status *apierrors.StatusError) error {
	switch {
	case apierrors.IsNotFound(status) && apierrors.HasStatusCause(status, metav1.CauseTypeUnexpectedServerResponse):
		return ErrVeleroNotInstalled
	case apierrors.HasStatusCause(status, metav1.CauseTypeUnexpectedServerResponse):
		// What it says is left out: a kubeconfig may lead to a server that says to
		// this one what it would not say to its author.
		return withMessage(status, fmt.Sprintf("it answers %d, and not as Kubernetes does", status.ErrStatus.Code))
	case apierrors.IsUnauthorized(status):
		return fmt.Errorf("the cluster does not accept the credentials of the kubeconfig; renew them in its Secret: %w", shorten(status))
	}
	return shorten(status)
}

func shorten(status *apierrors.StatusError) *apierrors.StatusError {
	if len(status.ErrStatus.Message) > maxMessage {
		status = withMessage(status, status.ErrStatus.Message[:maxMessage]+"…")
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

// unanswered is what is observed of a member that could not be asked.
func unanswered(err error) migration.Member {
	var unreachable *UnreachableError
	if errors.As(err, &unreachable) {
		return migration.Member{Err: unreachable.Err, Since: unreachable.Since, NextTry: unreachable.NextTry}
	}
	return migration.Member{Err: err, Since: time.Now()}
}

// errBusy is limits.ErrBusy, which is no outcome for the circuit.
var errBusy = fmt.Errorf("%w: %w", limits.ErrBusy, errAbandoned)

// allowing has the answers of a call that is made with the context take up to most. What
// they are is for a person.
func (m *Member) allowing(ctx context.Context, what string, most int64) context.Context {
	return limits.ForCall(m.reading, what, most).With(ctx)
}

type readerKey struct{}

// ForReader returns a context whose calls are made for somebody who reads. Of the calls
// that a member gets at a time they have at most half, so that readers, however many, take
// none of the others from the driver.
func ForReader(ctx context.Context) context.Context {
	return context.WithValue(ctx, readerKey{}, true)
}

// takeSlot waits until a call may be made; free is called after it.
func (m *Member) takeSlot(ctx context.Context) (free func(), err error) {
	free = func() {}
	slots := []chan struct{}{m.slots}
	if ctx.Value(readerKey{}) != nil {
		slots = []chan struct{}{m.readerSlots, m.slots}
	}
	for _, slot := range slots {
		select {
		case slot <- struct{}{}:
			before := free
			free = func() { <-slot; before() }
		case <-ctx.Done():
			free()
			return nil, fmt.Errorf("too many calls are under way: %w", context.Cause(ctx))
		}
	}
	return free, nil
}
