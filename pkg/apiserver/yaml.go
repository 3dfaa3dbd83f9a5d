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

	"kurator.dev/migrate-apiserver/pkg/yamlalias"
)

// withoutYAMLAliases refuses a YAML body that has aliases, because expanding them could exceed
// limit, in bytes. It passes on a body that is larger than limit itself, which next refuses.
func withoutYAMLAliases(next http.Handler, limit int64, codecs runtime.NegotiatedSerializer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if !strings.Contains(strings.ToLower(request.Header.Get("Content-Type")), "yaml") || request.Body == nil {
			next.ServeHTTP(w, request)
			return
		}
		body, err := io.ReadAll(io.LimitReader(request.Body, limit+1))
		switch {
		case err != nil:
			err = apierrors.NewBadRequest("reading the body failed")
		case int64(len(body)) <= limit:
			err = checkYAML(body)
		}
		if err != nil {
			responsewriters.ErrorNegotiated(err, codecs, schema.GroupVersion{Version: "v1"}, w, request)
			return
		}
		request.Body = readCloser{io.MultiReader(bytes.NewReader(body), request.Body), request.Body}
		next.ServeHTTP(w, request)
	})
}

func checkYAML(body []byte) error {
	if err := yamlalias.Check(body); err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("the body is not accepted: %v", err))
	}
	return nil
}

type readCloser struct {
	io.Reader
	io.Closer
}
