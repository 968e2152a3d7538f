.PHONY: help build test ci fmt

help:
	@echo "make build  - bin/gneiss"
	@echo "make test   - the tests"
	@echo "make ci     - everything that decides a landing"
	@echo "make fmt    - gofmt"

build:
	CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o bin/gneiss ./cmd/gneiss

test:
	go test ./...

ci:
	.ci/run

fmt:
	gofmt -w .
