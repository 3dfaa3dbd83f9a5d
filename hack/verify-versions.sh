#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Fails if modules that are built from the same version of Kubernetes require different versions of
# anything else. Go compiles a package again for every other version of what it imports, and most of a first
# build are Kubernetes' own packages. With --fix, as in hack/update-versions.sh, all require the newest
# of these versions.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

fix="${1:-}"
work="$(mktemp -d)"
trap 'rm -rf "${work}"' EXIT
status=0

# versions MODULE prints the version of each module of its build list. With -e, because a module that is
# replaced, such as those of Kubernetes, does not exist in the version that is required.
versions() {
  go -C "$1" list -e -m -f '{{if not .Main}}{{.Path}} {{with .Replace}}{{.Version}}{{else}}{{.Version}}{{end}}{{end}}' all | sort
}

# together MODULE...
together() {
  local module path want has
  export GOWORK="${work}/go.work"
  rm -f "${GOWORK}"
  go work init "${@/#/./}"
  # In a workspace, the build list has the newest version that any of its modules requires.
  versions . >"${work}/newest"
  export GOWORK=off
  for module in "$@"; do
    versions "${module}" >"${work}/has"
    while read -r path want has; do
      [[ "${want}" != "${has}" ]] && grep -q "^[[:space:]]*${path} v" "${module}/go.mod" || continue
      if [[ "${fix}" == --fix ]]; then
        go -C "${module}" mod edit -require "${path}@${want}"
      else
        echo "${module}/go.mod: ${path} ${has}, want ${want} as in the others of: $*" >&2
        status=1
      fi
    done < <(join "${work}/newest" "${work}/has")
    [[ "${fix}" != --fix ]] || go -C "${module}" mod tidy
  done
}

together . hack/tools/{kubernetes,helm,local-provisioner,etcd}
together hack/tools/{velero,velero-plugin-for-aws}

[[ "${status}" == 0 ]] || echo "run hack/update-versions.sh and commit" >&2
exit "${status}"
