// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register" // --logging-format=json
)

// formatVariable makes the test run itself in another process, which logs in that format: a
// process can configure logging only once.
const formatVariable = "LOGGING_TEST_FORMAT"

// TestLogsHoldNoBodies sends a TokenReview at the highest verbosity.
func TestLogsHoldNoBodies(t *testing.T) {
	if format := os.Getenv(formatVariable); format != "" {
		reviewToken(t, format)
		return
	}
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLogsHoldNoBodies$")
			child.Env = append(os.Environ(), formatVariable+"="+format)
			log, err := child.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, log)
			}
			for _, want := range []string{"Request Body", "Response Body", "(20 bytes)"} {
				if !bytes.Contains(log, []byte(want)) {
					t.Errorf("the log does not hold %q", want)
				}
			}
			if bytes.Contains(log, []byte("s3cret")) {
				t.Errorf("a body is in the log:\n%s", log)
			}
		})
	}
}

// reviewToken sends a TokenReview to a server whose response holds a secret too.
func reviewToken(t *testing.T, format string) {
	o := logs.NewOptions()
	o.Format, o.Verbosity = format, 10
	if err := setUpLogging(o); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"answer": "s3cret"}`))
	}))
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: "s3cret" + strings.Repeat("x", 3000)}}
	_, _ = client.AuthenticationV1().TokenReviews().Create(t.Context(), review, metav1.CreateOptions{})
}
