#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Builds kubectl-migrate for several systems, packs an archive of each, and writes the manifest by which krew installs them:
# hack/plugin.sh DIR VERSION URL [OS/ARCH ...]. URL is that of the directory to which the archives will be uploaded.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

[[ $# -ge 3 ]] || { echo "usage: hack/plugin.sh DIR VERSION URL [OS/ARCH ...]" >&2; exit 1; }
mkdir -p "$1"
dir="$(cd "$1" && pwd -P)"
version="$2"
url="${3%/}"
platforms=("${@:4}")
[[ ${#platforms[@]} -ne 0 ]] || platforms=(linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64)
[[ "${version}" =~ ^v[0-9]+\.[0-9]+\.[0-9]+ ]] || { echo "VERSION ${version} is not like v1.2.3" >&2; exit 1; }

cat >"${dir}/migrate.yaml" <<EOF
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: migrate
spec:
  version: ${version}
  homepage: ${url}
  shortDescription: Migrate applications between the clusters of a fleet
  description: |
    Plans, creates and shows migrations of applications, with their data, between the
    clusters of a fleet. The host cluster of the fleet needs migrate-apiserver.
  platforms:
EOF
for platform in "${platforms[@]}"; do
  os="${platform%/*}"
  arch="${platform#*/}"
  work="$(mktemp -d)"
  program=kubectl-migrate
  [[ "${os}" != windows ]] || program+=.exe
  CGO_ENABLED=0 GOOS="${os}" GOARCH="${arch}" go build -trimpath -ldflags "-s -w" -o "${work}/${program}" ./cmd/kubectl-migrate
  cp LICENSE cmd/kubectl-migrate/kubectl_complete-migrate "${work}/"
  archive="kubectl-migrate-${os}-${arch}.tar.gz"
  # The same sources give the same archive.
  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "${work}" -cf - . | gzip -n >"${dir}/${archive}"
  rm -rf "${work}"
  cat >>"${dir}/migrate.yaml" <<EOF
  - selector:
      matchLabels: {os: ${os}, arch: ${arch}}
    uri: ${url}/${archive}
    sha256: $(sha256sum "${dir}/${archive}" | cut -d' ' -f1)
    bin: ${program}
EOF
done
echo "${dir}/migrate.yaml"
