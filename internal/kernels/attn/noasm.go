//go:build noasm || !amd64

package attn

func archTables() []*table { return nil }
