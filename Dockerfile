# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# `make image` builds the program first, and then this without a daemon.
# There is nothing else in it: no shell, no libraries, and no public certificate
# authorities either, for every server that is talked to is known by the CA of its
# kubeconfig, its Secret or a flag.
FROM scratch
COPY _output/image/migrate-apiserver /migrate-apiserver
USER 65532:65532
ENTRYPOINT ["/migrate-apiserver"]
