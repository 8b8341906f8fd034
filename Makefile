# What runs locally and what is deployed are built alike. That -s implies -w.
FLAGS := CGO_ENABLED=0 GOFLAGS="-tags=lambda.norpc -trimpath -ldflags=-s"
RELEASE := $(FLAGS) go build

# Programs that checks need. They live in a folder of their own, at the versions
# that infra/lint pins.
LINT := .tools/lint

# The SAM CLI has an environment of its own, as it needs other versions of what the
# linters need too. It tells nobody how it is used.
SAM_TOOL := .tools/sam
SAM := SAM_CLI_TELEMETRY=0 $(SAM_TOOL)/bin/sam

.DEFAULT_GOAL := help

.PHONY: help
help:
	@echo "make local          run the whole set on this machine (PORT, AWS_PORT, DATA, PARAMETERS)"
	@echo "make sam-local      the same, with the API's functions in containers, by sam local start-api; needs Docker"
	@echo "make test           run every test that Go, Node and Python are enough for"
	@echo "make test-services  run those that need more: SIPp, PostgreSQL, Redis, Java"
	@echo "make test-sam       run the README's story against make sam-local; needs Docker"
	@echo "make check          lint code, templates, workflows, and the AWS commands of documents"
	@echo "make build          build the functions into bin/"
	@echo "make bench          measure (BENCH, arguments of infra/bench: -h lists them)"
	@echo "make bench-tenants  measure lists of a million tenants; takes ten minutes and 10 GB"
	@echo "make soak           put 200 requests a second on the set for 10 minutes, and look at what became of them (SOAK, flags)"
	@echo "make package        build what is deployed, by the SAM CLI, into .aws-sam/build (STAGE, a section of samconfig.toml: dev)"
	@echo "make deploy         the same, and deploy it (STAGE)"
	@echo "make story          do against a stack what people do, and take it apart again (STACK, STAGE or URL; ADMIN, EMAIL)"
	@echo "make admin          make somebody a platform admin (EMAIL; STACK or STAGE, or else the set of make local)"

# The functions, one executable each.
.PHONY: build
build:
	@mkdir -p bin
	$(RELEASE) -o bin/ ./functions/...

# The whole set on this machine; see "bin/local -h" for the variables. The
# program replaces the shell, so that a signal to make ends everything. It is
# built with the functions, as they share most of what there is to compile.
.PHONY: local
local:
	@mkdir -p bin
	$(RELEASE) -o bin/ ./functions/... ./infra/local
	@exec bin/local

# The tests install what they need besides Go, Node and Python. Those that take longest
# are named first, so that none of them runs alone in the end.
LONG := ./infra/local/set ./internal/work ./internal/dynamo

.PHONY: test
test:
	go test -race -timeout 20m $(LONG) ./... # a busy machine may take longer than the ten minutes that go test gives a package

# What needs more than that, in a module of its own: real clients, against the set
# as make local runs it. A client that is not installed fails its test.
.PHONY: test-services
test-services:
	@mkdir -p bin
	$(RELEASE) -o bin/ ./functions/... ./infra/local
	go -C infra/services test -race -count=1 .

# The set with the API's functions in containers, as sam build makes them for this
# machine's kind of processor.
SAM_BUILD := .aws-sam/local
SAM_ARCHITECTURE := $(if $(filter arm64 aarch64,$(shell uname -m)),arm64,x86_64)

.PHONY: sam-local
sam-local: sam-local-build
	@exec bin/local -sam $(SAM_BUILD) -sam-cli $(SAM_TOOL)/bin/sam

.PHONY: test-sam
test-sam: sam-local-build
	go -C infra/services test -count=1 ./sam

.PHONY: sam-local-build
sam-local-build: container-engine $(SAM_TOOL)/stamp
	@mkdir -p bin
	$(RELEASE) -o bin/ ./functions/... ./infra/local
	$(FLAGS) $(SAM) build --build-dir $(SAM_BUILD) --parameter-overrides Architecture=$(SAM_ARCHITECTURE)

.PHONY: container-engine
container-engine:
	@docker network inspect bridge > /dev/null 2>&1 || { cat infra/local/sam/no-engine.txt >&2; exit 1; }

# What the containers are made of, where the image of Lambda's base cannot be fetched:
# busybox is enough for executables that are linked statically.
.PHONY: sam-image
sam-image: container-engine
	rm -rf .aws-sam/image && mkdir -p .aws-sam/image/bin .aws-sam/image/tmp
	for applet in $$(busybox --list); do ln -sf busybox .aws-sam/image/bin/$$applet; done
	cp --remove-destination "$$(command -v busybox)" .aws-sam/image/bin/busybox
	tar -C .aws-sam/image -c . | docker import --change 'ENV PATH=/bin' - public.ecr.aws/lambda/provided:al2023-$(SAM_ARCHITECTURE)

.PHONY: bench
bench:
	go run ./infra/bench $(BENCH)
	go test -count=1 -v -run '^TestBill$$' ./infra/local/set
	go test -timeout 30m -run '^$$' -bench . -benchtime 3s ./infra/local/... ./internal/dynamo
	go test -count=1 -run '^TestCallsModel$$' ./internal/dynamo -steps 1000000

# Lists of as many tenants as the bar is for, where make bench has a tenth of them. To
# write them takes some ten minutes and 10 GB of memory.
TENANTS ?= 1000100

.PHONY: bench-tenants
bench-tenants:
	TENANTS=$(TENANTS) NODE_OPTIONS=--max-old-space-size=14000 \
		go test -timeout 60m -run '^$$' -bench '^BenchmarkListTenants$$' -benchtime 3s ./internal/dynamo

# Mixed load on the set as make local runs it; see "bin/soak -h" for the flags.
SOAK ?=

.PHONY: soak
soak:
	@mkdir -p bin
	$(RELEASE) -o bin/ ./functions/... ./infra/local ./infra/soak
	@exec bin/soak $(SOAK)

.PHONY: check
check: $(LINT)/stamp $(SAM_TOOL)/stamp
	test -z "$$(go tool gofumpt -l functions internal infra)"
	go vet ./...
	go tool staticcheck ./...
	$(LINT)/golangci-lint run
	go -C infra/services vet ./...
	cd infra/services && $(CURDIR)/$(LINT)/golangci-lint run
	$(LINT)/venv/bin/cfn-lint template.yaml infra/*.yaml
	$(SAM) validate --lint
	@mkdir -p .aws-sam
	$(SAM_TOOL)/bin/python infra/sam/transform.py template.yaml > .aws-sam/transformed.json
	$(LINT)/venv/bin/cfn-lint .aws-sam/transformed.json
	$(LINT)/venv/bin/checkov --config-file .checkov.yaml $(foreach f,$(wildcard template.yaml infra/*.yaml),-f $(f))
	$(LINT)/venv/bin/python infra/lint/commands.py $(wildcard *.md docs/*.md docs/*/*.md)
	go test ./internal/arch # which package may import which, and what no function may link
	for f in infra/workflows/*.asl.json; do node $(LINT)/node_modules/asl-validator/dist/bin/asl-validator.js --json-path "$$f" || exit 1; done

# SAM builds each function in place, with the flags from the environment, for the
# stage's Architecture.
STAGE ?= dev

.PHONY: package
package: $(SAM_TOOL)/stamp
	$(FLAGS) $(SAM) build --config-env $(STAGE)
	@go run ./infra/artefacts .aws-sam/build samconfig.toml $(STAGE)

.PHONY: deploy
deploy: check package
	$(SAM) deploy --config-env $(STAGE)

# What is given to make, such as EMAIL, is in the program's environment; see
# "go run ./infra/admin -h" and "go run ./infra/story -h". What a shell has by such a
# name, as many have EMAIL, was not meant for them.
NOT_GIVEN = $(foreach v,ADMIN EMAIL PROMOTE STACK STAGE URL,$(if $(filter command,$(origin $(v))),,-u $(v)))

.PHONY: admin
admin:
	@env $(NOT_GIVEN) go run ./infra/admin

.PHONY: story
story:
	@env $(NOT_GIVEN) go run ./infra/story

$(LINT)/stamp: infra/lint/go.mod infra/lint/go.sum infra/lint/package-lock.json infra/lint/requirements.txt
	@echo "Installing the linters; the first time takes some minutes."
	mkdir -p $(LINT)
	go -C infra/lint build -o $(CURDIR)/$(LINT)/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	cp infra/lint/package.json infra/lint/package-lock.json $(LINT)/
	npm ci --silent --no-audit --no-fund --prefix $(LINT)
	python3 -m venv $(LINT)/venv
	$(LINT)/venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r infra/lint/requirements.txt
	touch $@

# The requirements are all there is to install, so pip has nothing to find out.
$(SAM_TOOL)/stamp: infra/sam/requirements.txt
	@echo "Installing the SAM CLI."
	python3 -m venv --clear $(SAM_TOOL)
	$(SAM_TOOL)/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $<
	touch $@
