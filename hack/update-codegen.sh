#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Generates the code of the API types in pkg/apis: deepcopy, conversion and defaults in the
# same packages; openapi, clientset, informers, listers and apply configurations in
# pkg/generated. The generators come from the k8s.io/code-generator that go.mod requires.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

module=kurator.dev/migrate-apiserver
boilerplate=hack/boilerplate.go.txt

# Build the generators in this checkout, not in the user's GOBIN.
export GOBIN="${PWD}/_output/tools"
mkdir -p "${GOBIN}"

go mod download k8s.io/code-generator
# shellcheck source=/dev/null
source "$(go list -m -f '{{.Dir}}' k8s.io/code-generator)/kube_codegen.sh"

kube::codegen::gen_helpers pkg/apis \
  --boilerplate "${boilerplate}"

# kube::codegen::gen_openapi can't select single types of other projects' packages.
echo "Generating openapi code"
rm -f pkg/generated/openapi/zz_generated.openapi.go
go run ./hack/openapi-gen \
  --own-module "${module}" \
  --go-header-file "${boilerplate}" \
  --output-dir pkg/generated/openapi \
  --output-pkg "${module}/pkg/generated/openapi" \
  --output-file zz_generated.openapi.go \
  --output-model-name-file zz_generated.model_name.go \
  --readonly-pkg k8s.io/api/core/v1 \
  --readonly-pkg k8s.io/apimachinery/pkg/apis/meta/v1 \
  --readonly-pkg k8s.io/apimachinery/pkg/runtime \
  --readonly-pkg k8s.io/apimachinery/pkg/version \
  --report-filename /dev/null \
  k8s.io/api/core/v1 \
  k8s.io/apimachinery/pkg/apis/meta/v1 \
  k8s.io/apimachinery/pkg/runtime \
  k8s.io/apimachinery/pkg/version \
  github.com/vmware-tanzu/velero/pkg/apis/velero/v1 \
  "${module}/pkg/apis/backup/v1alpha1"

schemas="$(mktemp)"
trap 'rm -f "${schemas}"' EXIT
go run ./hack/models-schema > "${schemas}"

kube::codegen::gen_client pkg/apis \
  --boilerplate "${boilerplate}" \
  --output-dir pkg/generated \
  --output-pkg "${module}/pkg/generated" \
  --with-applyconfig \
  --applyconfig-openapi-schema "${schemas}" \
  --with-watch
