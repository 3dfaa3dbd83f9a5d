// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"kurator.dev/migrate-apiserver/pkg/registry/backup/kurator"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/migrate/storage"
)

// Config is the configuration of the server.
type Config struct {
	// Generic is the configuration of the generic API server.
	Generic *genericapiserver.RecommendedConfig
	// NewDriver returns the driver. It must not do I/O.
	NewDriver DriverFactory
	// Kurator is set on a host with Kurator.
	Kurator *Kurator

	scheme *runtime.Scheme
	codecs serializer.CodecFactory
}

// Kurator configures what is served for the controllers of Kurator.
type Kurator struct {
	// Controllers are the users that they run as, from whom Migrates are hidden.
	Controllers []string
}

// DriverFactory returns a driver that reads and records the Migrates of this server.
type DriverFactory func(migrates *storage.Client) (Driver, error)

// NewConfig returns a Config that serves the types of the scheme, to which options are to be
// applied.
func NewConfig(scheme *runtime.Scheme, version string) *Config {
	codecs := serializer.NewCodecFactory(scheme, serializer.WithStreamingCollectionEncodingToJSON())
	generic := genericapiserver.NewRecommendedConfig(codecs)
	namer := openapinamer.NewDefinitionNamer(scheme)

	// A log may be followed for as long as a Backup takes, and results have no bound.
	isLongRunning := generic.LongRunningFunc
	generic.LongRunningFunc = func(r *http.Request, info *request.RequestInfo) bool {
		return isLongRunning(r, info) || info.IsResourceRequest && (info.Subresource == "log" || info.Subresource == "results")
	}
	generic.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(openAPIDefinitions, namer)
	generic.OpenAPIConfig.Info.Title = "Kurator Migrate"
	generic.OpenAPIConfig.Info.Version = version
	generic.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(openAPIDefinitions, namer)
	generic.OpenAPIV3Config.Info.Title = "Kurator Migrate"
	generic.OpenAPIV3Config.Info.Version = version

	return &Config{Generic: generic, scheme: scheme, codecs: codecs}
}

// Complete sets the fields that are derived from others.
func (c *Config) Complete() CompletedConfig {
	c.Generic.Authentication.Authenticator = withoutAnonymous(c.Generic.Authentication.Authenticator)
	limit := c.Generic.MaxRequestBodyBytes
	c.Generic.BuildHandlerChainFunc = func(handler http.Handler, generic *genericapiserver.Config) http.Handler {
		return genericapiserver.DefaultBuildHandlerChain(withoutYAMLAliases(handler, limit, c.codecs), generic)
	}
	return CompletedConfig{&completedConfig{Config: c, generic: c.Generic.Complete()}}
}

// CompletedConfig is a completed Config; only Complete returns one.
type CompletedConfig struct {
	*completedConfig
}

type completedConfig struct {
	*Config
	generic genericapiserver.CompletedConfig
}

// Server is the API server with its driver.
type Server struct {
	generic *genericapiserver.GenericAPIServer
}

// New returns the server, which does nothing before Run.
func (c CompletedConfig) New() (*Server, error) {
	generic, err := c.generic.New("migrate-apiserver", genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, fmt.Errorf("make API server: %w", err)
	}
	migrates, err := storage.New(c.scheme, c.generic.RESTOptionsGetter)
	if err != nil {
		return nil, err
	}
	driver, err := c.NewDriver(migrates.Client)
	if err != nil {
		return nil, fmt.Errorf("make driver: %w", err)
	}
	group := groupInfo(c.scheme, c.codecs, migrates, driver)
	if c.Kurator != nil {
		kurators, err := kurator.New(c.scheme, c.generic.RESTOptionsGetter)
		if err != nil {
			return nil, err
		}
		addKurator(&group, kurators, c.Kurator)
	}
	if err := generic.InstallAPIGroup(&group); err != nil {
		return nil, fmt.Errorf("install API group %s: %w", group.PrioritizedVersions[0].Group, err)
	}
	if err := generic.AddReadyzChecks(aggregatorCACheck(c.generic.Authentication.RequestHeaderConfig)); err != nil {
		return nil, fmt.Errorf("add check of the aggregator's CA: %w", err)
	}
	if host := c.Generic.ClientConfig; host != nil {
		if err := addServedCheck(generic, host); err != nil {
			return nil, err
		}
	}
	if err := newBackground(driver).addTo(generic); err != nil {
		return nil, fmt.Errorf("add driver: %w", err)
	}
	if authorizer := c.generic.Authorization.Authorizer; authorizer != nil {
		if err := newDelegation(authorizer).addTo(generic); err != nil {
			return nil, fmt.Errorf("add check of delegated authorization: %w", err)
		}
	}
	return &Server{generic}, nil
}

// Run serves until ctx ends. It returns once the driver has stopped and all requests are
// answered.
func (s *Server) Run(ctx context.Context) error {
	return s.generic.PrepareRun().RunWithContext(ctx)
}
