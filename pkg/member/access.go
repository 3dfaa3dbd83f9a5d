// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/recovery"
)

// ErrVeleroNamespace says that what a cluster object's annotation says can't be the
// namespace of a Velero.
var ErrVeleroNamespace = errors.New("no name of a namespace")

// accessError says that there is no way into a member: what leads into it is
// missing on the host or not accepted, or the host can't be asked.
type accessError struct{ error }

func (e *accessError) Unwrap() error { return e.error }

// connection returns the connection by the current kubeconfig, which it reads if
// what is known of it may be old.
func (m *Member) connection(ctx context.Context) (*connection, error) {
	if c := m.current(); c != nil {
		return c, nil
	}
	select {
	case m.refreshing <- struct{}{}:
		defer func() { <-m.refreshing }()
	case <-ctx.Done():
		return nil, &accessError{context.Cause(ctx)}
	}
	if c := m.current(); c != nil {
		return c, nil
	}
	var conn *connection
	err := recovery.Do(ctx, func() (err error) { // a kubeconfig is input
		conn, err = m.refresh(ctx)
		return err
	})
	if panicked := new(recovery.PanicError); errors.As(err, &panicked) {
		err = &accessError{err}
	}
	return conn, err
}

// current returns the connection if it is known to be the right one.
func (m *Member) current() *connection {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stale || time.Since(m.checked) >= m.options.RecheckInterval {
		return nil
	}
	return m.conn
}

// refresh reads the kubeconfig and returns the connection by it. If the host can't be
// asked, the connection that there is goes on.
func (m *Member) refresh(ctx context.Context) (*connection, error) {
	m.mu.Lock()
	epoch, conn := m.epoch, m.conn
	m.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, m.options.CallTimeout)
	defer cancel()
	kubeconfig, err := m.kubeconfig(ctx)
	switch {
	case err != nil && conn != nil && hostSilent(err):
	case err != nil:
		m.replace(nil, epoch)
		return nil, &accessError{err}
	case conn == nil || !conn.isBy(kubeconfig):
		if conn, err = connect(kubeconfig, m.key.velero.Namespace, m.options); err != nil {
			m.replace(nil, epoch)
			return nil, &accessError{err}
		}
	}
	m.replace(conn, epoch)
	m.circuit.accessible()
	return conn, nil
}

func (m *Member) kubeconfig(ctx context.Context) ([]byte, error) {
	velero := m.key.velero
	if invalid := validation.IsDNS1123Label(velero.Namespace); len(invalid) > 0 {
		said := velero.Namespace
		if len(said) > validation.DNS1123LabelMaxLength {
			said = said[:validation.DNS1123LabelMaxLength] + "…"
		}
		return nil, fmt.Errorf("%w: annotation %s of %s is %q; set it to the namespace of the cluster's Velero: %s",
			ErrVeleroNamespace, v1alpha1.VeleroNamespaceAnnotation, m, said, strings.Join(invalid, "; "))
	}
	return m.kubeconfigs.Kubeconfig(ctx, m.key.namespace, velero.Cluster)
}

// hostSilent says that the host gave no answer, as opposed to one that says that
// there is no way into the member. That it does not know us is none either.
func hostSilent(err error) bool {
	var network net.Error
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		code := status.Status().Code
		return code >= http.StatusInternalServerError || code == http.StatusTooManyRequests || code == http.StatusUnauthorized
	}
	return errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// replace makes conn the connection; it may be the one that is.
func (m *Member) replace(conn *connection, epoch int) {
	m.mu.Lock()
	old := m.conn
	m.conn, m.checked = conn, time.Now()
	m.stale = m.epoch != epoch
	m.mu.Unlock()
	if old != nil && old != conn {
		old.close()
	}
}

// suspect has the kubeconfig read again before conn is used again.
func (m *Member) suspect(conn *connection) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn == conn {
		m.stale = true
		m.epoch++
	}
}

// invalidate has the kubeconfig read again before the member is asked again,
// which may be at once.
func (m *Member) invalidate() {
	m.mu.Lock()
	m.stale = true
	m.epoch++
	m.mu.Unlock()
	m.circuit.retryNow()
}

func (m *Member) touch() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used = time.Now()
}

// idle is for how long nobody has used the member.
func (m *Member) idle() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.watcher != nil {
		return 0
	}
	return time.Since(m.used)
}

func (m *Member) close() {
	m.mu.Lock()
	w := m.watcher
	m.watcher = nil
	m.mu.Unlock()
	if w != nil {
		w.stop()
		<-w.stopped
	}
	m.mu.Lock()
	conn := m.conn
	m.conn = nil
	m.mu.Unlock()
	if conn != nil {
		conn.close()
	}
}
