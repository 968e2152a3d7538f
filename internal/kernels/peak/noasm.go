//go:build noasm || !(amd64 || arm64)

package peak

func archTables() []*table { return nil }
