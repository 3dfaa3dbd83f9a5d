#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Has modules that are built from the same version of Kubernetes require the same versions of everything
# else: see hack/verify-versions.sh.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

exec hack/verify-versions.sh --fix
