//go:build !noasm

package conv

import "github.com/gneiss-run/gneiss/internal/cpu"

// tapsNEON does what tapsGo does, with fused multiply-adds. It reads and writes
// exactly n elements per tap and checks nothing.
//
//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-conv ./conv && cd ../conv && /tmp/gneiss-gen-conv && rm /tmp/gneiss-gen-conv"

func archTables() []*Table {
	if !cpu.Found.NEON {
		return nil
	}
	return []*Table{{Name: cpu.NEON, Taps32: tapsNEON}}
}
