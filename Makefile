# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# `make help` lists all targets.

SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := help

OUTPUT := _output
BIN    := $(OUTPUT)/bin
FLEET  := $(OUTPUT)/fleet

MEMBERS ?= 2
NODES   ?=
KUBERNETES ?=
# The oldest tested version of host and members, besides that of hack/tools/kubernetes.
OLDEST_KUBERNETES := v1.30.14
# The version of Velero in the members, for make up: one of hack/tools/velero-*, or empty for the newest.
VELERO ?=
OLDEST_VELERO := v1.14.1
KEEP    ?=
SIMULATIONS ?= 100000
BENCH   ?=
IMAGE   ?= migrate-apiserver:latest
NAMESPACES ?=
ALL_NAMESPACES ?=
ETCD_SERVERS ?=
VERSION ?=
URL     ?=
PLATFORMS ?=

# Without cgo, builds don't depend on a C compiler, and the tests run the same program as the
# image. With one setting for all builds, Go compiles each package once.
export CGO_ENABLED ?= 0

# Vetting reads all dependencies, and make lint vets the tests, too.
GO_TEST := go test -vet=off

WITH_NODES := $(filter-out 0,$(NODES))
# Empty unless this machine may run nodes. `localfleet` checks the rest and says what is
# missing.
CAN_HAVE_NODES := $(and $(filter Linux-0,$(shell echo $$(uname)-$$(id -u))),$(shell PATH=$$PATH:/usr/local/sbin:/usr/sbin:/sbin command -v runc))

##@ Try it

.PHONY: demo
demo: tools build $(if $(CAN_HAVE_NODES),node-tools) ## Show a migration on a local fleet. KEEP=1 keeps the fleet running.
	@$(BIN)/localfleet demo --dir $(FLEET) --bin $(BIN) --server $(BIN)/migrate-apiserver $(if $(filter-out 0,$(KEEP)),--keep)

.PHONY: up
up: tools build $(if $(WITH_NODES),node-tools) $(if $(KUBERNETES),$(OUTPUT)/kubernetes/$(KUBERNETES)/.built) $(if $(VELERO),$(OUTPUT)/velero/$(VELERO)/.built) ## Start a local fleet, or those of its processes that are stopped. MEMBERS=2 sets its size, NODES=1 adds a real node to each member, KUBERNETES=v1.34.4 sets its version, VELERO=v1.14.1 that of Velero.
	@$(BIN)/localfleet up --dir $(FLEET) --bin $(BIN) --server $(BIN)/migrate-apiserver --members $(MEMBERS) $(if $(WITH_NODES),--nodes) --kubernetes "$(if $(KUBERNETES),$(OUTPUT)/kubernetes/$(KUBERNETES))" --velero "$(if $(VELERO),$(OUTPUT)/velero/$(VELERO))"

.PHONY: down
down: $(BIN)/localfleet ## Stop the local fleet and remove all its files.
	@$(BIN)/localfleet down --dir $(FLEET)

##@ Build

# Always run go build: it determines what has changed.
.PHONY: build
build: $(BIN)/migrate-apiserver $(BIN)/kubectl-migrate ## Build migrate-apiserver and kubectl-migrate.

.PHONY: $(BIN)/migrate-apiserver
$(BIN)/migrate-apiserver:
	@go build -o $@ ./cmd/migrate-apiserver

# kubectl finds both programs by their names: the plugin, and the completion of its arguments.
.PHONY: $(BIN)/kubectl-migrate
$(BIN)/kubectl-migrate:
	@go build -o $@ ./cmd/kubectl-migrate
	@install -m 755 cmd/kubectl-migrate/kubectl_complete-migrate $(BIN)/kubectl_complete-migrate

.PHONY: $(BIN)/localfleet
$(BIN)/localfleet:
	@go build -o $@ ./test/localfleet/cmd/localfleet

.PHONY: manifests
manifests: ## Write a kustomization of artifacts/deploy to _output/deploy, with IMAGE, NAMESPACES="a b" of the fleets or ALL_NAMESPACES=1, ETCD_SERVERS for several replicas, KURATOR=0 for a host without Kurator, or KURATOR_NAMESPACE, that of its fleet-manager, more COMPONENTS="monitoring openshift" and more FLAGS of the server.
	@[ -n "$(NAMESPACES)$(ALL_NAMESPACES)" ] || { echo 'make manifests needs NAMESPACES="team-a team-b", the namespaces of the fleets, the only ones where the server may read Secrets; or ALL_NAMESPACES=1' >&2; exit 1; }
	@go run ./hack/manifests --image $(IMAGE) --etcd-servers "$(ETCD_SERVERS)" --namespaces "$(NAMESPACES)" --all-namespaces=$(if $(filter-out 0,$(ALL_NAMESPACES)),true,false) --kurator=$(if $(filter 0,$(KURATOR)),false,true) $(if $(KURATOR_NAMESPACE),--kurator-namespace $(KURATOR_NAMESPACE)) --components "$(COMPONENTS)" --flags "$(FLAGS)" --out $(OUTPUT)/deploy
	@echo "kubectl apply --server-side -k $(OUTPUT)/deploy"$(if $(filter 0,$(KURATOR)),,' # where CustomResourceDefinitions of Kurator serve the group, see "Beside Kurator" in docs/installation.md first')

# buildah needs neither a daemon nor a registry for an image from scratch; its
# storage stays in this checkout.
ARCHITECTURES ?= amd64 arm64
IMAGE_DIR := $(OUTPUT)/image
BUILDAH := buildah --storage-driver vfs --root $(abspath $(OUTPUT)/image/storage) --runroot $(abspath $(OUTPUT)/image/run)

.PHONY: image
image: $(foreach arch,$(ARCHITECTURES),$(OUTPUT)/image/$(arch)/migrate-apiserver) ## Build IMAGE for each of ARCHITECTURES="amd64 arm64", with buildah and without a daemon, into one archive each.
	@command -v buildah >/dev/null || { echo "make image needs buildah: apt-get install buildah" >&2; exit 1; }
	@! $(BUILDAH) manifest exists $(IMAGE) 2>/dev/null || $(BUILDAH) manifest rm $(IMAGE) >/dev/null
	@$(BUILDAH) manifest create $(IMAGE) >/dev/null
	@for arch in $(ARCHITECTURES); do \
		archive=$(IMAGE_DIR)/migrate-apiserver-$$arch.tar; mkdir -p $(IMAGE_DIR); \
		$(BUILDAH) bud --quiet --isolation chroot --timestamp 0 --platform linux/$$arch --tag $(IMAGE)-$$arch . >/dev/null && \
		rm -f $$archive && \
		$(BUILDAH) push --quiet $(IMAGE)-$$arch docker-archive:$$archive:$(IMAGE) && \
		$(BUILDAH) manifest add $(IMAGE) $(IMAGE)-$$arch >/dev/null && \
		echo "$(IMAGE) for $$arch is in $$archive: load it with docker load, ctr image import or kind load image-archive" || exit; \
	done

.PHONY: push
push: ## Push IMAGE, which make image has built, to its registry, for all its architectures.
	@$(BUILDAH) manifest push --all $(IMAGE) docker://$(IMAGE)

$(OUTPUT)/image/%/migrate-apiserver: FORCE
	@CGO_ENABLED=0 GOOS=linux GOARCH=$* go build -ldflags "-s -w" -o $@ ./cmd/migrate-apiserver

.PHONY: plugin
plugin: ## Pack kubectl-migrate for several systems into _output/plugin, with the manifest of krew, as VERSION=v1.2.3, which are uploaded to URL.
	@[ -n "$(VERSION)" ] && [ -n "$(URL)" ] || { echo 'make plugin needs VERSION=v1.2.3 and URL, the directory to which the archives are uploaded' >&2; exit 1; }
	@hack/plugin.sh $(OUTPUT)/plugin "$(VERSION)" "$(URL)" $(PLATFORMS)

.PHONY: FORCE
FORCE:

.PHONY: clean
clean: ## Stop the local fleet and remove _output, but not Go's caches.
	@if [ -d $(FLEET) ]; then $(MAKE) --no-print-directory down; fi
	@rm -rf $(OUTPUT)

##@ Check

.PHONY: verify
verify: ## Run all checks of hack/verify-*.sh, or only CHECKS="lint tidy".
	@hack/verify-all.sh $(CHECKS)

.PHONY: lint
lint: ## Check formatting, vet, lint and import directions.
	@hack/verify-lint.sh

.PHONY: update
update: ## Regenerate code, tidy the modules, format, and fix the findings that linters can fix.
	@hack/update-all.sh

# The suites run one after the other even with -j, because the later ones need all CPUs.
.PHONY: test
test: ## Run the unit, integration and e2e tests, on real programs that stop afterwards. The first run builds the tools. NODES=1 fails where nodes can't run.
	@mkdir -p $(OUTPUT)
	@rm -f $(SKIPPED)
	@for suite in unit integration e2e; do SECONDS=0; $(MAKE) --no-print-directory test-$$suite || exit; echo "$$suite tests: $$SECONDS s"; done
	@[ ! -s $(SKIPPED) ] || echo "$$(wc -l <$(SKIPPED)) tests were skipped: $$(cut -f 2 $(SKIPPED) | sort -u)"

# The tests that need nodes, or what else a machine may lack, write their names and the reason to this file when they skip.
SKIPPED := $(abspath $(OUTPUT)/skipped-tests)
test-integration test-e2e: export SKIPPED_TESTS := $(SKIPPED)
test-integration test-e2e: export NEED_NODES := $(WITH_NODES)

# The race detector needs cgo, and cgo a C compiler.
CGO = $(shell env -u CGO_ENABLED go env CGO_ENABLED)

.PHONY: test-unit
test-unit: ## Run the unit tests, with the race detector if there is a C compiler.
	@$(if $(filter 1,$(CGO)),,echo "no C compiler: running without the race detector")
	@CGO_ENABLED=$(CGO) $(GO_TEST) $(if $(filter 1,$(CGO)),-race -short) -timeout 15m ./cmd/... ./hack/... ./pkg/... ./test/modelvelero/... ./test/netproxy/... \
		| grep --line-buffered -v '\[no test files\]$$'
	@$(if $(filter 1,$(CGO)),$(GO_TEST) -timeout 15m ./pkg/driver) # all simulations, which the race detector makes slow

# -count=1 because Go's test cache does not know the programs that these tests run.
.PHONY: test-integration
test-integration: tools build $(if $(CAN_HAVE_NODES),node-tools) ## Run the integration tests (real aggregator and kubectl), the tests of the local fleet, and every twentieth mutation of the driver.
	@echo "integration tests: several minutes without output"
	@$(GO_TEST) -count=1 -p 1 -timeout 15m ./test/localfleet/... ./test/integration/...
	@$(GO_TEST) -count=1 -timeout 15m ./test/mutations -mutations.every=20

# The tests that also run with other versions of Kubernetes and Velero: an application is migrated, failures are
# reported, and the server continues a migration after a restart.
CORE_E2E := TestSeed|TestRecreatedMigrateMigratesAgain|TestFailedTargetEndsPartiallyFailed|TestEmptySelectionRestoresNothing|TestServerRestartContinuesTheMigration

.PHONY: test-e2e
test-e2e: tools build $(BIN)/helm $(BIN)/prometheus $(OUTPUT)/earlier/.built $(if $(CAN_HAVE_NODES),node-tools test-image) $(OUTPUT)/velero/$(OLDEST_VELERO)/.built ## Run the tests of migrations with real Veleros, a part of the faults, of replicas and of forty members, and the core tests from the oldest Velero to the newest.
	@echo "e2e tests: several minutes without output"
	@VELERO_DIRS=$(abspath $(OUTPUT)/velero/$(OLDEST_VELERO)):$(abspath $(BIN)) $(GO_TEST) -count=1 -timeout 10m ./test/e2e -run '^($(CORE_E2E))$$'
	@$(GO_TEST) -count=1 -timeout 25m ./test/e2e -faults.every=4
	@$(GO_TEST) -count=1 -timeout 25m ./test/nodes -faults.every=3
	@$(GO_TEST) -count=1 -p 1 -timeout 25m ./test/install/... ./test/ha/...
	@$(GO_TEST) -count=1 -timeout 25m ./test/scale -members.tens=4

# The image of the server, for the tests of its pods. Those are skipped where it can't be built.
.PHONY: test-image
test-image:
	@if command -v buildah >/dev/null; then \
		$(MAKE) --no-print-directory image IMAGE=localhost/migrate-apiserver:test ARCHITECTURES=$$(go env GOARCH) IMAGE_DIR=$(OUTPUT)/image/test >/dev/null; \
	else rm -rf $(OUTPUT)/image/test; fi

.PHONY: test-kubernetes
test-kubernetes: tools build $(OUTPUT)/kubernetes/$(or $(KUBERNETES),$(OLDEST_KUBERNETES))/.built ## Run the core tests with KUBERNETES=v1.30.14 in host and members, and in one of both with the newest in the other.
	@old=$(abspath $(OUTPUT)/kubernetes/$(or $(KUBERNETES),$(OLDEST_KUBERNETES))); new=$(abspath $(BIN)); for dirs in $$old $$old:$$new $$new:$$old; do \
		KUBERNETES_DIR=$$dirs $(GO_TEST) -count=1 -timeout 10m ./test/e2e -run '^($(CORE_E2E))$$' || exit; done

.PHONY: test-velero
test-velero: tools build $(OUTPUT)/velero/$(or $(VELERO),$(OLDEST_VELERO))/.built ## Run the core tests with VELERO=v1.14.1 in all members, and as source and as target of the newest.
	@old=$(abspath $(OUTPUT)/velero/$(or $(VELERO),$(OLDEST_VELERO))); new=$(abspath $(BIN)); for veleros in $$old $$old:$$new $$new:$$old; do \
		VELERO_DIRS=$$veleros $(GO_TEST) -count=1 -timeout 10m ./test/e2e -run '^($(CORE_E2E))$$' || exit; done

.PHONY: bench
bench: tools build $(OUTPUT)/image/$(shell go env GOARCH)/migrate-apiserver ## Measure the server side by side with a CustomResourceDefinition, into test/benchmark/RESULTS.md and .json. BENCH="--groups=api --rounds=3" sets flags.
	@go run ./test/benchmark --bin $(BIN) --stripped $(OUTPUT)/image/$(shell go env GOARCH)/migrate-apiserver --out test/benchmark/RESULTS $(BENCH)

.PHONY: soak
soak: ## Run SIMULATIONS=100000 random simulations of the driver, with faults.
	@$(GO_TEST) -count=1 -timeout 0 ./pkg/driver -run TestRandomSimulations -simulation.count=$(SIMULATIONS)

.PHONY: mutations
mutations: ## Check that the simulation of the driver finds each of the bugs in test/mutations.
	@$(GO_TEST) -count=1 -timeout 60m ./test/mutations

##@ Tools

# Programs of the local fleet, each from its own module that pins it.
KUBE_TOOLS := kube-apiserver kube-controller-manager kubectl
TOOLS      := $(addprefix $(BIN)/,$(KUBE_TOOLS) etcd velero plugins/velero-plugin-for-aws versitygw)

.PHONY: tools
tools: $(TOOLS) $(BIN)/localfleet ## Build the pinned programs of the local fleet. The first build takes 15 minutes or more.

# $(call build-tool,MODULE,PACKAGE,LDFLAGS,TAGS). touch makes the program newer than its module:
# go build does not write a program that would not change.
define build-tool
	@echo "building $(@F) from hack/tools/$(1) (the first time takes some minutes)"
	@mkdir -p $(@D)
	@cd hack/tools/$(1) && go build -tags "$(4)" -ldflags "-s -w $(3)" -o $(abspath $@) $(2)
	@touch $@
endef

module-files = $(wildcard hack/tools/$(1)/go.mod hack/tools/$(1)/go.sum hack/tools/$(1)/*.go)

KUBE_VERSION := $(shell sed -n 's|^.*k8s.io/kubernetes \(v[0-9.]*\).*|\1|p' hack/tools/kubernetes/go.mod)
KUBE_LDFLAGS := $(foreach package,k8s.io/component-base/version k8s.io/client-go/pkg/version,\
	-X $(package).gitVersion=$(KUBE_VERSION) \
	-X $(package).gitMajor=$(word 1,$(subst ., ,$(KUBE_VERSION:v%=%))) \
	-X $(package).gitMinor=$(word 2,$(subst ., ,$(KUBE_VERSION:v%=%))) \
	-X $(package).gitCommit= -X $(package).gitTreeState=clean)

$(addprefix $(BIN)/,$(KUBE_TOOLS)): $(call module-files,kubernetes)
	$(call build-tool,kubernetes,k8s.io/kubernetes/cmd/$(@F),$(KUBE_LDFLAGS))

# Programs of another version of Kubernetes, for host and members.
$(OUTPUT)/kubernetes/%/.built: hack/kubernetes.sh
	@hack/kubernetes.sh $* $(@D)

# Velero of another version.
$(OUTPUT)/velero/%/.built: hack/velero.sh hack/tools/velero-%/go.mod
	@hack/velero.sh $* $(@D)

# Our server of an earlier commit.
$(OUTPUT)/earlier/.built: hack/earlier.sh
	@hack/earlier.sh $(@D)

$(BIN)/etcd: $(call module-files,etcd)
	$(call build-tool,etcd,go.etcd.io/etcd/server/v3)

$(BIN)/velero: $(call module-files,velero)
	$(call build-tool,velero,.)

$(BIN)/plugins/velero-plugin-for-aws: $(call module-files,velero-plugin-for-aws)
	$(call build-tool,velero-plugin-for-aws,github.com/vmware-tanzu/velero-plugin-for-aws/velero-plugin-for-aws)

$(BIN)/versitygw: $(call module-files,versitygw)
	$(call build-tool,versitygw,github.com/versity/versitygw/cmd/versitygw)

# Helm, to check the chart and to install it.
$(BIN)/helm: $(call module-files,helm)
	$(call build-tool,helm,helm.sh/helm/v4/cmd/helm)

# Prometheus, for the rules and the dashboard, without its service discoveries.
$(addprefix $(BIN)/,prometheus promtool): $(call module-files,prometheus)
	$(call build-tool,prometheus,github.com/prometheus/prometheus/cmd/$(@F),,remove_all_sd)

# Programs and images of the nodes of a local fleet. runc, which needs a C compiler, is the
# distribution's.
KUBE_NODE_TOOLS  := kubelet kube-scheduler
CONTAINERD_TOOLS := containerd containerd-shim-runc-v2 ctr
IMAGES           := $(addprefix $(BIN)/images/,pause.tar shop.tar velero.tar)

.PHONY: node-tools
node-tools: $(addprefix $(BIN)/,$(KUBE_NODE_TOOLS) $(CONTAINERD_TOOLS) local-provisioner) $(IMAGES)

$(addprefix $(BIN)/,$(KUBE_NODE_TOOLS)): $(call module-files,kubernetes)
	$(call build-tool,kubernetes,k8s.io/kubernetes/cmd/$(@F),$(KUBE_LDFLAGS))

$(addprefix $(BIN)/,$(CONTAINERD_TOOLS)): $(call module-files,containerd)
	$(call build-tool,containerd,github.com/containerd/containerd/v2/cmd/$(@F),,no_btrfs no_devmapper no_zfs)

$(BIN)/local-provisioner: $(call module-files,local-provisioner)
	$(call build-tool,local-provisioner,.)

$(BIN)/velero-restore-helper: $(call module-files,velero)
	$(call build-tool,velero,github.com/vmware-tanzu/velero/cmd/$(@F))

$(BIN)/pause $(BIN)/shop: $(BIN)/%: $(wildcard test/localfleet/cmd/pause/*.go test/localfleet/cmd/shop/*.go)
	@go build -ldflags "-s -w" -o $@ ./test/localfleet/cmd/$*
	@touch $@

# $(call image,NAME,FILE=/PATH ...): the entrypoint is the first file.
define image
	@mkdir -p $(@D)
	@go run ./test/localfleet/cmd/image --out $@ --name $(1) --entrypoint $(lastword $(subst =, ,$(firstword $(2)))) $(2)
endef

image-files = $(wildcard test/localfleet/cmd/image/*.go)

$(BIN)/images/pause.tar: $(BIN)/pause $(image-files)
	$(call image,localhost/pause:1,$<=/pause)

$(BIN)/images/shop.tar: $(BIN)/shop $(image-files)
	$(call image,localhost/shop:1,$<=/shop)

$(BIN)/images/velero.tar: $(addprefix $(BIN)/,velero velero-restore-helper plugins/velero-plugin-for-aws) $(image-files)
	$(call image,localhost/velero:local,$(BIN)/velero=/velero $(BIN)/velero-restore-helper=/velero-restore-helper $(BIN)/plugins/velero-plugin-for-aws=/plugins/velero-plugin-for-aws)

##@ Help

.PHONY: help
help: ## List all targets.
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-zA-Z0-9_-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
