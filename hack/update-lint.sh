#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Formats all code and mends what else the linters can mend themselves.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

exec hack/verify-lint.sh --fix
