//go:build !noasm

package move

import "github.com/gneiss-run/gneiss/internal/cpu"

//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-move ./move && cd ../move && /tmp/gneiss-gen-move && rm /tmp/gneiss-gen-move"

func archTables() []*table {
	if !cpu.Found.NEON {
		return nil
	}
	return []*table{{name: cpu.NEON, weave: weaveNEON, unweave: unweaveNEON, weigh: weighNEON}}
}
