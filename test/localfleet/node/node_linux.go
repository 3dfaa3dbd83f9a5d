// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/template"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"
)

var (
	//go:embed containerd.toml
	containerdTemplate string
	//go:embed kubelet.yaml
	kubeletTemplate string
)

const (
	containerdSocket = "/run/containerd/containerd.sock"
	// socketDeadline is many times as long as containerd takes to listen.
	socketDeadline = time.Minute

	// searchPath is where containerd finds runc.
	searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

	// loopbackOnly is a CNI configuration. A node without one is not Ready; it is not
	// used, because pods are in the node's network.
	loopbackOnly = `{"cniVersion": "1.0.0", "name": "loopback", "plugins": [{"type": "loopback"}]}`
)

// hidden are the directories of the machine that the node replaces with its own.
// Programs have their paths built in.
var hidden = []string{"/var/lib", "/var/log", "/run"}

// tunables are settings of the kernel that every kubelet sets. They have no namespace,
// so that a node must not set those of the machine.
var tunables = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

// Missing returns nil if this process can run nodes. The error says what is missing and
// what to do.
func Missing() error {
	if os.Getuid() != 0 {
		return errors.New("nodes need root: run the command as root")
	}
	found := func(dir string) bool { _, err := os.Stat(filepath.Join(dir, "runc")); return err == nil }
	if !slices.ContainsFunc(filepath.SplitList(searchPath), found) {
		return errors.New("nodes need runc: apt-get install runc")
	}
	probe := exec.Command("true")
	Isolate(probe)
	probe.SysProcAttr.Cloneflags |= unix.CLONE_NEWNET
	if err := probe.Run(); err != nil {
		return fmt.Errorf("nodes need the right to create namespaces, which a container has if it is privileged: %w", err)
	}
	return missingCgroups()
}

// Isolate makes a command run in a PID namespace and a mount namespace of its own, as
// Run needs it.
func Isolate(command *exec.Cmd) {
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Cloneflags |= unix.CLONE_NEWPID | unix.CLONE_NEWNS
}

// Run runs a node until ctx ends. The error is that of its start, or that its kubelet or
// its containerd has ended. When the caller exits, all processes of the node end.
func Run(ctx context.Context, c Config) error {
	if os.Getpid() != 1 {
		return errors.New("a node must be the first process of a PID namespace")
	}
	if err := isolateFiles(c); err != nil {
		return err
	}
	files := map[string]string{"cni/10-loopback.conflist": loopbackOnly}
	for name, text := range map[string]string{"containerd.toml": containerdTemplate, "kubelet.yaml": kubeletTemplate} {
		content, err := render(text, c)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		files[name] = content
	}
	for name, content := range files {
		if err := writeFile(filepath.Join(c.Dir, name), content); err != nil {
			return err
		}
	}
	n, err := newNetwork()
	if err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	if err := forwardAll(n, c); err != nil {
		return err
	}
	containerd, err := startContainerd(n, c)
	if err != nil {
		return err
	}
	kubelet, err := start(n, c, "kubelet",
		"--config="+filepath.Join(c.Dir, "kubelet.yaml"), "--kubeconfig="+c.Kubeconfig,
		"--hostname-override="+c.Name, "--cert-dir="+filepath.Join(c.Dir, "kubelet-pki"),
		// A kubelet refuses a node whose only address is loopback, unless a cloud
		// provider sets the addresses. The fleet does.
		"--cloud-provider=external",
	)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- reapUntil(map[int]string{containerd.Pid: "containerd", kubelet.Pid: "kubelet"}) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}

// isolateFiles gives the node its own directories in place of the hidden ones and of the
// kernel's tunables.
func isolateFiles(c Config) error {
	// First private, so that nothing of the node appears in the machine; then shared
	// within the node, so that a container may see what the kubelet mounts later.
	for _, propagation := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
		if err := unix.Mount("", "/", "", unix.MS_REC|propagation, ""); err != nil {
			return fmt.Errorf("propagation of mounts: %w", err)
		}
	}
	for _, dir := range hidden {
		for _, needed := range append([]string{c.Dir, c.BinDir}, c.Images...) {
			if strings.HasPrefix(needed, dir+"/") {
				return fmt.Errorf("%s is in %s, which a node replaces with its own: move the checkout, or set TMPDIR", needed, dir)
			}
		}
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, name := range tunables {
		if err := replaceFile(filepath.Join("/proc/sys", name), filepath.Join(c.Dir, "sysctl", name)); err != nil {
			return err
		}
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	for path, own := range map[string]string{"/var/lib": "lib", "/var/log": "log"} {
		own = filepath.Join(c.Dir, own)
		if err := os.MkdirAll(own, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(own, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s: %w", path, err)
		}
	}
	return nil
}

// replaceFile mounts a copy of the file at path, which is written to own, over it. It does
// nothing if the kernel has no such file.
func replaceFile(path, own string) error {
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := writeFile(own, string(content)); err != nil {
		return err
	}
	if err := unix.Mount(own, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", path, err)
	}
	return nil
}

// startContainerd returns when containerd answers and has the images.
func startContainerd(n *network, c Config) (*os.Process, error) {
	process, err := start(n, c, "containerd", "--config="+filepath.Join(c.Dir, "containerd.toml"))
	if err != nil {
		return nil, err
	}
	err = wait.PollUntilContextTimeout(context.Background(), pollInterval, socketDeadline, true, func(context.Context) (bool, error) {
		_, err := os.Stat(containerdSocket)
		return err == nil, nil
	})
	if err != nil {
		return nil, fmt.Errorf("wait for containerd to listen on %s: %w", containerdSocket, err)
	}
	for _, image := range c.Images {
		output, err := exec.Command(filepath.Join(c.BinDir, "ctr"), "--address="+containerdSocket, "--namespace=k8s.io",
			"images", "import", "--local", image).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("import image %s: %w: %s", image, err, output)
		}
	}
	return process, nil
}

// start starts a program of BinDir in the node's network.
func start(n *network, c Config, program string, args ...string) (*os.Process, error) {
	command := exec.Command(filepath.Join(c.BinDir, program), args...)
	command.Dir = c.Dir
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.Env = append(os.Environ(), "PATH="+c.BinDir+":"+searchPath)
	if err := n.do(command.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	return command.Process, nil
}

// reapUntil waits for children, as the first process must for all orphans, until one of
// those in names ends.
func reapUntil(names map[int]string) error {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for children: %w", err)
		}
		if name := names[pid]; name != "" {
			return fmt.Errorf("%s ended with exit status %d, signal %d", name, status.ExitStatus(), status.Signal())
		}
	}
}

func render(text string, c Config) (string, error) {
	parsed, err := template.New("").Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var content bytes.Buffer
	err = parsed.Execute(&content, c)
	return content.String(), err
}

func writeFile(path, content string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o600)
}
