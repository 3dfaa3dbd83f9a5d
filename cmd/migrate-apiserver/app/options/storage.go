// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// StorageFlags returns the flags of where the objects are stored, for the commands that read and write them beside the
// server. They must be those of the server.
func (o *Options) StorageFlags() *pflag.FlagSet {
	flags := pflag.NewFlagSet("storage", pflag.ContinueOnError)
	flags.StringVar(&o.EmbeddedEtcd.DataDir, "data-dir", o.EmbeddedEtcd.DataDir,
		"Data directory of the server, which must run, unless --etcd-servers is set.")
	etcd := pflag.NewFlagSet("etcd", pflag.ContinueOnError)
	o.Recommended.Etcd.AddFlags(etcd)
	for _, name := range []string{"etcd-servers", "etcd-prefix", "etcd-cafile", "etcd-certfile", "etcd-keyfile", "encryption-provider-config"} {
		flags.AddFlag(etcd.Lookup(name))
	}
	return flags
}

// EtcdTransport returns how the etcd is reached. The endpoint is that of the embedded etcd; it is ignored with --etcd-servers.
func (o *Options) EtcdTransport(endpoint string) storagebackend.TransportConfig {
	return o.etcd(endpoint).StorageConfig.Transport
}

// Storage returns the scheme and the storage of the server's objects, without a cache. The endpoint is that of the embedded etcd;
// it is ignored with --etcd-servers.
func (o *Options) Storage(endpoint string) (*runtime.Scheme, generic.RESTOptionsGetter, error) {
	etcd := o.etcd(endpoint)
	etcd.EnableWatchCache, etcd.SkipHealthEndpoints = false, true
	config := server.NewConfig(serializer.NewCodecFactory(o.scheme))
	if err := etcd.ApplyTo(config); err != nil {
		return nil, nil, fmt.Errorf("storage: %w", err)
	}
	return o.scheme, config.RESTOptionsGetter, nil
}
