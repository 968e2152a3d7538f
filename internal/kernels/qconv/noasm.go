//go:build noasm || !amd64

package qconv

func archTables() []*Table { return nil }
