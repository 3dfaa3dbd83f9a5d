// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/member/internal/transport"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/recovery"
)

// Kubeconfigs reads the kubeconfig of a cluster from the host.
type Kubeconfigs interface {
	Kubeconfig(ctx context.Context, namespace string, cluster migration.Cluster) (kubeconfig []byte, err error)
	// Refused reports that the cluster answered 401 to its kubeconfig, so that one that was cached is not used again.
	Refused(namespace string, cluster migration.Cluster)
}

// ErrVeleroNamespace reports that the annotation of a cluster object is not the name of a
// namespace.
var ErrVeleroNamespace = errors.New("not a valid namespace name")

// Client makes calls to one Velero of a member, by Do. An error is an API status if the
// member answered with one, so that apierrors.IsNotFound works; an UnreachableError while no
// calls are made; otherwise it is the reason why there was no answer.
type Client struct {
	namespace   string
	velero      migration.Velero
	kubeconfigs Kubeconfigs
	options     Options
	circuit     *circuit
	slots       chan struct{} // one is taken by each call
	readerSlots chan struct{} // one is taken by each call for a reader, too
	resultSlots chan struct{} // one is taken while the results of a Backup or Restore are read
	reading     *limits.Quota // of the answers that are being read
	refreshing  chan struct{} // taken while the kubeconfig is read

	mu   sync.Mutex
	conn *Connection
	// checked is when the kubeconfig of conn was last read.
	checked time.Time
	// stale is set when the kubeconfig must be read before conn is used; epoch counts how
	// often it was set.
	stale bool
	epoch int
	used  time.Time
}

// New returns a Client for a Velero in a cluster whose object is in a namespace of the host.
// It makes no calls. Options must have their defaults.
func New(namespace string, velero migration.Velero, kubeconfigs Kubeconfigs, o Options, reading *limits.Quota) *Client {
	return &Client{
		namespace:   namespace,
		velero:      velero,
		kubeconfigs: kubeconfigs,
		options:     o,
		circuit:     newCircuit(Backoff{o.RetryMin, o.RetryMax}),
		slots:       make(chan struct{}, o.MaxCalls),
		readerSlots: make(chan struct{}, max(o.MaxCalls/2, 1)),
		resultSlots: make(chan struct{}, o.MaxResults),
		reading:     reading,
		refreshing:  make(chan struct{}, 1),
	}
}

// String returns the kind, namespace and name of the cluster object.
func (c *Client) String() string {
	return fmt.Sprintf("%s %s/%s", c.velero.Cluster.Kind, c.namespace, c.velero.Cluster.Name)
}

// VeleroNamespace returns the namespace of Velero in the member.
func (c *Client) VeleroNamespace() string { return c.velero.Namespace }

// ClusterName returns the name of the cluster object.
func (c *Client) ClusterName() string { return c.velero.Cluster.Name }

// Options returns the bounds of the Client's calls.
func (c *Client) Options() Options { return c.options }

// Backoff returns the delays between retries.
func (c *Client) Backoff() Backoff { return c.circuit.retry }

// Allow returns a context in which the answers of a call may take up to most bytes of memory.
// what describes the answers in the message of an error.
func (c *Client) Allow(ctx context.Context, what string, most int64) context.Context {
	return limits.ForCall(c.reading, what, most).With(ctx)
}

// AllowWatch returns the allowance of a watch; r bounds its events, which what describes in
// the message of an error.
func (c *Client) AllowWatch(what string, r *rate.Limiter) *limits.Allowance {
	return limits.ForWatch(c.reading, what, r)
}

// Wait returns when a call may be admitted, or when ctx ends.
func (c *Client) Wait(ctx context.Context) { c.circuit.wait(ctx) }

// Blocked reports whether a call would get an UnreachableError now.
func (c *Client) Blocked() bool {
	_, _, blocked := c.circuit.blocked()
	return blocked
}

// Changed returns a channel that is closed when the member's state changes: it answers or no
// longer does, or Invalidate was called.
func (c *Client) Changed() <-chan struct{} { return c.circuit.onChange() }

// SetWatched says whether a migration watches the member: only then it is counted as unreachable.
func (c *Client) SetWatched(watched bool) { c.circuit.setWatched(watched) }

// LimitExceeded opens the circuit because the member exceeded a limit outside of a call.
func (c *Client) LimitExceeded(err *limits.Error) { c.circuit.record(err, false) }

// Connect returns the Connection within Options.CallTimeout, or an UnreachableError. A failure
// opens the circuit; success does not close it, because the member was not called.
func (c *Client) Connect(ctx context.Context) (*Connection, error) {
	ctx, cancel := transport.WithTimeout(ctx, c.options.CallTimeout)
	defer cancel()
	conn, done, err := c.open(ctx)
	if err == nil {
		done(ErrAbandoned)
	}
	return conn, err
}

// accessError reports that there is no way to connect to a member: its kubeconfig is missing
// or not accepted, or the host does not answer.
type accessError struct{ error }

func (e *accessError) Unwrap() error { return e.error }

// Connection returns the Connection by the current kubeconfig, which it reads if it is due.
// It makes no call to the member.
func (c *Client) Connection(ctx context.Context) (*Connection, error) {
	if conn := c.current(); conn != nil {
		return conn, nil
	}
	select {
	case c.refreshing <- struct{}{}:
		defer func() { <-c.refreshing }()
	case <-ctx.Done():
		return nil, &accessError{context.Cause(ctx)}
	}
	if conn := c.current(); conn != nil {
		return conn, nil
	}
	var conn *Connection
	err := recovery.Do(ctx, func() (err error) { // a kubeconfig is untrusted input
		conn, err = c.refresh(ctx)
		return err
	})
	if panicked := new(recovery.PanicError); errors.As(err, &panicked) {
		err = &accessError{err}
	}
	return conn, err
}

// current returns the Connection if its kubeconfig need not be read again.
func (c *Client) current() *Connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stale || time.Since(c.checked) >= c.options.RecheckInterval {
		return nil
	}
	return c.conn
}

// refresh reads the kubeconfig and returns the Connection by it. If the host does not answer,
// it keeps the Connection.
func (c *Client) refresh(ctx context.Context) (*Connection, error) {
	c.mu.Lock()
	epoch, conn := c.epoch, c.conn
	c.mu.Unlock()

	reading, cancel := context.WithTimeout(ctx, c.options.CallTimeout)
	defer cancel()
	kubeconfig, err := c.kubeconfig(reading)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return nil, &accessError{context.Cause(ctx)} // the kubeconfig is still to be read
	case err != nil && conn != nil && hostSilent(err):
	case err != nil:
		c.replace(nil, epoch)
		return nil, &accessError{err}
	case conn == nil || !conn.isBy(kubeconfig):
		if conn, err = connect(kubeconfig, c.velero.Namespace, c.options); err != nil {
			c.replace(nil, epoch)
			return nil, &accessError{err}
		}
	}
	c.replace(conn, epoch)
	c.circuit.accessible()
	return conn, nil
}

func (c *Client) kubeconfig(ctx context.Context) ([]byte, error) {
	if invalid := validation.IsDNS1123Label(c.velero.Namespace); len(invalid) > 0 {
		return nil, fmt.Errorf("%w: annotation %s of %s is %q; set it to the namespace of the cluster's Velero: %s",
			ErrVeleroNamespace, v1alpha1.VeleroNamespaceAnnotation, c,
			migration.Shorten(c.velero.Namespace, validation.DNS1123LabelMaxLength), strings.Join(invalid, "; "))
	}
	return c.kubeconfigs.Kubeconfig(ctx, c.namespace, c.velero.Cluster)
}

// hostSilent reports whether an error means that the host gave no answer about the kubeconfig.
// Refusing our own credentials is no answer.
func hostSilent(err error) bool {
	var network net.Error
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		code := status.Status().Code
		return code >= http.StatusInternalServerError || code == http.StatusTooManyRequests || code == http.StatusUnauthorized
	}
	return errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// replace makes conn the Connection and closes the one before, if it is another one.
func (c *Client) replace(conn *Connection, epoch int) {
	c.mu.Lock()
	old := c.conn
	c.conn, c.checked = conn, time.Now()
	c.stale = c.epoch != epoch
	c.mu.Unlock()
	if old != nil && old != conn {
		old.close()
	}
}

// suspect requires the kubeconfig to be read before conn is used again.
func (c *Client) suspect(conn *Connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == conn {
		c.stale = true
		c.epoch++
	}
}

// Invalidate requires the kubeconfig to be read before the next call, and admits that call
// at once.
func (c *Client) Invalidate() {
	c.mu.Lock()
	c.stale = true
	c.epoch++
	c.mu.Unlock()
	c.circuit.retryNow()
}

// Touch records that the Client is in use.
func (c *Client) Touch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used = time.Now()
}

// Idle returns the time since the Client was last used.
func (c *Client) Idle() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.used)
}

// Close closes the Connection.
func (c *Client) Close() {
	c.mu.Lock()
	conn := c.conn
	c.conn = nil
	c.mu.Unlock()
	if conn != nil {
		conn.close()
	}
}
