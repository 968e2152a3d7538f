//go:build noasm || !amd64

package half

func archTables() []*table { return nil }
