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
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Options say what fleet there shall be.
type Options struct {
	// Dir holds everything of the fleet. Empty takes a new temporary directory,
	// which an attached fleet only may.
	Dir string
	// BinDir is where `make tools` puts the programs.
	BinDir string
	// Members is the number of member clusters. A fleet that has more keeps them.
	Members int
	// KubernetesDir has the kube-apiserver and kube-controller-manager of host and
	// members. Default: BinDir.
	KubernetesDir string
	// Server is the path of migrate-apiserver. Empty leaves it out.
	Server string
	// ServerFlags are added to those our server is started with.
	ServerFlags []string
	// Replicas is how many of our server there are. More than one keep their data
	// in an etcd of three members, which is theirs alone, and the host reaches them
	// through a balancer in this process; only an attached fleet may have them.
	Replicas int
	// WithoutVelero leaves Velero and its storage out: the members have its kinds
	// only.
	WithoutVelero bool
	// Attached binds the fleet to this process: it is gone, directory included,
	// when the process ends, in whatever way.
	Attached bool
	// Progress gets a line a step. Nil is silent.
	Progress io.Writer
}

// Fleet is a fleet that was brought up or loaded. Its methods may be called from
// several goroutines.
type Fleet struct {
	dir      string
	progress *progress
	watchdog *watchdog
	locks    portLocks
	balancer *balancer

	mu    sync.Mutex
	state *state
}

// Up brings the fleet up and returns when everything in it is ready. Of a fleet
// that is there already it starts what doesn't run and adds what is missing.
// When it fails, an attached fleet is taken down; a detached one is left as it
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

// Load returns the fleet in dir as it is, without starting anything.
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

// Down ends every process of the fleet and removes its directory. What is in the
// fleet is lost, so nothing is asked to end in good order.
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
	if err := os.RemoveAll(f.dir); err != nil {
		return fmt.Errorf("local fleet: %w", err)
	}
	return errors.Join(f.balancer.close(), f.locks.release(), f.watchdog.end())
}

// Dir is the directory that holds everything of the fleet.
func (f *Fleet) Dir() string { return f.dir }

// Members is the number of member clusters.
func (f *Fleet) Members() int { return f.state.Members }

// BinDir is where the fleet's programs are, kubectl and velero among them.
func (f *Fleet) BinDir() string { return f.state.BinDir }

// Bucket is the directory that holds the objects which the members' Veleros keep
// in the S3 server they share.
func (f *Fleet) Bucket() string { return filepath.Join(f.storageDir(), bucket) }

// Processes are all processes a fleet of this shape has, those started first
// coming first.
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

// Process returns the process of that name: etcd, storage, migrate-apiserver, or
// CLUSTER-apiserver, CLUSTER-controller-manager and CLUSTER-velero, where CLUSTER
// is host or kurator-memberN. Where there are several replicas of our server, they
// are migrate-apiserver-N, and the members of their etcd migrate-etcd-N.
func (f *Fleet) Process(name string) (*Process, error) {
	for _, p := range f.Processes() {
		if p.Name() == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("the fleet in %s has no process %q", f.dir, name)
}

// open makes or finds the fleet's directory and state.
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
	if s.Server = options.Server; s.Server != "" {
		if s.Server, err = filepath.Abs(options.Server); err != nil {
			return nil, err
		}
	}
	s.ServerFlags = options.ServerFlags
	s.Replicas, s.WithoutVelero = options.Replicas, options.WithoutVelero
	if s.Replicas > 1 && !options.Attached {
		return nil, errors.New("a detached fleet has nobody to balance between replicas")
	}
	s.Members = max(s.Members, options.Members)

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

// choosePorts gives every server that has none a port. An attached fleet keeps
// them reserved as long as it lives, a detached one until its servers listen.
func (f *Fleet) choosePorts() error {
	names := []string{"etcd", "etcd-peer", "storage", serverName}
	names = append(names, f.replicaPorts()...)
	for _, c := range f.clusters() {
		names = append(names, c.name)
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

// upClusters starts the clusters side by side; they meet in etcd and in the S3
// server only.
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
	if c.member() {
		group.Go(func() error { return f.upVelero(ctx, c, storageReady) })
	}
	return group.Wait()
}

func (f *Fleet) process(c command) *Process { return &Process{fleet: f, command: c} }

// mark begins the variable that is in the environment of all the fleet's processes.
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

func (f *Fleet) program(name string) string { return filepath.Join(f.state.BinDir, name) }

func (f *Fleet) address(name string) string {
	return "127.0.0.1:" + strconv.Itoa(f.state.Ports[name])
}
