//go:build noasm || !(amd64 || arm64)

package qconv

func archTables() []*Table { return nil }
