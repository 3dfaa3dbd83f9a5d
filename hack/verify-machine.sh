#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Fails if a file depends on one machine or network: on the absolute path of a home directory
# or a checkout, or on the host of a registry or proxy. The bracket expressions keep the
# patterns from matching themselves.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

paths='(^|[^[:alnum:]_.$}-])/(hom[e]|roo[t]|tm[p]|Use[r]s|wor[k])/[[:alnum:]_]'
hosts='prox[y]\.golang|goprox[y]\.|registr[y](-1)?\.(docker|hub|k8s|npm)|[^[:alnum:]](docke[r]|gc[r]|ghc[r]|qua[y])\.io|npmj[s]\.|pyp[i]\.org|de[b]\.debian|archiv[e]\.ubuntu'

# go.mod and go.sum have modules that are named like such hosts, and generated code has the
# documentation of Kubernetes' types.
if git grep --untracked -nEI "${paths}|${hosts}" -- . ':!*go.sum' ':!*go.mod' ':!pkg/generated' ':!LICENSE'; then
  echo "these lines name a path of one machine or the host of a registry" >&2
  exit 1
fi
