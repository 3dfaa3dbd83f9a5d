// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

const (
	// Paths are relative to the root of the repository, where the demo is run.
	appManifest     = "test/localfleet/cmd/localfleet/app.yaml"
	migrateManifest = "artifacts/examples/migrate-select-labels.yaml"

	appNamespace    = "busybox"
	veleroNamespace = "velero"
	migrateName     = "select-labels"
	uidLabel        = "backup.kurator.dev/migrate-uid"
	source, target  = 1, 2

	// migrationDeadline is many times as long as a migration of this size takes.
	migrationDeadline = 5 * time.Minute
	// overheadGoal is the most that the server may add to Velero's own time.
	overheadGoal = time.Second
)

var (
	migrates = schema.GroupVersionResource{Group: "backup.kurator.dev", Version: "v1alpha1", Resource: "migrates"}
	backups  = schema.GroupVersionResource{Group: "velero.io", Version: "v1", Resource: "backups"}
	restores = schema.GroupVersionResource{Group: "velero.io", Version: "v1", Resource: "restores"}

	namespaces  = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	configMaps  = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	secrets     = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	services    = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}

	migrateEnds = []string{"Completed", "PartiallyFailed", "Failed", "FailedValidation"}
	veleroEnds  = []string{"Completed", "PartiallyFailed", "Failed", "FailedValidation"}
)

// object identifies an object that the demo looks for in a cluster.
type object struct {
	resource        schema.GroupVersionResource
	namespace, name string
}

func (o object) String() string { return o.resource.Resource + "/" + o.name }

// The objects of the application that the Migrate selects, and one that it doesn't.
var (
	selected = []object{
		{namespaces, "", appNamespace},
		{configMaps, appNamespace, "settings"},
		{secrets, appNamespace, "password"},
		{services, appNamespace, "busybox"},
		{deployments, appNamespace, "busybox"},
	}
	unselected = object{configMaps, appNamespace, "stays-behind"}
)

func newDemoCommand() *cobra.Command {
	var (
		f    flags
		keep bool
	)
	command := &cobra.Command{
		Use:   "demo",
		Short: "Migrate a small application from one member to another",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return showDemo(command.Context(), command.OutOrStdout(), f, keep)
		},
	}
	f.add(command.Flags())
	command.Flags().BoolVar(&keep, "keep", false, "keep the fleet running")
	return command
}

// showDemo starts a fleet, runs the demo on it and, unless keep is set, takes it down.
// If the demo fails, it keeps a copy of the logs.
func showDemo(ctx context.Context, out io.Writer, f flags, keep bool) error {
	fmt.Fprintln(out, "This demo creates one Migrate object, and Velero migrates an application from one Kubernetes")
	fmt.Fprintln(out, "cluster to another. First it starts a host cluster and two members, all on this machine:")
	fmt.Fprintln(out)
	f.members = max(f.members, 2)
	missing := localfleet.NodesMissing()
	f.nodes = missing == nil
	fleet, err := f.up(ctx, out)
	if err == nil {
		err = runDemo(ctx, out, fleet, missing)
	}
	if keep {
		return hint(err, "the fleet keeps running, its logs are in "+filepath.Join(f.dir, "logs"))
	}
	// A fleet that failed to start may still run some processes.
	if fleet == nil {
		if fleet, _ = localfleet.Load(f.dir); fleet == nil {
			return err
		}
	}
	if err != nil {
		err = hint(err, saveLogs(fleet, f.dir+"-logs"))
	}
	if downErr := fleet.Down(context.WithoutCancel(ctx)); downErr != nil {
		return errors.Join(err, downErr)
	}
	fmt.Fprintln(out, "\nThe fleet has been removed. With KEEP=1 it keeps running, for you to look around.")
	return err
}

func hint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w\n(%s)", err, hint)
}

func saveLogs(fleet *localfleet.Fleet, to string) string {
	err := os.RemoveAll(to)
	if err == nil {
		err = os.CopyFS(to, os.DirFS(filepath.Join(fleet.Dir(), "logs")))
	}
	if err != nil {
		return "the logs could not be saved: " + err.Error()
	}
	return "the logs of all processes are in " + to
}

// demo is one run of the demo.
type demo struct {
	transcript

	hostClient   dynamic.Interface
	memberClient map[int]dynamic.Interface

	migrate, backup, restore *stopwatch

	// nodesMissing is nil if pods run in the members, and otherwise the reason why not.
	nodesMissing error
}

func runDemo(ctx context.Context, out io.Writer, fleet *localfleet.Fleet, nodesMissing error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d := &demo{transcript: transcript{out: out, fleet: fleet}, memberClient: map[int]dynamic.Interface{}, nodesMissing: nodesMissing}
	if err := d.connect(ctx); err != nil {
		return err
	}
	if err := d.prepare(ctx); err != nil {
		return fmt.Errorf("prepare the application: %w", err)
	}
	result, err := d.migrateApp(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := d.checkTarget(ctx); err != nil {
		return fmt.Errorf("check %s: %w", localfleet.MemberName(target), err)
	}
	if err := d.deleteMigrate(ctx); err != nil {
		return fmt.Errorf("delete the Migrate: %w", err)
	}
	d.report(result)
	if d.nodesMissing != nil {
		return nil
	}
	if err := d.migrateShop(ctx); err != nil {
		return fmt.Errorf("migrate the stateful application: %w", err)
	}
	return nil
}

// connect creates the clients and starts the stopwatches, before there are objects to
// measure.
func (d *demo) connect(ctx context.Context) error {
	host, err := d.fleet.HostConfig()
	if err != nil {
		return err
	}
	if d.hostClient, err = dynamic.NewForConfig(host); err != nil {
		return err
	}
	configs := map[int]*rest.Config{}
	for _, n := range []int{source, target} {
		if configs[n], err = d.fleet.MemberConfig(n); err != nil {
			return err
		}
		if d.memberClient[n], err = dynamic.NewForConfig(configs[n]); err != nil {
			return err
		}
	}
	migrateEnded := func(phase string) bool { return slices.Contains(migrateEnds, phase) }
	veleroEnded := func(phase string) bool { return slices.Contains(veleroEnds, phase) }
	if d.migrate, err = startStopwatch(ctx, host, migrates, metav1.NamespaceDefault, migrateEnded); err != nil {
		return err
	}
	if d.backup, err = startStopwatch(ctx, configs[source], backups, veleroNamespace, veleroEnded); err != nil {
		return err
	}
	d.restore, err = startStopwatch(ctx, configs[target], restores, veleroNamespace, veleroEnded)
	return err
}

// prepare removes the objects of an earlier demo and creates the application in the
// source.
func (d *demo) prepare(ctx context.Context) error {
	if err := d.cleanUp(ctx); err != nil {
		return err
	}
	d.heading("An application in %s", localfleet.MemberName(source))
	if err := d.member(ctx, source, "apply", "-f", appManifest); err != nil {
		return err
	}
	if err := d.member(ctx, source, "get", "configmaps,secrets,services,deployments", "-n", appNamespace, "--show-labels"); err != nil {
		return err
	}
	if d.nodesMissing != nil {
		fmt.Fprintf(d.out, "\n   (No pod runs, and no volume is migrated: %v.)\n", d.nodesMissing)
	}
	return nil
}

// cleanUp deletes the Migrate and the applications of an earlier demo, if any.
func (d *demo) cleanUp(ctx context.Context) error {
	for _, name := range []string{migrateName, shopName} {
		if _, err := d.uid(ctx, d.hostClient, object{migrates, metav1.NamespaceDefault, name}); err != nil {
			continue
		}
		if err := d.host(ctx, "delete", "migrates.backup.kurator.dev", name); err != nil {
			return err
		}
	}
	for _, n := range []int{source, target} {
		for _, name := range []string{appNamespace, shopName} {
			if _, err := d.uid(ctx, d.memberClient[n], object{resource: namespaces, name: name}); apierrors.IsNotFound(err) {
				continue
			}
			if err := d.member(ctx, n, "delete", "namespace", name, "--wait", "--ignore-not-found"); err != nil {
				return err
			}
		}
	}
	return nil
}

// timing holds the times of a migration and of Velero's work within it.
type timing struct{ migration, backup, restore run }

func (t timing) overhead() time.Duration {
	return t.migration.took() - t.backup.took() - t.restore.took()
}

func (d *demo) migrateApp(ctx context.Context) (timing, error) {
	d.heading("A plan says what would be moved, and what would hinder it")
	if err := d.host(ctx, "migrate", "plan", "-f", migrateManifest); err != nil {
		return timing{}, err
	}
	d.heading("One object says what to migrate, from where and to where")
	if err := d.host(ctx, "apply", "-f", migrateManifest); err != nil {
		return timing{}, err
	}
	uid, err := d.uid(ctx, d.hostClient, object{migrates, metav1.NamespaceDefault, migrateName})
	if err != nil {
		return timing{}, err
	}
	d.heading("Its status shows the progress")
	bounded, cancel := context.WithTimeout(ctx, migrationDeadline)
	defer cancel()
	migration, err := d.watchMigrate(bounded, migrateName, uid)
	if err != nil {
		return timing{}, d.explain(ctx, migrateName, err)
	}
	if err := d.host(ctx, "get", "migrates.backup.kurator.dev", migrateName, "-o", "yaml"); err != nil {
		return timing{}, err
	}
	ours := func(_ types.UID, r run) bool { return r.labels[uidLabel] == string(uid) }
	backup, err := d.backup.await(bounded, ours)
	if err != nil {
		return timing{}, err
	}
	restore, err := d.restore.await(bounded, ours)
	if err != nil {
		return timing{}, err
	}
	return timing{migration: migration, backup: backup, restore: restore}, nil
}

// watchMigrate shows the progress of the Migrate until it has ended. It must end Completed.
func (d *demo) watchMigrate(ctx context.Context, name string, uid types.UID) (run, error) {
	if err := d.host(ctx, "migrate", "status", name, "--watch"); err != nil {
		return run{}, err
	}
	return d.migrate.await(ctx, func(candidate types.UID, _ run) bool { return candidate == uid })
}

// explain adds the path of the server's log to an error and prints the status of the
// Migrate.
func (d *demo) explain(ctx context.Context, name string, err error) error {
	server, processErr := d.fleet.Process("migrate-apiserver")
	if processErr != nil {
		return errors.Join(err, processErr)
	}
	describeErr := d.host(ctx, "describe", "migrates.backup.kurator.dev", name)
	return errors.Join(fmt.Errorf("%w; the server's log is %s", err, shorten(server.LogFile())), describeErr)
}

// checkTarget checks that the target has the selected objects of the application and no
// others.
func (d *demo) checkTarget(ctx context.Context) error {
	d.heading("The application in %s", localfleet.MemberName(target))
	if err := d.member(ctx, target, "get", "configmaps,secrets,services,deployments", "-n", appNamespace, "--show-labels"); err != nil {
		return err
	}
	fmt.Fprintln(d.out)
	for _, o := range selected {
		if _, err := d.uid(ctx, d.memberClient[target], o); err != nil {
			return fmt.Errorf("%s was not migrated: %w", o, err)
		}
		d.ok("%s was migrated", o)
	}
	switch _, err := d.uid(ctx, d.memberClient[target], unselected); {
	case apierrors.IsNotFound(err):
		d.ok("%s, which has no label, was not migrated", unselected)
		return nil
	case err != nil:
		return err
	default:
		return fmt.Errorf("%s has no label, but was migrated", unselected)
	}
}

// deleteMigrate checks that deleting the Migrate deletes no other object.
func (d *demo) deleteMigrate(ctx context.Context) error {
	d.heading("Deleting the Migrate deletes nothing else")
	before, err := d.inventory(ctx)
	if err != nil {
		return err
	}
	if err := d.host(ctx, "delete", "migrates.backup.kurator.dev", migrateName); err != nil {
		return err
	}
	for _, n := range []int{source, target} {
		if err := d.member(ctx, n, "get", "backups.velero.io,restores.velero.io", "-n", veleroNamespace); err != nil {
			return err
		}
	}
	after, err := d.inventory(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(d.out)
	for _, group := range slices.Sorted(maps.Keys(before)) {
		for _, item := range before[group] {
			if !slices.Contains(after[group], item) {
				return fmt.Errorf("%s: %s was deleted", group, item)
			}
		}
		d.ok("%s: all %d still exist", group, len(before[group]))
	}
	return nil
}

// inventory lists, by group, all objects and files that must outlive the Migrate.
func (d *demo) inventory(ctx context.Context) (map[string][]string, error) {
	found := map[string][]string{}
	for n, client := range d.memberClient {
		application := fmt.Sprintf("the application's objects in %s", localfleet.MemberName(n))
		for _, o := range selected {
			uid, err := d.uid(ctx, client, o)
			if err != nil {
				return nil, err
			}
			found[application] = append(found[application], fmt.Sprintf("%s with UID %s", o, uid))
		}
		velero := fmt.Sprintf("Velero's backups and restores in %s", localfleet.MemberName(n))
		for _, resource := range []schema.GroupVersionResource{backups, restores} {
			list, err := client.Resource(resource).Namespace(veleroNamespace).List(ctx, metav1.ListOptions{LabelSelector: uidLabel})
			if err != nil {
				return nil, err
			}
			for _, item := range list.Items {
				found[velero] = append(found[velero], fmt.Sprintf("%s/%s with UID %s", resource.Resource, item.GetName(), item.GetUID()))
			}
		}
	}
	bucket := "files in the bucket"
	return found, filepath.WalkDir(d.fleet.Bucket(), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			found[bucket] = append(found[bucket], path)
		}
		return err
	})
}

func (d *demo) uid(ctx context.Context, client dynamic.Interface, o object) (types.UID, error) {
	live, err := client.Resource(o.resource).Namespace(o.namespace).Get(ctx, o.name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return live.GetUID(), nil
}

func (d *demo) report(t timing) {
	d.heading("Times")
	fmt.Fprintln(d.out)
	for _, line := range []struct {
		name string
		took time.Duration
	}{
		{"the migration, from create to Completed", t.migration.took()},
		{"Velero's backup in " + localfleet.MemberName(source), t.backup.took()},
		{"Velero's restore in " + localfleet.MemberName(target), t.restore.took()},
		{"the rest, which migrate-apiserver adds", t.overhead()},
	} {
		fmt.Fprintf(d.out, "   %7.3f s  %s\n", line.took.Seconds(), line.name)
	}
	if t.overhead() >= overheadGoal {
		fmt.Fprintf(d.out, "\n   migrate-apiserver should add less than %v. Is the machine busy?\n", overheadGoal)
	}
}
