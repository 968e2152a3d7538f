//go:build noasm || !amd64

package peak

func archTables() []*table { return nil }
