//go:build !noasm

package qgemm

// The routines of the level amx, in amx_amd64.s.

//go:noescape
func amxSums(x *tileArgs)

//go:noescape
func amxBytes(x *tileArgs)

//go:noescape
func amxFloats(x *tileArgs)

//go:noescape
func amxInts(x *tileArgs)

//go:noescape
func amxAdd(x *tileArgs)

var amxTiles = tilesOf{keep: amxSums, bytes: amxBytes, floats: amxFloats, ints: amxInts, add: amxAdd}
