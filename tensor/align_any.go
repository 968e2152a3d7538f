//go:build 386 || amd64 || arm64 || loong64 || ppc64 || ppc64le || riscv64 || s390x || wasm

package tensor

// unalignedLoads says that numbers may be read from any address.
const unalignedLoads = true
