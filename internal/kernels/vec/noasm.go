//go:build noasm || !amd64

package vec

func archTables() []*Table { return nil }
