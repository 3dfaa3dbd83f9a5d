// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package options_test

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"

	"kurator.dev/migrate-apiserver/cmd/migrate-apiserver/app/options"
)

func TestValidate(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"the defaults": {},
		"an external etcd": {
			args: []string{"--etcd-servers=https://etcd:2379", "--etcd-cafile=ca.crt", "--data-dir="},
		},
		"no etcd": {
			args: []string{"--data-dir="},
			want: "--data-dir must be set unless --etcd-servers is set",
		},
		"no room": {
			args: []string{"--data-quota-bytes=0"},
			want: "--data-quota-bytes must be greater than 0, not 0",
		},
		"TLS of no etcd": {
			args: []string{"--etcd-cafile=a", "--etcd-keyfile=b"},
			want: "[--etcd-cafile requires --etcd-servers, --etcd-keyfile requires --etcd-servers]",
		},
		"leader election that loses": {
			args: []string{"--leader-elect-lease-duration=1s", "--leader-elect-retry-period=20s", "--leader-elect-resource-name="},
			want: "[--leader-elect-lease-duration (1s) must be greater than --leader-elect-renew-deadline (10s), " +
				"--leader-elect-renew-deadline (10s) must be greater than --leader-elect-retry-period (20s), which must be greater than 0, " +
				"--leader-elect-resource-name and --leader-elect-resource-namespace must be set]",
		},
		"no leader election": {
			args: []string{"--leader-elect=false", "--leader-elect-lease-duration=1s"},
		},
		"some namespaces": {
			args: []string{"--namespaces=team-a,team-b", "--namespaces=team-c"},
		},
		"no names of namespaces": {
			args: []string{"--namespaces=team-a,*,team-a"},
			want: "[--namespaces: \"*\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?'), " +
				"--namespaces: \"team-a\" is listed twice]",
		},
		"ranges of members": {
			args: []string{"--member-address-ranges=10.0.0.0/8,fd00::/8"},
		},
		"no ranges": {
			args: []string{"--member-address-ranges=10.0.0.0/8,10.1.1.1"},
			want: `--member-address-ranges: "10.1.1.1" is not a CIDR such as 10.0.0.0/8`,
		},
		"a port out of range": {
			args: []string{"--secure-port=70000"},
			want: "--secure-port 70000 must be between 1 and 65535, inclusive. It cannot be turned off with 0",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := parse(t, append(test.args, "--cert-dir=certificates")...).Validate(); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestServingCertificate checks that no default certificate is used: it would be in the working
// directory.
func TestServingCertificate(t *testing.T) {
	const missing = "no serving certificate: set --serving-certificate-secret to have this server issue it, or --tls-cert-file and --tls-private-key-file, or --cert-dir to a directory that contains one or in which a self-signed one is generated"
	const twice = "--serving-certificate-secret can't be set with --tls-cert-file, --tls-private-key-file or --cert-dir: the certificate would be in two places"
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no flag":     {want: missing},
		"a directory": {args: []string{"--cert-dir=certificates"}},
		"the files":   {args: []string{"--tls-cert-file=tls.crt", "--tls-private-key-file=tls.key"}},
		"a Secret":    {args: []string{"--serving-certificate-secret=migrate-system/tls", "--serving-certificate-service=migrate-system/server"}},
		"a Secret and files": {
			args: []string{"--serving-certificate-secret=migrate-system/tls", "--tls-cert-file=tls.crt"}, want: twice,
		},
		"a Secret and a directory": {
			args: []string{"--serving-certificate-secret=migrate-system/tls", "--cert-dir=certificates"}, want: twice,
		},
		"no namespaces": {
			args: []string{"--serving-certificate-secret=tls", "--serving-certificate-service=Migrate/server"},
			want: `[--serving-certificate-secret: "tls" is not NAMESPACE/NAME, --serving-certificate-service: "Migrate/server" is not NAMESPACE/NAME]`,
		},
		"a Service only": {
			args: []string{"--cert-dir=certificates", "--serving-certificate-service=migrate-system/server"},
			want: "--serving-certificate-service requires --serving-certificate-secret",
		},
	} {
		got := ""
		if err := parse(t, test.args...).Validate(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestServingCertificateNames(t *testing.T) {
	for flags, want := range map[string]string{
		"--serving-certificate-secret=a/tls":                                    "a/tls a/migrate-apiserver",
		"--serving-certificate-secret=a/tls --serving-certificate-service=b/my": "a/tls b/my",
	} {
		secret, service := parse(t, strings.Fields(flags)...).ServingCertificate.Names()
		if got := secret.String() + " " + service.String(); got != want {
			t.Errorf("%s: %s, want %s", flags, got, want)
		}
	}
}

func TestDefaults(t *testing.T) {
	o := parse(t)
	if !o.UsesEmbeddedEtcd() {
		t.Error("an external etcd by default")
	}
	if got := o.Recommended.Etcd.StorageConfig.Prefix; got != "/migrate.kurator.dev" {
		t.Errorf("etcd prefix: got %s", got)
	}
	if l := o.LeaderElection; !l.LeaderElect || l.ResourceName != "migrate-apiserver" || l.ResourceNamespace != "migrate-system" {
		t.Errorf("leader election: got %+v", l)
	}
	if !reflect.DeepEqual(o.Members, options.Members{Readiness: options.ReadinessStatus}) {
		t.Errorf("members: got %+v, want every option off", o.Members)
	}
}

// TestEmulatedVersion checks that the version of this server and that of its library can be emulated, within bounds.
func TestEmulatedVersion(t *testing.T) {
	for flag, want := range map[string]string{
		"":                                  "0.1",
		"--emulated-version=migrate=0.1":    "0.1",
		"--emulated-version=migrate=0.0":    "emulation version 0.0 is not between [0.1, ",
		"--emulated-version=migrate=9.0":    "emulation version 9.0 is not between [0.1, ",
		"--feature-gates=migrate:None=true": "unrecognized feature gate: None",
	} {
		args := []string{"--cert-dir=certificates"}
		if flag != "" {
			args = append(args, flag)
		}
		o := parse(t, args...)
		components := o.ServerRun.ComponentGlobalsRegistry
		err := components.Set()
		if err == nil {
			err = o.Validate()
		}
		got := components.EffectiveVersionFor("migrate").EmulationVersion().String()
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: got %s, want %s", flag, got, want)
		}
	}
	if kube := parse(t).ServerRun.ComponentGlobalsRegistry.EffectiveVersionFor("kube").EmulationVersion().Minor(); kube < 37 {
		t.Errorf("the library is of version 1.%d", kube)
	}
}

// TestDataFitsTheVolume checks the volume of the manifests: it holds the data of etcd, a copy of
// it during defragmentation, and at most 512 MiB of log and snapshots.
func TestDataFitsTheVolume(t *testing.T) {
	manifest, err := os.ReadFile("../../../../artifacts/deploy/overlays/standalone/statefulset.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var server appsv1.StatefulSet
	if err := yaml.UnmarshalStrict(manifest, &server); err != nil {
		t.Fatal(err)
	}
	volume := server.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests.Storage().Value()
	if needs := 2*parse(t).EmbeddedEtcd.QuotaBytes + 512<<20; needs > volume {
		t.Errorf("the data needs %d MiB of a volume of %d MiB", needs>>20, volume>>20)
	}
}

func TestNoFlagTwice(t *testing.T) {
	o, err := options.New()
	if err != nil {
		t.Fatal(err)
	}
	section := map[string]string{}
	for name, set := range o.Flags().FlagSets {
		set.VisitAll(func(flag *pflag.Flag) {
			if other, taken := section[flag.Name]; taken {
				t.Errorf("--%s is in %s and %s", flag.Name, other, name)
			}
			section[flag.Name] = name
		})
	}
}

func parse(t *testing.T, args ...string) *options.Options {
	t.Helper()
	o, err := options.New()
	if err != nil {
		t.Fatal(err)
	}
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	for _, set := range o.Flags().FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return o
}
