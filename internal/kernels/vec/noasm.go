//go:build noasm || !(amd64 || arm64)

package vec

func archTables() []*Table { return nil }
