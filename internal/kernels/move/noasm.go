//go:build noasm || !amd64

package move

func archTables() []*table { return nil }
