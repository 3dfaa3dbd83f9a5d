// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package serverstatus determines whether the Velero server of a member runs, by a ServerStatusRequest.
//
// It is used by packages diagnosis and survey, and imports nothing of ours but client, migration and velero.
package serverstatus

import (
	"context"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// Ask creates the request and waits for Velero to process it; then it also returns Velero's version.
// Velero removes a processed request after a minute; one that is not processed stays, and is used again.
func Ask(ctx context.Context, c *client.Client, request *velerov1.ServerStatusRequest) (state migration.ServerState, version string) {
	if err := requestStatus(ctx, c, request); err != nil {
		return "", ""
	}
	began, seen := time.Now(), time.Time{}
	err := c.PollAnswer(ctx, c.Options().AnswerTimeout, func(ctx context.Context) (bool, error) {
		found, err := statusRequest(ctx, c, request.Name)
		if err == nil {
			seen, version = time.Now(), found.Status.ServerVersion
		}
		return err == nil && isAnswered(found), err
	})
	switch {
	case err == nil:
		return migration.ServerAnswers, version
	case wait.Interrupted(err) && ctx.Err() == nil && seen.Sub(began) > c.Options().AnswerTimeout/2:
		return migration.ServerSilent, ""
	}
	// The member did not answer, which says nothing about its Velero.
	return "", ""
}

// withdrawTimeout is short, for whoever withdraws has no more time.
const withdrawTimeout = 3 * time.Second

// Withdraw deletes a request that Velero has not processed, which would stay.
func Withdraw(ctx context.Context, c *client.Client, request *velerov1.ServerStatusRequest) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
	defer cancel()
	found, err := statusRequest(ctx, c, request.Name)
	if err != nil || velero.MigrateUID(found) != velero.MigrateUID(request) {
		return
	}
	_, _ = client.Do(ctx, c, "delete serverstatusrequest", func(ctx context.Context, conn *client.Connection) (any, error) {
		return nil, conn.StatusRequests.Delete(ctx, found.Name, *metav1.NewPreconditionDeleteOptions(string(found.UID)))
	})
}

// requestStatus ensures that there is a request which Velero has not processed yet.
func requestStatus(ctx context.Context, c *client.Client, request *velerov1.ServerStatusRequest) error {
	create := func() error {
		_, err := client.Do(ctx, c, "create serverstatusrequest", func(ctx context.Context, conn *client.Connection) (*velerov1.ServerStatusRequest, error) {
			return conn.StatusRequests.Create(ctx, client.InNamespace(request, conn.Namespace), metav1.CreateOptions{})
		})
		return err
	}
	err := create()
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	before, err := statusRequest(ctx, c, request.Name)
	if err != nil || !isAnswered(before) || velero.MigrateUID(before) != velero.MigrateUID(request) {
		return err
	}
	_, err = client.Do(ctx, c, "delete serverstatusrequest", func(ctx context.Context, conn *client.Connection) (any, error) {
		return nil, conn.StatusRequests.Delete(ctx, before.Name, *metav1.NewPreconditionDeleteOptions(string(before.UID)))
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	return create()
}

func statusRequest(ctx context.Context, c *client.Client, name string) (*velerov1.ServerStatusRequest, error) {
	return client.Do(ctx, c, "get serverstatusrequest", func(ctx context.Context, conn *client.Connection) (*velerov1.ServerStatusRequest, error) {
		return conn.StatusRequests.Get(ctx, name, metav1.GetOptions{})
	})
}

func isAnswered(request *velerov1.ServerStatusRequest) bool {
	return request.Status.Phase == velerov1.ServerStatusRequestPhaseProcessed
}
