// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"

	"kurator.dev/migrate-apiserver/pkg/yamlsize"
)

// withBoundedYAML refuses a body in YAML that is no larger than limit but would be, in
// bytes, with its aliases written out. It passes on what is larger as it is, for the
// handler refuses that.
func withBoundedYAML(next http.Handler, limit int64, codecs runtime.NegotiatedSerializer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if !strings.Contains(strings.ToLower(request.Header.Get("Content-Type")), "yaml") || request.Body == nil {
			next.ServeHTTP(w, request)
			return
		}
		body, err := io.ReadAll(io.LimitReader(request.Body, limit+1))
		switch {
		case err != nil:
			err = apierrors.NewBadRequest("the body could not be read to its end")
		case int64(len(body)) <= limit:
			err = checkYAML(body, limit)
		}
		if err != nil {
			responsewriters.ErrorNegotiated(err, codecs, schema.GroupVersion{Version: "v1"}, w, request)
			return
		}
		request.Body = readCloser{io.MultiReader(bytes.NewReader(body), request.Body), request.Body}
		next.ServeHTTP(w, request)
	})
}

func checkYAML(body []byte, limit int64) error {
	size, err := yamlsize.Unfolded(body)
	switch {
	case err != nil:
		return apierrors.NewBadRequest(fmt.Sprintf("the body can't be read: %v", err))
	case int64(size) > limit:
		return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("with its YAML aliases written out the body would be larger than %d bytes", limit))
	}
	return nil
}

type readCloser struct {
	io.Reader
	io.Closer
}
