# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# `make help` tells every target.

SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := help

OUTPUT := _output
BIN    := $(OUTPUT)/bin
FLEET  := $(OUTPUT)/fleet

MEMBERS ?= 2
KEEP    ?=
IMAGE   ?= migrate-apiserver:latest

##@ Try it

.PHONY: demo
demo: tools build ## Show a migration on a local fleet. KEEP=1 leaves the fleet there.
	@$(BIN)/localfleet demo --dir $(FLEET) --bin $(BIN) --server $(BIN)/migrate-apiserver $(if $(filter-out 0,$(KEEP)),--keep)

.PHONY: up
up: tools build ## Bring a local fleet up, or what of it doesn't run. MEMBERS=2 is its size.
	@$(BIN)/localfleet up --dir $(FLEET) --bin $(BIN) --server $(BIN)/migrate-apiserver --members $(MEMBERS)

.PHONY: down
down: $(BIN)/localfleet ## Take the local fleet down; no process and no file of it stays.
	@$(BIN)/localfleet down --dir $(FLEET)

##@ Build

# Go knows better than make what has changed, so it is always asked.
.PHONY: build
build: $(BIN)/migrate-apiserver ## Build migrate-apiserver.

.PHONY: $(BIN)/migrate-apiserver
$(BIN)/migrate-apiserver:
	@go build -o $@ ./cmd/migrate-apiserver

.PHONY: $(BIN)/localfleet
$(BIN)/localfleet:
	@go build -o $@ ./test/localfleet/cmd/localfleet

.PHONY: manifests
manifests: ## Render artifacts/deploy with a new serving certificate and IMAGE into _output/deploy.
	@go run ./hack/manifests --image $(IMAGE) --out $(OUTPUT)/deploy
	@echo "kubectl apply --server-side -f $(OUTPUT)/deploy"

##@ Tools

# Programs of the local fleet, each from its own module that pins it.
KUBERNETES := kube-apiserver kube-controller-manager kubectl
TOOLS      := $(addprefix $(BIN)/,$(KUBERNETES) etcd velero plugins/velero-plugin-for-aws versitygw)

.PHONY: tools
tools: $(TOOLS) $(BIN)/localfleet ## Build the pinned programs of the local fleet. The first time takes 15 minutes or more.

# $(call build-tool,MODULE,PACKAGE,FLAGS): a program is as new as its module. Its
# time is set by hand, for Go leaves a file alone that would come out the same.
define build-tool
	@echo "building $(@F) from hack/tools/$(1) (the first time takes some minutes)"
	@mkdir -p $(@D)
	@cd hack/tools/$(1) && go build -ldflags "-s -w $(3)" -o $(abspath $@) $(2)
	@touch $@
endef

module-files = $(wildcard hack/tools/$(1)/go.mod hack/tools/$(1)/go.sum hack/tools/$(1)/*.go)

KUBE_VERSION := $(shell sed -n 's|^.*k8s.io/kubernetes \(v[0-9.]*\).*|\1|p' hack/tools/kubernetes/go.mod)
KUBE_LDFLAGS := $(foreach package,k8s.io/component-base/version k8s.io/client-go/pkg/version,\
	-X $(package).gitVersion=$(KUBE_VERSION) \
	-X $(package).gitMajor=$(word 1,$(subst ., ,$(KUBE_VERSION:v%=%))) \
	-X $(package).gitMinor=$(word 2,$(subst ., ,$(KUBE_VERSION:v%=%))) \
	-X $(package).gitCommit= -X $(package).gitTreeState=clean)

$(addprefix $(BIN)/,$(KUBERNETES)): $(call module-files,kubernetes)
	$(call build-tool,kubernetes,k8s.io/kubernetes/cmd/$(@F),$(KUBE_LDFLAGS))

$(BIN)/etcd: $(call module-files,etcd)
	$(call build-tool,etcd,go.etcd.io/etcd/server/v3)

$(BIN)/velero: $(call module-files,velero)
	$(call build-tool,velero,.)

$(BIN)/plugins/velero-plugin-for-aws: $(call module-files,velero-plugin-for-aws)
	$(call build-tool,velero-plugin-for-aws,github.com/vmware-tanzu/velero-plugin-for-aws/velero-plugin-for-aws)

$(BIN)/versitygw: $(call module-files,versitygw)
	$(call build-tool,versitygw,github.com/versity/versitygw/cmd/versitygw)

##@ Help

.PHONY: help
help: ## Tell all targets.
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-zA-Z0-9_-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
