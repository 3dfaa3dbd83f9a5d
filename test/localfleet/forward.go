// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

var forwarding = regexp.MustCompile(`^Forwarding from (127\.0\.0\.1:\d+) `)

// GetFromPod sends GET / to a port of a pod of the nth member, through `kubectl
// port-forward`, and returns the body of the answer, at most 1 MiB of it. It returns an
// error if the answer is not 200 OK.
func (f *Fleet) GetFromPod(ctx context.Context, n int, namespace, pod string, port int) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	forward := exec.CommandContext(ctx, f.KubectlPath(), "port-forward", "--namespace="+namespace, "pod/"+pod, ":"+strconv.Itoa(port))
	forward.Env = f.KubectlEnvironment(f.MemberKubeconfig(n))
	var failure strings.Builder
	forward.Stderr = &failure
	output, err := forward.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := forward.Start(); err != nil {
		return "", err
	}
	stop := func() {
		cancel()
		_ = forward.Wait() // the error of a killed kubectl
	}
	defer stop()
	line, err := bufio.NewReader(output).ReadString('\n')
	address := forwarding.FindStringSubmatch(line)
	if address == nil {
		stop() // Wait completes failure
		return "", fmt.Errorf("kubectl port-forward to pod %s/%s in %s: %q: %w: %s", namespace, pod, MemberName(n), line, err, failure.String())
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address[1]+"/", nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("pod %s/%s in %s answers %s: %s", namespace, pod, MemberName(n), answer.Status, body)
	}
	return string(body), err
}
