//go:build noasm || !(amd64 || arm64)

package nbits

func archTables() []*table { return nil }
