//go:build noasm || !(amd64 || arm64)

package conv

func archTables() []*Table { return nil }
