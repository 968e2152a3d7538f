//go:build noasm || !(amd64 || arm64)

package move

func archTables() []*table { return nil }
