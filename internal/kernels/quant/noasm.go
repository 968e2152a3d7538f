//go:build noasm || !amd64

package quant

func archTables() []*table { return nil }
