//go:build noasm || !amd64

package conv

func archTables() []*Table { return nil }
