// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"kurator.dev/migrate-apiserver/pkg/aggregation"
)

// addServedCheck adds a check of who serves the group version on the host, which is logged when it changes: while the host
// serves it by CustomResourceDefinitions, no request reaches this server.
func addServedCheck(generic *genericapiserver.GenericAPIServer, host *rest.Config) error {
	client, err := dynamic.NewForConfig(host)
	if err != nil {
		return fmt.Errorf("client of the host: %w", err)
	}
	return generic.AddPostStartHook("report-group-version", func(hook genericapiserver.PostStartHookContext) error {
		go logServedBy(hook, client)
		return nil
	})
}

func logServedBy(ctx context.Context, host dynamic.Interface) {
	last, failed := aggregation.Server(""), false
	logger := klog.FromContext(ctx).WithName("served")
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		server, err := aggregation.ServedBy(ctx, host)
		switch {
		case err != nil:
			if !failed {
				logger.Info("Checking who serves the group version failed", "err", err)
			}
			failed = true
			return
		case server == last:
			return
		case server == aggregation.Service:
			logger.Info("The host forwards the group version to an API server", "apiService", aggregation.APIServiceName)
		case server == aggregation.Definitions:
			logger.Info("The host still serves the group version by CustomResourceDefinitions, so no request reaches this server: apply its APIService", "apiService", aggregation.APIServiceName)
		default:
			logger.Info("Nobody serves the group version on the host: apply the APIService of this server", "apiService", aggregation.APIServiceName)
		}
		last, failed = server, false
	}, servedInterval)
}
