//go:build !noasm

package peak

import "github.com/gneiss-run/gneiss/internal/cpu"

//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-peak ./peak && cd ../peak && /tmp/gneiss-gen-peak && rm /tmp/gneiss-gen-peak"

func archTables() []*table {
	return []*table{
		{name: cpu.NEON, float: fmaNEON, floatOps: 24 * 4, bytes: wordNEON, bytesOps: 8 * 16, read: readNEON, block: 16 * 16},
		{name: cpu.DotProd, float: fmaNEON, floatOps: 24 * 4, bytes: dotNEON, bytesOps: 24 * 16, read: readNEON, block: 16 * 16},
	}
}
