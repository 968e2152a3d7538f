//go:build noasm || !amd64

package nhwc

func archTables() []*Table { return nil }
