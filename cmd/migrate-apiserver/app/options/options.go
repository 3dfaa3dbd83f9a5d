// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/compatibility"
	componentbaseconfig "k8s.io/component-base/config"
	leaderelectionoptions "k8s.io/component-base/config/options"
	componentbaseconfigv1alpha1 "k8s.io/component-base/config/v1alpha1"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"

	migrateadmission "kurator.dev/migrate-apiserver/pkg/admission"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/apiserver"
	"kurator.dev/migrate-apiserver/pkg/features"
)

const (
	// etcdPrefix is ours: kube-apiserver's is /registry, and the two may share an
	// etcd.
	etcdPrefix = "/migrate.kurator.dev"

	defaultDataDir = "/var/lib/migrate-apiserver/etcd"
	// defaultQuotaBytes leaves room on the volume of the manifests, 2 GiB, for the copy
	// that defragmentation makes, and for the log and a snapshot.
	defaultQuotaBytes = 768 << 20
	defaultSecurePort = 6443
	watchGracePeriod  = time.Second
	leaseName         = "migrate-apiserver"
	leaseNamespace    = "migrate-system"
)

// Options are the values of the flags.
type Options struct {
	// Recommended are the options of every aggregated API server.
	Recommended *genericoptions.RecommendedOptions
	// ServerRun are the options of serving and shutdown.
	ServerRun *genericoptions.ServerRunOptions
	// ServingCertificate are the options of a serving certificate that this server issues itself.
	ServingCertificate ServingCertificate
	// EmbeddedEtcd are the options of the etcd in this process; unused with --etcd-servers.
	EmbeddedEtcd EmbeddedEtcd
	// LeaderElection are the options of the Lease that the replica with the driver holds.
	LeaderElection componentbaseconfig.LeaderElectionConfiguration
	// Namespaces are the namespaces of the host in which Fleets, clusters and Secrets are
	// read. Empty: all.
	Namespaces []string
	// Members are the options of the calls to member clusters.
	Members Members
	// Kurator are the options of a host with Kurator.
	Kurator Kurator
	// Logs are the options of logging.
	Logs *logs.Options

	scheme *runtime.Scheme
}

// EmbeddedEtcd are the options of the etcd in this process.
type EmbeddedEtcd struct {
	// DataDir is its data directory.
	DataDir string
	// QuotaBytes is the size of its database at which it refuses writes.
	QuotaBytes int64
}

// maxRequestBodyBytes is etcd's default limit for a request. A larger object can't be
// stored, and decoding a body and tracking its managed fields takes many times its size.
const maxRequestBodyBytes = 1536 << 10

// New returns options with their defaults.
func New() (*Options, error) {
	scheme, err := apiserver.NewScheme()
	if err != nil {
		return nil, err
	}
	components, err := features.NewRegistry()
	if err != nil {
		return nil, err
	}
	codec := serializer.NewCodecFactory(scheme).LegacyCodec(v1alpha1.SchemeGroupVersion)
	o := &Options{
		Recommended:  genericoptions.NewRecommendedOptions(etcdPrefix, codec),
		ServerRun:    genericoptions.NewServerRunOptionsForComponent(compatibility.DefaultKubeComponent, components),
		EmbeddedEtcd: EmbeddedEtcd{DataDir: defaultDataDir, QuotaBytes: defaultQuotaBytes},
		Members:      Members{Readiness: ReadinessStatus},
		Kurator:      Kurator{Controllers: []string{defaultController}},
		Logs:         logs.NewOptions(),
		scheme:       scheme,
	}
	migrateadmission.AddTo(o.Recommended)
	// Without these a watch, and the controller manager always has one open, holds
	// the process up for a minute.
	o.ServerRun.ShutdownSendRetryAfter = true
	o.ServerRun.MaxRequestBodyBytes = maxRequestBodyBytes
	o.ServerRun.ShutdownWatchTerminationGracePeriod = watchGracePeriod
	o.Recommended.SecureServing.BindPort = defaultSecurePort
	o.Recommended.SecureServing.ServerCert.PairName = "migrate-apiserver"
	// The library's default is a folder of the working directory.
	o.Recommended.SecureServing.ServerCert.CertDirectory = ""
	return o, o.defaultLeaderElection()
}

func (o *Options) defaultLeaderElection() error {
	recommended := componentbaseconfigv1alpha1.LeaderElectionConfiguration{
		ResourceLock:      resourcelock.LeasesResourceLock,
		ResourceName:      leaseName,
		ResourceNamespace: leaseNamespace,
	}
	componentbaseconfigv1alpha1.RecommendedDefaultLeaderElectionConfiguration(&recommended)
	return componentbaseconfigv1alpha1.Convert_v1alpha1_LeaderElectionConfiguration_To_config_LeaderElectionConfiguration(&recommended, &o.LeaderElection, nil)
}

// UsesEmbeddedEtcd reports whether the etcd runs in this process.
func (o *Options) UsesEmbeddedEtcd() bool {
	return len(o.Recommended.Etcd.StorageConfig.Transport.ServerList) == 0
}

// Flags returns the flags, in named sections.
func (o *Options) Flags() cliflag.NamedFlagSets {
	var sets cliflag.NamedFlagSets
	o.EmbeddedEtcd.addFlags(&sets)
	o.Members.addFlags(&sets)
	o.Kurator.addFlags(&sets)
	o.Recommended.Etcd.AddFlags(sets.FlagSet("etcd"))
	o.Recommended.SecureServing.AddFlags(sets.FlagSet("secure serving"))
	o.ServingCertificate.addFlags(&sets)
	o.ServerRun.AddUniversalFlags(sets.FlagSet("serving and shutdown"))
	o.Recommended.CoreAPI.AddFlags(sets.FlagSet("host cluster"))
	o.Recommended.Authentication.AddFlags(sets.FlagSet("authentication"))
	o.Recommended.Authorization.AddFlags(sets.FlagSet("authorization"))
	o.Recommended.Admission.AddFlags(sets.FlagSet("admission"))
	o.Recommended.Audit.AddFlags(sets.FlagSet("auditing"))
	o.Recommended.Features.AddFlags(sets.FlagSet("features"))
	o.Recommended.EgressSelector.AddFlags(sets.FlagSet("egress selector"))
	o.Recommended.Traces.AddFlags(sets.FlagSet("traces"))
	sets.FlagSet("host cluster").StringSliceVar(&o.Namespaces, "namespaces", o.Namespaces,
		"Namespaces of the host in which this server reads Fleets, clusters and Secrets. Migrates in other namespaces stay Pending and report why. If empty, all namespaces.")
	leaderelectionoptions.BindLeaderElectionFlags(&o.LeaderElection, sets.FlagSet("leader election"))
	logsapi.AddFlags(o.Logs, sets.FlagSet("logs"))
	sets.FlagSet("misc").Bool("version", false, "Print the version and exit.")
	return sets
}

func (e *EmbeddedEtcd) addFlags(sets *cliflag.NamedFlagSets) {
	fs := sets.FlagSet("embedded etcd")
	fs.StringVar(&e.DataDir, "data-dir", e.DataDir,
		"Data directory of the embedded etcd, which runs in this process unless --etcd-servers is set. It must be on persistent storage; only one process can use it at a time.")
	fs.Int64Var(&e.QuotaBytes, "data-quota-bytes", e.QuotaBytes,
		"Size in bytes of the embedded etcd's database at which it refuses writes. Defragmentation needs the same space again, and the log and snapshots up to 512 MiB more.")
}

// Validate returns one error with everything that is wrong with the options.
func (o *Options) Validate() error {
	errs := o.validateEtcd()
	for _, validate := range []func() []error{
		o.Recommended.SecureServing.Validate, o.Recommended.Authentication.Validate, o.Recommended.Authorization.Validate,
		o.Recommended.Audit.Validate, o.Recommended.Features.Validate, o.Recommended.CoreAPI.Validate,
		o.Recommended.Admission.Validate, o.Recommended.EgressSelector.Validate, o.Recommended.Traces.Validate,
		o.ServerRun.Validate, o.validateServingCertificate, o.validateLeaderElection, o.validateNamespaces, o.Members.validate, o.Kurator.validate,
	} {
		errs = append(errs, validate()...)
	}
	return utilerrors.NewAggregate(errs)
}

func (o *Options) validateEtcd() []error {
	if !o.UsesEmbeddedEtcd() {
		return o.Recommended.Etcd.Validate()
	}
	var errs []error
	if o.EmbeddedEtcd.DataDir == "" {
		errs = append(errs, errors.New("--data-dir must be set unless --etcd-servers is set"))
	}
	if o.EmbeddedEtcd.QuotaBytes <= 0 {
		errs = append(errs, fmt.Errorf("--data-quota-bytes must be greater than 0, not %d", o.EmbeddedEtcd.QuotaBytes))
	}
	transport := o.Recommended.Etcd.StorageConfig.Transport
	for _, f := range []struct{ flag, value string }{
		{"--etcd-cafile", transport.TrustedCAFile}, {"--etcd-certfile", transport.CertFile}, {"--etcd-keyfile", transport.KeyFile},
	} {
		if f.value != "" {
			errs = append(errs, fmt.Errorf("%s requires --etcd-servers", f.flag))
		}
	}
	return append(errs, o.etcd(placeholderEndpoint).Validate()...)
}

// placeholderEndpoint is validated in place of the embedded etcd, which does not run yet.
const placeholderEndpoint = "unix:///etcd.sock"

// etcd returns the options of a client of --etcd-servers or, if that is empty, of the
// embedded etcd at endpoint.
func (o *Options) etcd(endpoint string) *genericoptions.EtcdOptions {
	etcd := *o.Recommended.Etcd
	if o.UsesEmbeddedEtcd() {
		etcd.StorageConfig.Transport.ServerList = []string{endpoint}
	}
	return &etcd
}

func (o *Options) validateLeaderElection() []error {
	l := &o.LeaderElection
	if !l.LeaderElect {
		return nil
	}
	var errs []error
	if l.LeaseDuration.Duration <= l.RenewDeadline.Duration {
		errs = append(errs, fmt.Errorf("--leader-elect-lease-duration (%s) must be greater than --leader-elect-renew-deadline (%s)",
			l.LeaseDuration.Duration, l.RenewDeadline.Duration))
	}
	if l.RetryPeriod.Duration <= 0 || l.RenewDeadline.Duration <= l.RetryPeriod.Duration {
		errs = append(errs, fmt.Errorf("--leader-elect-renew-deadline (%s) must be greater than --leader-elect-retry-period (%s), which must be greater than 0",
			l.RenewDeadline.Duration, l.RetryPeriod.Duration))
	}
	if l.ResourceName == "" || l.ResourceNamespace == "" {
		errs = append(errs, errors.New("--leader-elect-resource-name and --leader-elect-resource-namespace must be set"))
	}
	if l.ResourceLock != resourcelock.LeasesResourceLock {
		errs = append(errs, fmt.Errorf("--leader-elect-resource-lock must be %s, not %s", resourcelock.LeasesResourceLock, l.ResourceLock))
	}
	return errs
}

func (o *Options) validateNamespaces() []error {
	var errs []error
	for i, namespace := range o.Namespaces {
		for _, problem := range validation.IsDNS1123Label(namespace) {
			errs = append(errs, fmt.Errorf("--namespaces: %q: %s", namespace, problem))
		}
		if slices.Contains(o.Namespaces[:i], namespace) {
			errs = append(errs, fmt.Errorf("--namespaces: %q is listed twice", namespace))
		}
	}
	return errs
}

// Config returns the server's configuration, without the serving certificate that it issues
// itself. The endpoint is that of the embedded etcd; it is ignored with --etcd-servers.
func (o *Options) Config(version, endpoint string) (*apiserver.Config, error) {
	if o.ServingCertificate.Secret == "" {
		if err := o.Recommended.SecureServing.MaybeDefaultWithSelfSignedCerts("localhost", nil, []net.IP{net.IPv4(127, 0, 0, 1)}); err != nil {
			return nil, fmt.Errorf("make self-signed certificate: %w", err)
		}
	}
	config := apiserver.NewConfig(o.scheme, version)
	if o.Kurator.Compatibility {
		config.Kurator = &apiserver.Kurator{Controllers: o.Kurator.Controllers}
	}
	if err := o.ServerRun.ApplyTo(&config.Generic.Config); err != nil {
		return nil, err
	}
	recommended := *o.Recommended
	recommended.Etcd = o.etcd(endpoint)
	// Flow control and admission share the informers of what the host may not serve.
	recommended.Features = nil
	recommended.ExtraAdmissionInitializers = func(generic *server.RecommendedConfig) ([]admission.PluginInitializer, error) {
		if err := o.applyFeatures(generic); err != nil {
			return nil, err
		}
		return o.Recommended.ExtraAdmissionInitializers(generic)
	}
	if err := recommended.ApplyTo(config.Generic); err != nil {
		return nil, err
	}
	return config, nil
}

// applyFeatures applies the options that the library calls features, flow control among
// them, as RecommendedOptions does, with the informers of what the host may not serve.
func (o *Options) applyFeatures(generic *server.RecommendedConfig) error {
	if generic.ClientConfig == nil {
		return o.Recommended.Features.ApplyTo(&generic.Config, nil, nil)
	}
	host, err := kubernetes.NewForConfig(generic.ClientConfig)
	if err != nil {
		return fmt.Errorf("client of the host: %w", err)
	}
	apiserver.ShareOptionalKinds(generic.SharedInformerFactory)
	return o.Recommended.Features.ApplyTo(&generic.Config, host, generic.SharedInformerFactory)
}
