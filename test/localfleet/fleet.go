// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Options configure a fleet.
type Options struct {
	// Dir is the directory of all files of the fleet. If it is empty, Up creates a
	// temporary directory; only an attached fleet may leave it empty.
	Dir string
	// BinDir is the directory of the programs that `make tools` builds.
	BinDir string
	// Members is the number of member clusters. A fleet that has more keeps them.
	Members int
	// KubernetesDir is the directory of the kube-apiserver and kube-controller-manager
	// of host and members. Default: BinDir.
	KubernetesDir string
	// MemberKubernetes are those directories of members 1, 2 and so on; the last one is that of all others. Default:
	// KubernetesDir.
	MemberKubernetes []string
	// Veleros are the directories of the velero of members 1, 2 and so on; the last one is that of all others.
	// Default: BinDir.
	Veleros []string
	// VeleroNamespaces are the namespaces of the Veleros of members 1, 2 and so on; the last one is that of all others.
	// Default: velero.
	VeleroNamespaces []string
	// Nodes gives each member a real node, on which pods run and volumes have data.
	// NodesMissing must return nil. A fleet that has nodes keeps them.
	Nodes bool
	// HostImages gives the host a node, too, with the images in these archives. Our server is then
	// a pod that the caller installs, reached at PodPort, and Up starts none.
	HostImages []string
	// Server is the path of migrate-apiserver. If it is empty, Up starts no server.
	Server string
	// ServerFlags are added to the flags of our server.
	ServerFlags []string
	// IssuesCertificate has our server issue its serving certificate itself, as in the manifests.
	// Otherwise it has one of the fleet's, so that its CA is known before it starts.
	IssuesCertificate bool
	// Replicas is the number of replicas of our server. If it is more than one, the
	// replicas share an etcd of three members that no other server uses, and the host
	// reaches them through a load balancer in this process. Only an attached fleet may
	// have more than one.
	Replicas int
	// WithoutVelero starts neither Velero nor its storage: the members have only
	// Velero's CustomResourceDefinitions.
	WithoutVelero bool
	// WithoutKurator defines none of Kurator's kinds on the host, and registers no member with it.
	WithoutKurator bool
	// Attached binds the fleet to this process: when the process ends, for whatever
	// reason, all processes of the fleet are killed and its directory is removed.
	Attached bool
	// Progress receives one line for each step. Nil discards them.
	Progress io.Writer
}

// Fleet is a fleet that Up or Load returned. Its methods are safe for concurrent
// use.
type Fleet struct {
	dir      string
	progress *progress
	watchdog *watchdog
	locks    portLocks
	balancer *balancer

	mu    sync.Mutex
	state *state
}

// Up starts the fleet and returns when all of it is ready. If the fleet exists, Up
// starts the processes that don't run and adds the clusters that are missing.
// When Up fails, it takes an attached fleet down; it leaves a detached one as it
// is, for its logs and for the next Up.
func Up(ctx context.Context, options Options) (*Fleet, error) {
	f, err := open(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("local fleet: %w", err)
	}
	if err := f.up(ctx); err != nil {
		err = fmt.Errorf("local fleet in %s: %w", f.dir, err)
		if options.Attached {
			err = errors.Join(err, f.Down(context.WithoutCancel(ctx)))
		}
		return nil, err
	}
	return f, nil
}

// Load returns the fleet in dir and starts no process. The error is ErrNotExist if
// dir holds no fleet.
func Load(dir string) (*Fleet, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("local fleet: %w", err)
	}
	s, err := readState(dir)
	if err != nil {
		return nil, fmt.Errorf("local fleet: %w", err)
	}
	return &Fleet{dir: dir, state: s, progress: newProgress(nil)}, nil
}

// Down kills every process of the fleet and removes its directory. No process is
// stopped gracefully, because all data is lost anyway.
func (f *Fleet) Down(ctx context.Context) error {
	unlock, err := lock(ctx, f.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("local fleet in %s: %w", f.dir, err)
	}
	defer unlock()
	if err := killMarked(ctx, f.mark()); err != nil {
		return fmt.Errorf("local fleet in %s: %w", f.dir, err)
	}
	if err := f.cgroup().Remove(ctx); err != nil {
		return fmt.Errorf("local fleet in %s: %w", f.dir, err)
	}
	if err := os.RemoveAll(f.dir); err != nil {
		return fmt.Errorf("local fleet: %w", err)
	}
	return errors.Join(f.balancer.close(), f.locks.release(), f.watchdog.end())
}

// Dir returns the directory of all files of the fleet.
func (f *Fleet) Dir() string { return f.dir }

// Members returns the number of member clusters.
func (f *Fleet) Members() int { return f.state.Members }

// BinDir returns the directory of the fleet's programs, including kubectl and velero.
func (f *Fleet) BinDir() string { return f.state.BinDir }

// Bucket returns the directory of the objects that the members' Veleros store in
// the S3 server.
func (f *Fleet) Bucket() string { return filepath.Join(f.storageDir(), bucket) }

// Processes returns all processes that the fleet should have, in the order in
// which Up starts them.
func (f *Fleet) Processes() []*Process {
	commands := []command{f.etcd()}
	if !f.state.WithoutVelero {
		commands = append(commands, f.storage())
	}
	for _, c := range f.clusters() {
		commands = append(commands, f.apiserver(c), f.controllerManager(c))
		if c.member() && !f.state.WithoutVelero {
			commands = append(commands, f.velero(c))
		}
		if f.hasNode(c) {
			commands = append(commands, f.nodeCommands(c)...)
		}
	}
	if program, _ := f.serverProgram(); program != "" {
		commands = append(append(commands, f.serverEtcd()...), f.servers()...)
	}
	var processes []*Process
	for _, c := range commands {
		processes = append(processes, f.process(c))
	}
	return processes
}

// Process returns the process with that name: etcd, storage, migrate-apiserver, or
// CLUSTER-apiserver, CLUSTER-controller-manager and CLUSTER-velero, where CLUSTER
// is host or kurator-memberN. A member with a node also has CLUSTER-scheduler,
// CLUSTER-provisioner and CLUSTER-node, as has the host with HostImages. With several replicas of our server, their names are
// migrate-apiserver-N, and those of their etcd's members are migrate-etcd-N.
func (f *Fleet) Process(name string) (*Process, error) {
	for _, p := range f.Processes() {
		if p.Name() == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("the fleet in %s has no process %q", f.dir, name)
}

// open creates or reads the fleet's directory and state.
func open(ctx context.Context, options Options) (*Fleet, error) {
	dir, err := makeDir(options)
	if err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer unlock()

	s, err := readState(dir)
	if errors.Is(err, os.ErrNotExist) {
		s, err = &state{
			ID:            rand.Text(),
			StorageKey:    rand.Text(),
			StorageSecret: rand.Text(),
			Ports:         map[string]int{},
			Processes:     map[string]record{},
		}, nil
	}
	if err != nil {
		return nil, err
	}
	if s.BinDir, err = filepath.Abs(options.BinDir); err != nil {
		return nil, err
	}
	if s.Kubernetes, s.Minor, err = kubernetesPrograms(ctx, cmp.Or(options.KubernetesDir, options.BinDir)); err != nil {
		return nil, err
	}
	if s.MemberKubernetes, err = absolute(options.MemberKubernetes); err != nil {
		return nil, err
	}
	if s.Veleros, err = absolute(options.Veleros); err != nil {
		return nil, err
	}
	if s.Server = options.Server; s.Server != "" {
		if s.Server, err = filepath.Abs(options.Server); err != nil {
			return nil, err
		}
	}
	s.ServerFlags, s.VeleroNamespaces = options.ServerFlags, options.VeleroNamespaces
	if s.HostImages, err = absolute(options.HostImages); err != nil {
		return nil, err
	}
	if len(s.HostImages) > 0 {
		s.Server = ""
	}
	s.Replicas, s.WithoutVelero, s.WithoutKurator = options.Replicas, options.WithoutVelero, options.WithoutKurator
	s.IssuesCertificate = options.IssuesCertificate
	if s.Replicas > 1 && !options.Attached {
		return nil, errors.New("a detached fleet can't have replicas: the load balancer runs in this process")
	}
	s.Members = max(s.Members, options.Members)
	s.Nodes = s.Nodes || options.Nodes
	if err := s.checkNodes(); err != nil {
		return nil, err
	}

	f := &Fleet{dir: dir, state: s, progress: newProgress(options.Progress)}
	if err := f.choosePorts(); err != nil {
		return nil, err
	}
	if err := s.write(dir); err != nil {
		return nil, err
	}
	if options.Attached {
		if f.watchdog, err = watch(f); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	return f, nil
}

func absolute(dirs []string) ([]string, error) {
	var all []string
	for _, dir := range dirs {
		path, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		all = append(all, path)
	}
	return all, nil
}

func makeDir(options Options) (string, error) {
	if options.Dir == "" {
		if !options.Attached {
			return "", errors.New("a detached fleet needs a directory")
		}
		return os.MkdirTemp("", "localfleet-")
	}
	dir, err := filepath.Abs(options.Dir)
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o700)
}

// choosePorts chooses a port for every server that has none. An attached fleet
// reserves its ports until Down, a detached one until its servers listen.
func (f *Fleet) choosePorts() error {
	names := []string{"etcd", "etcd-peer", "storage", serverName}
	names = append(names, f.replicaPorts()...)
	for _, c := range f.clusters() {
		names = append(names, c.name)
		if f.hasNode(c) {
			names = append(names, f.nodeName(c))
		}
	}
	for _, name := range names {
		if f.state.Ports[name] != 0 {
			continue
		}
		port, err := f.locks.choose()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		f.state.Ports[name] = port
	}
	return nil
}

func (f *Fleet) up(ctx context.Context) error {
	unlock, err := lock(ctx, f.dir)
	if err != nil {
		return err
	}
	defer unlock()

	if err := f.writeKeys(); err != nil {
		return err
	}
	if err := f.writeAuditPolicy(); err != nil {
		return err
	}
	if err := f.upClusters(ctx); err != nil {
		return err
	}
	if err := f.enroll(ctx); err != nil {
		return err
	}
	if err := f.upServer(ctx); err != nil {
		return err
	}
	f.progress.printf("the fleet is ready")
	if f.watchdog == nil {
		return f.locks.release()
	}
	return nil
}

// upClusters starts the clusters in parallel. They share only etcd and the S3
// server.
func (f *Fleet) upClusters(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	storageReady := make(chan struct{})
	group.Go(func() error {
		defer close(storageReady)
		if f.state.WithoutVelero {
			return nil
		}
		return f.upStorage(ctx)
	})
	if err := f.process(f.etcd()).ensure(ctx); err != nil {
		return errors.Join(err, group.Wait())
	}
	for _, c := range f.clusters() {
		group.Go(func() error {
			if err := f.upCluster(ctx, c, storageReady); err != nil {
				return fmt.Errorf("cluster %s: %w", c.name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

func (f *Fleet) upCluster(ctx context.Context, c cluster, storageReady <-chan struct{}) error {
	if err := f.process(f.apiserver(c)).ensure(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return f.process(f.controllerManager(c)).ensure(ctx) })
	group.Go(func() error {
		if c.member() {
			if err := f.upVelero(ctx, c, storageReady); err != nil {
				return err
			}
		}
		if !f.hasNode(c) {
			return nil
		}
		return f.upNode(ctx, c)
	})
	return group.Wait()
}

func (f *Fleet) process(c command) *Process { return &Process{fleet: f, command: c} }

// mark returns the prefix of the environment variable that marks all processes of
// the fleet.
func (f *Fleet) mark() string { return "LOCALFLEET=" + f.state.ID + "/" }

func (f *Fleet) record(name string) record {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.Processes[name]
}

func (f *Fleet) setRecord(name string, r record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.Processes[name] = r
	return f.state.write(f.dir)
}

// ofMember returns what a member has among those of members 1, 2 and so on, of which the last one is that of all others; def
// if there are none, and for the host.
func (f *Fleet) ofMember(all []string, c cluster, def string) string {
	if len(all) == 0 || !c.member() {
		return def
	}
	n := slices.IndexFunc(f.clusters(), func(other cluster) bool { return other.name == c.name }) - 1 // the host is the first
	return all[min(n, len(all)-1)]
}

func (f *Fleet) program(name string) string { return filepath.Join(f.state.BinDir, name) }

func (f *Fleet) address(name string) string {
	return "127.0.0.1:" + strconv.Itoa(f.state.Ports[name])
}
