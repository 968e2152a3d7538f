//go:build noasm || !(amd64 || arm64)

package nhwc

func archTables() []*Table { return nil }
