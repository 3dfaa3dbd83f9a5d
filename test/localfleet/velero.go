// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

const (
	defaultVeleroNamespace = "velero"
	veleroLocation         = "default"
)

//go:embed velero.yaml
var veleroManifest []byte

var locations = schema.GroupVersionResource{Group: "velero.io", Version: "v1", Resource: "backupstoragelocations"}

// velero returns the command of a member's Velero server. It uses the flags of a
// default installation, so that tests measure against Velero's defaults.
func (f *Fleet) velero(c cluster) command {
	name := c.name + "-velero"
	return command{
		name:    name,
		program: f.veleroProgram(c),
		args: []string{
			"server", "--kubeconfig=" + f.kubeconfig(c.name, "velero"), "--namespace=" + f.veleroNamespace(c),
			"--plugin-dir=" + f.program("plugins"),
			// Any free port, since no client reads the metrics; and no profiler.
			"--metrics-address=127.0.0.1:0", "--profiler-address=",
		},
		environment: []string{
			"AWS_SHARED_CREDENTIALS_FILE=" + f.veleroCredentials(name),
			"AWS_EC2_METADATA_DISABLED=true",
			// The plugins of Velero before 1.15 know no flag.
			"KUBECONFIG=" + f.kubeconfig(c.name, "velero"),
		},
		ready: func(ctx context.Context, started time.Time) error { return f.locationAvailable(ctx, c, started) },
	}
}

// veleroProgram returns the path of Velero's program for a member.
func (f *Fleet) veleroProgram(c cluster) string {
	return filepath.Join(f.ofMember(f.state.Veleros, c, f.state.BinDir), "velero")
}

// veleroNamespace returns the namespace of a member's Velero.
func (f *Fleet) veleroNamespace(c cluster) string {
	return f.ofMember(f.state.VeleroNamespaces, c, defaultVeleroNamespace)
}

// inNamespace returns a manifest whose objects are in namespace velero, which it may define, with another namespace.
func inNamespace(manifest []byte, namespace string) []byte {
	for _, field := range []string{"namespace: ", "kind: Namespace\nmetadata: {name: "} {
		manifest = bytes.ReplaceAll(manifest, []byte(field+defaultVeleroNamespace), []byte(field+namespace))
	}
	return manifest
}

func (f *Fleet) veleroCredentials(process string) string {
	return filepath.Join(f.dataDir(process), "credentials")
}

// credentials returns the credentials of the S3 server as AWS clients read them.
func (f *Fleet) credentials() string {
	return fmt.Sprintf("[default]\naws_access_key_id=%s\naws_secret_access_key=%s\n", f.state.StorageKey, f.state.StorageSecret)
}

// upVelero installs Velero into a member and starts its server. It waits for the
// storage first, because Velero would find the storage location unavailable and check
// it again only a minute later.
func (f *Fleet) upVelero(ctx context.Context, c cluster, storageReady <-chan struct{}) error {
	if err := f.installVelero(ctx, c); err != nil {
		return err
	}
	if f.state.WithoutVelero {
		return nil
	}
	p := f.process(f.velero(c))
	if err := writeFile(f.veleroCredentials(p.Name()), []byte(f.credentials())); err != nil {
		return err
	}
	select {
	case <-storageReady:
	case <-ctx.Done():
		return ctx.Err()
	}
	return p.ensure(ctx)
}

func (f *Fleet) installVelero(ctx context.Context, c cluster) error {
	applier, err := f.applier(c)
	if err != nil {
		return err
	}
	definitions, err := f.veleroDefinitions(ctx, c)
	if err != nil {
		return err
	}
	if err := applier.define(ctx, definitions); err != nil || f.state.WithoutVelero {
		return err
	}
	objects, err := f.veleroObjects(f.veleroNamespace(c))
	if err != nil {
		return err
	}
	return applier.apply(ctx, objects...)
}

// veleroDefinitions returns the CustomResourceDefinitions that the Velero of a member prints.
func (f *Fleet) veleroDefinitions(ctx context.Context, c cluster) ([]*unstructured.Unstructured, error) {
	var output, failure bytes.Buffer
	run := exec.CommandContext(ctx, f.veleroProgram(c), "install", "--crds-only", "--dry-run", "--output=yaml")
	run.Env = []string{"HOME=" + f.dir}
	run.Stdout, run.Stderr = &output, &failure
	if err := run.Run(); err != nil {
		return nil, fmt.Errorf("velero install: %w: %s", err, failure.Bytes())
	}
	return parse(output.Bytes())
}

// veleroObjects returns what `velero install` creates, and a storage location in the
// fleet's S3 server.
func (f *Fleet) veleroObjects(namespace string) ([]*unstructured.Unstructured, error) {
	authority, err := os.ReadFile(f.keys("storage").authority())
	if err != nil {
		return nil, err
	}
	installed, err := parse(inNamespace(veleroManifest, namespace))
	if err != nil {
		return nil, err
	}
	return append(installed,
		newObject("v1", "Secret", namespace, "cloud-credentials", map[string]any{
			"stringData": map[string]any{"cloud": f.credentials()},
		}),
		newObject("velero.io/v1", "BackupStorageLocation", namespace, veleroLocation, map[string]any{
			"spec": map[string]any{
				"provider": "aws",
				"default":  true,
				"objectStorage": map[string]any{
					"bucket": bucket,
					"caCert": base64.StdEncoding.EncodeToString(authority),
				},
				"config": map[string]any{
					"region":           region,
					"s3ForcePathStyle": "true",
					"s3Url":            "https://" + f.address("storage"),
				},
			},
		}),
	), nil
}

// locationAvailable returns nil if the Velero started at this time has validated its
// storage location and found it available. The status may still be that of an earlier
// run.
func (f *Fleet) locationAvailable(ctx context.Context, c cluster, started time.Time) error {
	config, err := f.config(c)
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	location, err := client.Resource(locations).Namespace(f.veleroNamespace(c)).Get(ctx, veleroLocation, metav1.GetOptions{})
	if err != nil {
		return err
	}
	phase, _, err := unstructured.NestedString(location.Object, "status", "phase")
	if err != nil {
		return err
	}
	message, _, err := unstructured.NestedString(location.Object, "status", "message")
	if err != nil {
		return err
	}
	validated, found, err := unstructured.NestedString(location.Object, "status", "lastValidationTime")
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("BackupStorageLocation %s is not validated yet", veleroLocation)
	}
	fresh, err := notBefore(validated, started)
	if err != nil {
		return err
	}
	if phase != "Available" || !fresh {
		return fmt.Errorf("BackupStorageLocation %s is %q since %s: %s", veleroLocation, phase, validated, message)
	}
	return nil
}
