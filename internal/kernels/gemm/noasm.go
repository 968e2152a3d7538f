//go:build noasm || !amd64

package gemm

func archTables() []*Table { return nil }
