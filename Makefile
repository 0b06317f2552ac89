# Three static binaries; `make demo` and `make test` need Go, node and python3
# and nothing else.

export CGO_ENABLED ?= 0

PREFIX   ?= /usr/local
# Where the demo lives; a unix socket is made here, so keep the path short.
DEMO     ?= $(CURDIR)/.demo
FUZZTIME ?= 10s
ROUNDS   ?= 200

TEND = TEND_HOME=$(DEMO) TEND_DEMO_SERVER=$(DEMO)/server bin/tend
LINT = go tool -modfile=tools/go.mod

.PHONY: build demo demo-stop test race lint fmt schema fuzz bench chaos install clean

build:
	go build -trimpath -ldflags '-s -w -buildid=' -o bin/ ./cmd/...

demo: build
	go build -o $(DEMO)/server ./examples/server
	$(TEND) start examples/ecosystem.config.js
	python3 examples/ask.py http://127.0.0.1:47310/hello http://127.0.0.1:47320/ http://127.0.0.1:47322/

demo-stop:
	test ! -x bin/tend || $(TEND) kill

test:
	go mod download
	go build ./...
	go vet ./...
	GOOS=darwin go vet ./...
	go test -timeout 5m ./...

# The race detector needs cgo, and with it a C compiler. By itself it would have
# each program wait for a second before it exits, and the tests run hundreds.
race:
	CGO_ENABLED=1 GORACE=atexit_sleep_ms=0 go test -race -timeout 8m ./...

lint:
	$(LINT) golangci-lint run

fmt:
	$(LINT) gofumpt -w .

# docs/schema.json, from the fields of internal/config.
schema:
	go test ./internal/config -run TestSchemaIsUpToDate -update

fuzz:
	grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' api client internal | sed 's|/[^/]*:func | |' | \
	while read -r dir name; do go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) "./$$dir" || exit 1; done

bench: build
	go run ./bench

# Kills daemon and keeper in turn, ROUNDS times, while apps run, and the daemon
# while apps write as fast as they can.
chaos:
	TEND_CHAOS=$(ROUNDS) go test -count=1 -v -timeout 60m -run 'Chaos|LogsSurvive' ./tests/...

install: build
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 bin/tend bin/tend-daemon bin/tend-keeper $(DESTDIR)$(PREFIX)/bin

clean: demo-stop
	rm -rf bin $(DEMO)
