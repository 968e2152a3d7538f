//go:build !noasm

package nbits

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// The assembly in nbits_arm64.s does what the loops in generic.go do, but for
// the order of float sums and the rounding of fused multiply-adds, and that tiles
// take 128 from codes and zero points of 8 bits. Its strides are in bytes. It
// checks nothing and asks for no alignment.
//
//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-nbits ./nbits && cd ../nbits && /tmp/gneiss-gen-nbits && rm /tmp/gneiss-gen-nbits"

func archTables() []*table {
	var l []*table
	if cpu.Found.NEON {
		l = append(l, &table{
			name: cpu.NEON, mr: 2, less: 128, quantize: quantizeNEON,
			tile: [2][2]tileFunc{{tiles(tileNEON4x[:]), tiles(tileNEON4bx[:])}, {tiles(tileNEON8x[:]), tiles(tileNEON8bx[:])}},
			row:  [2][3]rowFunc{{rowNEON4, rowNEON4b, rowNEON4f}, {rowNEON8, rowNEON8b, rowNEON8f}},
			expand: [2][3]expandFunc{
				{expandNEON4, expandNEON4b, expandNEON4f}, {expandNEON8, expandNEON8b, expandNEON8f},
			},
		})
		if cpu.Found.DotProd {
			t := *l[0]
			t.name, t.mr = cpu.DotProd, 4
			t.tile = [2][2]tileFunc{{tiles(tileDot4x[:]), tiles(tileDot4bx[:])}, {tiles(tileDot8x[:]), tiles(tileDot8bx[:])}}
			l = append(l, &t)
		}
	}
	return l
}

func tiles(f []func(blocks, groups int, a unsafe.Pointer, lda int, sums, scales unsafe.Pointer, lds int, b, zeros, bscales, y unsafe.Pointer, ldy int)) tileFunc {
	return func(g *tile) {
		f[g.rows](g.blocks, g.groups, g.a, g.lda, g.sums, g.scales, g.lds*4, g.b, g.zeros, g.bscales, g.y, Width*4)
	}
}
