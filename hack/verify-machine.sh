#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Fails on what binds a file to one machine or one network: absolute paths of a
# home or a checkout, hosts of registries and proxies. The patterns are written so
# that they don't find themselves.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

paths='(^|[^[:alnum:]_.$}-])/(hom[e]|roo[t]|tm[p]|Use[r]s|wor[k])/[[:alnum:]_]'
hosts='prox[y]\.golang|goprox[y]\.|registr[y](-1)?\.(docker|hub|k8s|npm)|[^[:alnum:]](docke[r]|gc[r]|ghc[r]|qua[y])\.io|npmj[s]\.|pyp[i]\.org|de[b]\.debian|archiv[e]\.ubuntu'

# go.sum names modules, and some are named like hosts; generated code quotes the
# documentation of Kubernetes' types.
if git grep --untracked -nEI "${paths}|${hosts}" -- . ':!*go.sum' ':!*go.mod' ':!pkg/generated' ':!LICENSE'; then
  echo "these lines name a path of one machine or the host of a registry" >&2
  exit 1
fi
