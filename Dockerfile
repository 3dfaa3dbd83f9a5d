# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# `make image` builds the program first, and then this without a daemon.
# There is nothing else in it: no shell and no libraries. The public certificate
# authorities, by which object stores and some members are known, are in the program.
FROM scratch
ARG TARGETARCH
COPY _output/image/${TARGETARCH}/migrate-apiserver /migrate-apiserver
USER 65532:65532
ENTRYPOINT ["/migrate-apiserver"]
