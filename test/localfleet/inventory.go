// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"context"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// FleetName is the name of the Fleet that lists all members.
const FleetName = "quickstart"

// veleroNamespaceAnnotation names the namespace of a member's Velero.
const veleroNamespaceAnnotation = "backup.kurator.dev/velero-namespace"

//go:embed crds/*.yaml
var definitions embed.FS

// enroll registers the members with the host as Kurator does: with a Secret that holds
// a kubeconfig and an AttachedCluster for each, and a Fleet that lists them.
func (f *Fleet) enroll(ctx context.Context) error {
	if f.state.WithoutKurator {
		return nil
	}
	applier, err := f.applier(cluster{name: hostName})
	if err != nil {
		return err
	}
	defined, err := parseAll(definitions)
	if err != nil {
		return err
	}
	if err := applier.define(ctx, defined); err != nil {
		return fmt.Errorf("cluster %s: %w", hostName, err)
	}
	for n := 1; n <= f.Members(); n++ {
		if err := f.attach(ctx, applier, n); err != nil {
			return fmt.Errorf("attach %s: %w", MemberName(n), err)
		}
	}
	if err := applier.apply(ctx, f.fleetObject()); err != nil {
		return err
	}
	f.progress.printf("Fleet %s on the host lists %d members", FleetName, f.Members())
	return nil
}

func (f *Fleet) attach(ctx context.Context, applier *applier, n int) error {
	kubeconfig, err := os.ReadFile(f.MemberKubeconfig(n))
	if err != nil {
		return err
	}
	var annotations map[string]string
	if namespace := f.veleroNamespace(cluster{name: MemberName(n)}); namespace != defaultVeleroNamespace {
		annotations = map[string]string{veleroNamespaceAnnotation: namespace}
	}
	return attach(ctx, applier, MemberName(n), kubeconfig, annotations)
}

// Attachment is a member that a test registers with the host.
type Attachment struct {
	// Name is the name of its AttachedCluster and Secret.
	Name string
	// Kubeconfig is the kubeconfig of the member.
	Kubeconfig []byte
	// VeleroNamespace is the namespace of the member's Velero.
	VeleroNamespace string
}

// Attach registers members with the host and creates a Fleet that lists them, all in
// the namespace default.
func (f *Fleet) Attach(ctx context.Context, fleetName string, members ...Attachment) error {
	applier, err := f.applier(cluster{name: hostName})
	if err != nil {
		return err
	}
	var names []string
	for _, m := range members {
		annotations := map[string]string{veleroNamespaceAnnotation: m.VeleroNamespace}
		if err := attach(ctx, applier, m.Name, m.Kubeconfig, annotations); err != nil {
			return fmt.Errorf("attach %s: %w", m.Name, err)
		}
		names = append(names, m.Name)
	}
	return applier.apply(ctx, fleetObject(fleetName, names))
}

func attach(ctx context.Context, applier *applier, name string, kubeconfig []byte, annotations map[string]string) error {
	secret := newObject("v1", "Secret", metav1.NamespaceDefault, name, map[string]any{
		"data": map[string]any{"value": base64.StdEncoding.EncodeToString(kubeconfig)},
	})
	attached := newObject("cluster.kurator.dev/v1alpha1", "AttachedCluster", metav1.NamespaceDefault, name, map[string]any{
		"spec": map[string]any{"kubeconfig": map[string]any{"name": name, "key": "value"}},
	})
	attached.SetAnnotations(annotations)
	status := newObject(attached.GetAPIVersion(), attached.GetKind(), attached.GetNamespace(), name, map[string]any{
		"status": map[string]any{"ready": true},
	})
	if err := applier.apply(ctx, secret, attached); err != nil {
		return err
	}
	return applier.applyStatus(ctx, status)
}

// AddVeleroNamespaces creates namespaces in a member without Velero, each with a
// BackupStorageLocation. All locations name the same storage, which does not exist.
func (f *Fleet) AddVeleroNamespaces(ctx context.Context, member int, namespaces ...string) error {
	applier, err := f.applier(cluster{name: MemberName(member)})
	if err != nil {
		return err
	}
	for _, namespace := range namespaces {
		location := newObject("velero.io/v1", "BackupStorageLocation", namespace, veleroLocation, map[string]any{
			"spec": map[string]any{
				"provider": "aws", "default": true,
				"objectStorage": map[string]any{"bucket": bucket},
				"config":        map[string]any{"region": region, "s3Url": "https://storage.invalid"},
			},
		})
		if err := applier.apply(ctx, newObject("v1", "Namespace", "", namespace, nil), location); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fleet) fleetObject() *unstructured.Unstructured {
	var names []string
	for n := 1; n <= f.Members(); n++ {
		names = append(names, MemberName(n))
	}
	return fleetObject(FleetName, names)
}

func fleetObject(name string, members []string) *unstructured.Unstructured {
	clusters := []any{}
	for _, member := range members {
		clusters = append(clusters, map[string]any{"kind": "AttachedCluster", "name": member})
	}
	return newObject("fleet.kurator.dev/v1alpha1", "Fleet", metav1.NamespaceDefault, name, map[string]any{
		"spec": map[string]any{"clusters": clusters},
	})
}

// parseAll returns the objects in all files of a tree, in the order of the file names.
func parseAll(files fs.FS) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		parsed, err := parse(content)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		objects = append(objects, parsed...)
		return nil
	})
	return objects, err
}
