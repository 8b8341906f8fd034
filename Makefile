# What runs locally and what is deployed are built alike.
RELEASE := CGO_ENABLED=0 go build -tags=lambda.norpc -trimpath -ldflags="-s -w"

# The functions, one executable each.
.PHONY: build
build:
	mkdir -p bin
	$(RELEASE) -o bin/ ./functions/...

# The whole set on this machine; "bin/local -h" tells the variables. The program
# takes the place of the shell, so that a signal to make ends everything.
.PHONY: local
local:
	@mkdir -p bin
	@$(RELEASE) -o bin/ ./functions/... ./infra/local
	@exec bin/local
