//go:build !noasm

package nbits

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// The assembly in nbits_amd64.s does what the loops in generic.go do, but for
// the order of float sums and the rounding of fused multiply-adds. Its strides
// are in bytes. It checks nothing and asks for no alignment.
//
//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-nbits ./nbits && cd ../nbits && /tmp/gneiss-gen-nbits && rm /tmp/gneiss-gen-nbits"

func archTables() []*table {
	var l []*table
	if cpu.Found.AVX2 {
		l = append(l, &table{
			name: cpu.AVX2, mr: 4, quantize: quantize2,
			tile: [2][2]tileFunc{{tiles(tile2x4x[:]), tiles(tile2x4bx[:])}, {tiles(tile2x8x[:]), tiles(tile2x8bx[:])}},
			row:  [2][3]rowFunc{{row2x4, row2x4b, row2x4f}, {row2x8, row2x8b, row2x8f}},
			expand: [2][3]expandFunc{
				{expand2x4, expand2x4b, expand2x4f}, {expand2x8, expand2x8b, expand2x8f},
			},
		})
	}
	if cpu.Found.AVX2 && cpu.Found.AVX512 {
		t := *l[0]
		t.name, t.quantize = cpu.AVX512, quantize512
		t.row = [2][3]rowFunc{{row512x4, row512x4b, row512x4f}, {row512x8, row512x8b, row512x8f}}
		t.expand = [2][3]expandFunc{
			{expand512x4, expand512x4b, expand512x4f}, {expand512x8, expand512x8b, expand512x8f},
		}
		l = append(l, &t)
		if cpu.Found.AVX512VNNI {
			t := t
			t.name, t.mr = cpu.VNNI, 12
			t.tile = [2][2]tileFunc{{tiles(tile512x4x[:]), tiles(tile512x4bx[:])}, {tiles(tile512x8x[:]), tiles(tile512x8bx[:])}}
			t.pair = [2][2]tileFunc{{pairs(pair512x4x[:]), pairs(pair512x4bx[:])}, {pairs(pair512x8x[:]), pairs(pair512x8bx[:])}}
			t.pairMR = 6
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

func pairs(f []func(blocks, groups int, a unsafe.Pointer, lda int, sums, scales unsafe.Pointer, lds int, b, zeros, bscales, y unsafe.Pointer, ldy, ldb int)) tileFunc {
	return func(g *tile) {
		f[g.rows](g.blocks, g.groups, g.a, g.lda, g.sums, g.scales, g.lds*4, g.b, g.zeros, g.bscales, g.y, 2*Width*4, g.ldb)
	}
}
