//go:build noasm || !amd64

package qgemm

func archTables() []*Table { return nil }
