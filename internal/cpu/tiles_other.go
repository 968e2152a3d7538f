//go:build amd64 && (!linux || noasm)

package cpu

// allowTiles reports false: only Linux is known to let processes use tiles.
func allowTiles() bool { return false }
