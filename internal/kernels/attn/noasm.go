//go:build noasm || !(amd64 || arm64)

package attn

func archTables() []*table { return nil }
