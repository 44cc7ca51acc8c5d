# Every target is a thin call of a program; `make help` lists them. V=1 shows the commands and each test by name.
# All that is built is kept outside the tree, in $(ROBUSTMQ_OPERATOR_CACHE).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

export ROBUSTMQ_OPERATOR_CACHE ?= $(HOME)/.cache/robustmq-operator
# The same flags everywhere (tools, bed, product, tests), so that one build cache serves all.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath -buildvcs=false

NODES     ?= 5
BIN       ?= $(ROBUSTMQ_OPERATOR_CACHE)/bin
KUBECTL   ?= kubectl
# What `make install` applies: a folder with a kustomization.
CONFIG    ?= config/default
# Packages of the unit tests, and more flags for `go test`.
PKG       ?= ./...
TESTFLAGS ?=

V    ?=
Q    := $(if $(V),,@)
step := test/tools/step
run  := test/tools/run
bed  := test/bed/bed
# go test through gotestsum: one line a package, the failures at the end, and a closing line "DONE n tests in s".
gotestsum = $(run) gotestsum --format $(if $(V),testname,pkgname) --format-hide-empty-pkg
gotest = $(gotestsum) -- -timeout 40m $(TESTFLAGS)
# Simulated clusters live in hurried time, which a busy machine can starve: up to three failures get a second run. It is announced and listed as such; what fails twice has failed.
twice = --rerun-fails=1 --rerun-fails-max-failures=3
envtest = KUBEBUILDER_ASSETS="$$($(bed) assets)"
modules := test/images test/pictures test/prometheus test/tools
# Prometheus, its operator and that one's helper: the long tests on the bed watch a cluster with them.
watching = $(run) images build prometheus prometheus-operator prometheus-config-reloader
controller-gen := $(run) controller-gen
# Below these fields Kubernetes' own documentation is left out of the definitions (see test/tools/cmd/crds).
foreign := affinity,tolerations,topologySpreadConstraints

# Restores that are under way, and backups that go from the bucket with their objects: only the operator lets them go.
held = {range .items[?(@.metadata.finalizers)]}{.kind}/{.metadata.name} in {.metadata.namespace}{"\n"}{end}

# Builds the images and prints their archives, one a line.
archives = $(run) images build$(if $(ROBUSTMQ_BIN), && $(run) images build robustmq)

# What the bed pass of `make test` needs; elsewhere it is left out, and said so.
can_bed := $(and $(wildcard test/e2e/*.go),$(filter Linux,$(shell uname -s)),$(filter 0,$(shell id -u)),$(wildcard /sys/fs/cgroup/cpuset))

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":[^#]*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile
	@echo; echo "Settings: V=1 (verbose)  NODES=$(NODES) (nodes of the bed)  PKG=$(PKG)  TESTFLAGS=-run=...  ROBUSTMQ_BIN=path/to/broker-server"
	@echo "Built programs, tools and images are kept in $(ROBUSTMQ_OPERATOR_CACHE)"

##@ demo: from nothing to a running cluster
.PHONY: demo demo-down
demo: ## a Kubernetes, the operator and a RobustMQ cluster, messages through it, a backup and a restore (DEMO_CLUSTER=current: in your own Kubernetes)
	$(Q)export DEMO_BEGAN=$$(date +%s%N); $(step) "compile the demo" go build -o $(ROBUSTMQ_OPERATOR_CACHE)/demo ./test/demo; $(ROBUSTMQ_OPERATOR_CACHE)/demo

demo-down: ## end the demo; nothing is left (with DEMO_CLUSTER=current the operator stays: make uninstall)
	$(Q)$(if $(filter current,$(DEMO_CLUSTER)),$(KUBECTL) delete namespace robustmq-demo --ignore-not-found,$(bed) down)

##@ test: everything that can fail
.PHONY: test unit soak modules-test fuzz
test: ## what CI runs: check, all tests without a cluster, and one pass on real kubelets (root on Linux)
	$(Q)$(step) "check" $(MAKE) check
	$(Q)$(step) "tests of the product" $(MAKE) unit
	$(Q)$(step) "tests of the tools" $(MAKE) modules-test
ifneq ($(can_bed),)
	$(Q)$(bed) status > /dev/null 2>&1 || trap '$(bed) down' EXIT; $(step) "tests on the bed" $(MAKE) e2e
else
	@echo "==> no tests on the bed: they need root on Linux with cgroup v1" >&2
endif

unit: ## unit, envtest, simulated and contract tests; the last against a real server too if ROBUSTMQ_BIN names one
	$(Q)$(step) "programs for envtest" $(bed) assets > /dev/null
	$(Q)$(envtest) $(gotestsum) $(twice) --packages "$(PKG)" -- -timeout 40m $(TESTFLAGS)

soak: ## simulated clusters for an hour or two: operators killed at every point of every change (SIM_SPEED=3 on a busy machine)
	$(Q)$(envtest) SIM_LONG=1 SIM_CRASHES=all $(run) gotestsum --format testname -- -timeout 4h -count=1 $(TESTFLAGS) ./test/simulated

modules-test: ## tests of the project's own tools and image builder
	$(Q)for m in $(modules); do (cd $$m && $(CURDIR)/$(gotest) ./...); done

fuzz: ## every fuzz test for FUZZTIME (20s) beyond its seeds
	$(Q)grep -rlE '^func Fuzz' --include='*_test.go' . | while read -r f; do \
	  grep -oE '^func Fuzz[A-Za-z0-9_]*' $$f | while read -r _ name; do \
	    $(step) "$$name" go test -C $$(dirname $$f) -run '^$$' -fuzz "^$$name\$$" -fuzztime $(or $(FUZZTIME),20s) . < /dev/null; done; done

.PHONY: mutation
mutation: ## are all boundaries of the rules and of the quorum tested? Each is changed once, and a test has to notice
	$(Q)$(run) mutate -equivalent test/mutation/equivalent.tsv $(if $(FILES),-files $(FILES)) $(if $(TESTS),-run '$(TESTS)') $(or $(MUTATE),internal/quorum webhooks/rules)

##@ check: what a machine can judge by reading
.PHONY: check fmt-check vet lint check-generated check-manifests
check: ## format, vet, linters, generated files, manifests
	$(Q)$(step) "gofmt" $(MAKE) fmt-check
	$(Q)$(step) "go vet" $(MAKE) vet
	$(Q)$(step) "golangci-lint and kube-api-linter" $(MAKE) lint
	$(Q)$(step) "generated files" $(MAKE) check-generated
	$(Q)$(step) "manifests against schemas" $(MAKE) check-manifests

fmt-check:
	$(Q)bad=$$(gofmt -l .); [ -z "$$bad" ] || { echo "not formatted (gofmt -w): $$bad" >&2; exit 1; }

vet:
	$(Q)go vet -tags e2e ./...
	$(Q)for m in $(modules); do go vet -C $$m ./...; done

lint: ## golangci-lint, and kube-api-linter on api/
	$(Q)$(run) golangci-lint run -c .golangci.api.yml ./api/v1alpha1/...
	$(Q)$(run) golangci-lint run $(PKG)

check-generated: ## are generated files what `make generate` makes?
	$(Q)test/tools/check-generated

check-manifests: ## kubeconform on all that kustomize renders, and on the samples
	$(Q)test/tools/check-manifests

##@ generate: files that are made from others
.PHONY: generate fmt
generate: ## deep copies, CustomResourceDefinitions, documentation
	$(Q)$(controller-gen) object paths=./api/...
	$(Q)$(controller-gen) crd paths=./api/... output:crd:artifacts:config=config/crd
	$(Q)$(run) crds -brief $(foreign) -max 250000 config/crd
	$(Q)go generate ./...

fmt: ## gofmt
	$(Q)gofmt -w .

##@ build and images
.PHONY: build images
build: ## the programs, into BIN
	$(Q)mkdir -p $(BIN)
	$(Q)$(step) "go build ./cmd/..." go build -ldflags '-s -w' -o $(BIN)/ ./cmd/...
	@ls -lh $(BIN) | awk 'NR > 1 {print "    $(BIN)/" $$9 "  " $$5}'

images: ## operator, agent, simulator (ROBUSTMQ_BIN=path: and that server) as archives, without a container engine
	$(Q)$(archives)

##@ install: into the cluster of the current context
.PHONY: install uninstall render
render: ## what would be installed, as YAML
	$(Q)$(run) kustomize build $(CONFIG)

install: ## definitions, RBAC, webhooks and operator (CONFIG=folder, KUBECTL=command)
	$(Q)$(run) kustomize build $(CONFIG) | $(KUBECTL) apply --server-side -f -

uninstall: ## webhook configurations first, so that nothing is refused by a webhook that is gone; not while there are clusters, or restores under way
	$(Q)left=$$({ $(KUBECTL) get robustmqclusters -A -o name; $(KUBECTL) get robustmqrestores,robustmqbackups -A -o jsonpath='$(held)'; } 2> /dev/null || true); \
	  [ -z "$$left" ] || { echo "delete these first, or the operator could not clean up after them:" $$left >&2; exit 1; }
	$(Q)$(KUBECTL) delete validatingwebhookconfigurations,mutatingwebhookconfigurations -l app.kubernetes.io/name=robustmq-operator --ignore-not-found
	$(Q)$(run) kustomize build $(CONFIG) | $(KUBECTL) delete --ignore-not-found -f -

##@ e2e: on real kubelets
.PHONY: e2e bed-up bed-s3 bed-load bed-prometheus bed-down
# Tests run inside the bed's network; they, and the tools that they call, are compiled outside of it, where modules can be downloaded.
E2E_FIGURES := $(ROBUSTMQ_OPERATOR_CACHE)/e2e-figures.md
e2e: $(if $(E2E_KUBECONFIG),,bed-s3) ## end-to-end tests on the bed, or in the cluster of E2E_KUBECONFIG (E2E_LONG=1: also those that take minutes each)
	$(Q)$(if $(E2E_KUBECONFIG),export KUBECONFIG=$(abspath $(E2E_KUBECONFIG)),E2E_ARCHIVES=$$($(archives)); export E2E_ARCHIVES; $(bed) load-image $$E2E_ARCHIVES$(if $(E2E_LONG), $$($(watching))); for tool in kustomize$(if $(E2E_PICTURES), pictures); do $(run) --path $$tool > /dev/null; done); \
	  E2E_PROMETHEUS_KINDS=$$(test/prometheus/kinds); export E2E_PROMETHEUS_KINDS; \
	  export E2E_FIGURES=$(E2E_FIGURES); rm -f $$E2E_FIGURES; failed=; \
	  $(run) gotestsum --format testname --format-hide-empty-pkg -- -timeout 2h -tags e2e -count=1 -p 1 $(TESTFLAGS) \
	    $(if $(E2E_KUBECONFIG),,-exec "$(CURDIR)/$(bed) exec") ./test/e2e/... || failed=1; \
	  [ ! -e $$E2E_FIGURES ] || cat $$E2E_FIGURES; [ -z "$$failed" ]

# The long tests look at what a silent node does to its peers: there a node counts as ready for as long as in a usual cluster.
bed-up: export BED_NODE_GRACE ?= $(if $(E2E_LONG),50s,20s)
bed-up: ## a Kubernetes of NODES nodes on this machine (root, Linux)
	$(Q)$(bed) up $(NODES)

# Backups go to MinIO; the long tests know a second S3 server.
bed-s3: bed-up ## ... with S3 beside it
	$(Q)$(bed) minio > /dev/null$(if $(E2E_LONG), && $(bed) versitygw > /dev/null)

bed-load: bed-up ## ... with the project's images on it
	$(Q)archives=$$($(archives)); $(bed) load-image $$archives

bed-prometheus: bed-up ## ... with Prometheus and its operator, which watch whatever asks for it (test/prometheus/README.md)
	$(Q)archives=$$($(watching)); $(bed) load-image $$archives; kinds=$$(test/prometheus/kinds); \
	  $(bed) kubectl apply --server-side -f "$$kinds" > /dev/null; $(bed) kubectl wait --for=condition=Established -f "$$kinds" > /dev/null; \
	  $(run) kustomize build test/prometheus/install | $(bed) kubectl apply --server-side -f -

bed-down: ## end it; nothing is left
	$(Q)$(bed) down

##@ bench
.PHONY: bench
bench: ## all benchmarks, with allocations (BENCH_SCALE=100,500,1000: how many clusters)
	$(Q)pkgs=$$(grep -rlE '^func Benchmark' --include='*_test.go' . | grep -vE '^\./test/(bed|tools|images)/' | xargs -r -n1 dirname | sort -u); \
	  [ -n "$$pkgs" ] || { echo "there is no benchmark" >&2; exit 1; }; \
	  $(envtest) go test -run '^$$' -bench . -benchmem -timeout 90m $(TESTFLAGS) $$pkgs
