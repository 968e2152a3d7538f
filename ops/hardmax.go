package ops

import (
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
)

// Hardmax: output is 1 at the first largest element along axis, else 0.
//
//	input: T[...]    output: T[...], same shape; may share input's storage
//
// Before 13, a line is all dimensions from axis (default 1) on; since 13, the
// dimension axis (default -1). The first NaN counts as largest.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Hardmax.html
func init() {
	register(&Op{Name: "Hardmax", Versions: softmaxVersions(func(t *vec.Table) lines { return eachLine(hardmaxLine(t)) }, eachLine64(hardmaxRow[float64]), nil)})
}

// hardmaxLine is hardmaxRow by vectors.
func hardmaxLine(t *vec.Table) func(dst, src []float32) {
	return func(dst, src []float32) {
		m := t.Largest(src)
		best := slices.IndexFunc(src, func(v float32) bool { return v == m || v != v })
		clear(dst)
		dst[best] = 1
	}
}

// hardmaxRow computes one line; dst may be src.
func hardmaxRow[T floating](dst, src []T) {
	best := 0
	for i, v := range src {
		if v != v {
			best = i
			break
		}
		if v > src[best] {
			best = i
		}
	}
	clear(dst)
	dst[best] = 1
}
