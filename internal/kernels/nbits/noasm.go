//go:build noasm || !amd64

package nbits

func archTables() []*table { return nil }
