//go:build !noasm

package quant

import "github.com/gneiss-run/gneiss/internal/cpu"

// The assembly in quant_arm64.s does exactly what the loops in quant.go do, for n
// elements, a multiple of 16.
//
//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-quant ./quant && cd ../quant && /tmp/gneiss-gen-quant && rm /tmp/gneiss-gen-quant"

func archTables() []*table {
	if !cpu.Found.NEON {
		return nil
	}
	return []*table{{
		name: cpu.NEON, quantize: neonquantize, requantize: neonrequantize,
		dequantU8: neondequantU8, dequantS8: neondequantS8, bounds: neonbounds, floats: neonfloats,
		requantizeEach: neonrequantizeEach, scaled: neonscaled, sum: neonsum, lookup: neonlookup,
		binary: [2][2]binaryFunc{{neonsumU8, neonsumS8}, {neonproductU8, neonproductS8}}, step: 32,
	}}
}
