# Three static binaries; `make demo` and `make test` need Go, node and python3
# and nothing else.

export CGO_ENABLED ?= 0

PREFIX   ?= /usr/local
# With PM2=1 the names of PM2's programs are made too, as links to tend.
PM2      ?=
# Where the demo lives; a unix socket is made here, so keep the path short.
DEMO     ?= $(CURDIR)/.demo
FUZZTIME ?= 10s
ROUNDS   ?= 200

TEND = TEND_HOME=$(DEMO) TEND_DEMO_SERVER=$(DEMO)/server bin/tend
LINT = go tool -modfile=tools/go.mod
PM2_NAMES = pm2 pm2-runtime pm2-docker pm2-dev

.PHONY: build man demo demo-stop test race lint fmt schema fuzz bench chaos install uninstall clean

build:
	go build -trimpath -ldflags '-s -w -buildid=' -o bin/ ./cmd/...

# A page of its own for each command.
man:
	rm -rf bin/man
	go run ./internal/cli/mandoc bin/man

demo: build
	go build -o $(DEMO)/server ./examples/server
	$(TEND) start examples/ecosystem.config.js
	python3 examples/ask.py http://127.0.0.1:17310/hello http://127.0.0.1:17320/ http://127.0.0.1:17322/

demo-stop:
	test ! -x bin/tend || $(TEND) kill

test:
	go mod download
	go build ./...
	go vet ./...
	GOOS=darwin go vet ./...
	go test -timeout 10m ./...

# The race detector needs cgo, and with it a C compiler. By itself it would have
# each program wait for a second before it exits, and the tests run hundreds.
race:
	CGO_ENABLED=1 GORACE=atexit_sleep_ms=0 go test -race -timeout 10m ./...

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

install: build man
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 755 bin/tend bin/tend-daemon bin/tend-keeper $(DESTDIR)$(PREFIX)/bin
	install -m 644 bin/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
ifneq ($(PM2),)
	for name in $(PM2_NAMES); do link=$(DESTDIR)$(PREFIX)/bin/$$name; \
		if test -e $$link && test "$$(readlink $$link)" != tend; then echo "$$link is PM2's own; remove it first" >&2; exit 1; fi; \
		ln -sf tend $$link; done
endif

# What install made; a pm2 that is none of ours stays.
uninstall:
	for name in $(PM2_NAMES); do \
		test "$$(readlink $(DESTDIR)$(PREFIX)/bin/$$name)" != tend || rm -f $(DESTDIR)$(PREFIX)/bin/$$name; done
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,tend tend-daemon tend-keeper)
	rm -f $(DESTDIR)$(PREFIX)/share/man/man1/tend.1 $(DESTDIR)$(PREFIX)/share/man/man1/tend-*.1

clean: demo-stop
	rm -rf bin $(DEMO)
