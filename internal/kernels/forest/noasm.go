//go:build noasm || !amd64

package forest

func archTables() []*Table { return nil }
