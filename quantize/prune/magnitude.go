package prune

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/quantize"
	"github.com/gneiss-run/gneiss/tensor"
)

// matrix is a weight of shape [rows, depth, taps]: rows are what one output is
// computed with, depth is the input dimension, taps are the positions of a
// convolution's kernel. The strides are into the tensor's data.
type matrix struct {
	use
	t                 *tensor.Tensor
	mag               []float64 // absolute values, in the order of the data
	rows, depth, taps int
	index             func(row, k, tap int) int
}

// matrixOf reads a weight. Leading dimensions that stand for matrices beside
// each other (batches, directions) are among the rows.
func matrixOf(u use) (*matrix, error) {
	t := u.value.Const
	mag, err := tensor.Float64s(t)
	if err != nil {
		return nil, err
	}
	mag = slices.Clone(mag)
	for i, x := range mag {
		mag[i] = math.Abs(x)
	}
	shape := slices.Clone(t.Shape())
	strides := tensor.Strides(t.Shape())
	if u.perm != nil {
		s, d := slices.Clone(strides), slices.Clone(shape)
		for i, p := range u.perm {
			strides[i], shape[i] = s[p], d[p]
		}
	}
	rank := len(shape)
	var rowAxes, tapAxes []int
	k := 1
	switch {
	case u.node.Op == "Conv":
		rowAxes, tapAxes = []int{0}, axes(2, rank)
	case u.node.Op == "ConvTranspose":
		k, rowAxes, tapAxes = 0, []int{1}, axes(2, rank)
	case u.node.Op == "LSTM" || u.node.Op == "GRU" || u.node.Op == "RNN":
		k, rowAxes = rank-1, axes(0, rank-1)
	default: // the dimension that a product sums over
		name, first := "transB", u.input == 0
		if first {
			name = "transA"
		}
		trans, err := onnx.Attribute(u.node, name, int64(0))
		if err != nil {
			return nil, err
		}
		k = rank - 2
		if first != (trans != 0 && u.node.Op == "Gemm") {
			k = rank - 1
		}
		rowAxes = slices.DeleteFunc(axes(0, rank), func(a int) bool { return a == k })
	}
	m := &matrix{use: u, t: t, mag: mag, rows: 1, depth: shape[k], taps: 1}
	for _, a := range rowAxes {
		m.rows *= shape[a]
	}
	for _, a := range tapAxes {
		m.taps *= shape[a]
	}
	offsets := func(axes []int) []int {
		out := []int{0}
		for _, a := range axes {
			next := make([]int, 0, len(out)*shape[a])
			for _, o := range out {
				for i := range shape[a] {
					next = append(next, o+i*strides[a])
				}
			}
			out = next
		}
		return out
	}
	row, tap := offsets(rowAxes), offsets(tapAxes)
	m.index = func(r, i, p int) int { return row[r] + i*strides[k] + tap[p] }
	return m, nil
}

// axes returns from, from+1, ... up to but without to.
func axes(from, to int) []int {
	var out []int
	for a := from; a < to; a++ {
		out = append(out, a)
	}
	return out
}

// sparsify finds the weights that sel allows, has mark say which elements become
// zero, and replaces the tensors. mark returns for each matrix the indices into
// its data, or a reason to leave it.
func sparsify(m *onnx.Model, sel quantize.Selection, mark func([]*matrix) (drop [][]int, reason []string)) (*Report, error) {
	if err := sel.Check(m.Graph); err != nil {
		return nil, fmt.Errorf("prune: %w", err)
	}
	promote(m.Graph)
	layers, before, err := measure(m)
	if err != nil {
		return nil, fmt.Errorf("prune: %w", err)
	}
	r := &Report{Layers: layers, Before: before, After: before}
	var ms []*matrix
	var at []int
	for i, u := range weights(m.Graph) {
		ok, why := sel.Allows(u.node)
		switch {
		case !ok:
			layers[i].Reason = why
			continue
		case !u.value.Const.DType().IsFloat():
			layers[i].Reason = "its type is " + u.value.Const.DType().String()
			continue
		}
		mat, err := matrixOf(u)
		if err != nil {
			return nil, fmt.Errorf("prune: %v: %w", u.node, err)
		}
		ms, at = append(ms, mat), append(at, i)
	}
	drop, reason := mark(ms)
	for j, mat := range ms {
		l := &layers[at[j]]
		if l.Reason = reason[j]; l.Reason != "" || len(drop[j]) == 0 {
			continue
		}
		t := mat.t.Clone()
		b, size := t.Bytes(), t.DType().Size()
		for _, i := range drop[j] {
			clear(b[i*size : (i+1)*size])
		}
		mat.value.Const = t
		flops := l.After.FLOPs
		l.After = counts(t)
		l.After.FLOPs = flops
		r.After.Nonzeros += l.After.Nonzeros - l.Before.Nonzeros
	}
	return r, nil
}

// Magnitude sets the weights of the least magnitude to zero: sparsity times
// their number, rounded to the nearest, in each layer or in the whole model.
// Weights that were zero before count. Of equal magnitudes the earlier elements
// go first. Layers are Conv, ConvTranspose, MatMul, Gemm, RNN, LSTM and GRU;
// biases and normalisations stay. Weights may be float16, bfloat16, float32 or
// float64. An error is a sparsity outside of [0, 1), a name in sel that the model
// lacks, or a model whose shapes do not fit.
func Magnitude(m *onnx.Model, sparsity float64, scope Scope, sel quantize.Selection) (*Report, error) {
	if err := fraction("sparsity", sparsity); err != nil {
		return nil, err
	}
	return sparsify(m, sel, func(ms []*matrix) ([][]int, []string) {
		scores := make([][]float64, len(ms))
		for i, mat := range ms {
			scores[i] = mat.mag
		}
		return leastOf(scores, sparsity, scope), make([]string, len(ms))
	})
}

// NM keeps the n weights of the largest magnitude of every m that follow each
// other along the input dimension, and sets the others to zero: 2 of 4 is what
// sparse tensor cores take. For a convolution the input dimension is that of the
// channels, at each position of the kernel. Of equal magnitudes the earlier
// weights stay. A layer whose input dimension is not a multiple of m is left as
// it is, and the report says so. The rest is as for Magnitude.
func NM(model *onnx.Model, n, m int, sel quantize.Selection) (*Report, error) {
	if n < 1 || m <= n {
		return nil, fmt.Errorf("prune: pattern %d:%d: want N:M with 0 < N < M", n, m)
	}
	return sparsify(model, sel, func(ms []*matrix) ([][]int, []string) {
		drop, reason := make([][]int, len(ms)), make([]string, len(ms))
		at := make([]int, m)
		for i, mat := range ms {
			if mat.depth%m != 0 {
				reason[i] = fmt.Sprintf("its input dimension is %d, not a multiple of %d", mat.depth, m)
				continue
			}
			for r := range mat.rows {
				for p := range mat.taps {
					for k := 0; k < mat.depth; k += m {
						for j := range at {
							at[j] = mat.index(r, k+j, p)
						}
						slices.SortStableFunc(at, func(a, b int) int { return cmp.Compare(mat.mag[b], mat.mag[a]) })
						drop[i] = append(drop[i], at[n:]...)
					}
				}
			}
		}
		return drop, reason
	})
}

// Block sets whole blocks of rows outputs by cols inputs to zero: sparsity times
// their number, rounded to the nearest, those with the least mean magnitude. A
// convolution's weight is read as a matrix of its output channels by input
// channels and positions of the kernel, in the order of the tensor. Blocks at
// the end of a row or column may be smaller. The rest is as for Magnitude.
func Block(m *onnx.Model, rows, cols int, sparsity float64, scope Scope, sel quantize.Selection) (*Report, error) {
	if err := fraction("sparsity", sparsity); err != nil {
		return nil, err
	}
	if rows < 1 || cols < 1 {
		return nil, fmt.Errorf("prune: block %dx%d: want at least 1x1", rows, cols)
	}
	return sparsify(m, sel, func(ms []*matrix) ([][]int, []string) {
		scores := make([][]float64, len(ms))
		each := func(mat *matrix, block int, f func(i int)) {
			width := mat.depth * mat.taps
			across := (width + cols - 1) / cols
			r0, c0 := block/across*rows, block%across*cols
			for r := r0; r < min(r0+rows, mat.rows); r++ {
				for c := c0; c < min(c0+cols, width); c++ {
					f(mat.index(r, c/mat.taps, c%mat.taps))
				}
			}
		}
		for i, mat := range ms {
			width := mat.depth * mat.taps
			scores[i] = make([]float64, (mat.rows+rows-1)/rows*((width+cols-1)/cols))
			for b := range scores[i] {
				n := 0
				each(mat, b, func(e int) { scores[i][b] += mat.mag[e]; n++ })
				scores[i][b] /= float64(n)
			}
		}
		drop := make([][]int, len(ms))
		for i, blocks := range leastOf(scores, sparsity, scope) {
			for _, b := range blocks {
				each(ms[i], b, func(e int) { drop[i] = append(drop[i], e) })
			}
		}
		return drop, make([]string, len(ms))
	})
}

// leastOf returns the places of the smallest scores, for each list by itself or
// for all together: exactly the fraction of their number, rounded. Scores are
// not negative; NaN is larger than all others. Ties go to the first.
func leastOf(scores [][]float64, part float64, scope Scope) [][]int {
	if scope == PerLayer && len(scores) > 1 {
		var out [][]int
		for _, s := range scores {
			out = append(out, leastOf([][]float64{s}, part, scope)...)
		}
		return out
	}
	total := 0
	for _, s := range scores {
		total += len(s)
	}
	want := int(math.Round(part * float64(total)))
	out := make([][]int, len(scores))
	if want == 0 {
		return out
	}
	limit, equal := rank(scores, want)
	for i, s := range scores {
		for j, x := range s {
			switch k := math.Float64bits(x); {
			case k < limit:
				out[i] = append(out[i], j)
			case k == limit && equal > 0:
				out[i] = append(out[i], j)
				equal--
			}
		}
	}
	return out
}

// rank returns the bits of the want-th smallest score, and how many of that very
// value are among the want smallest. Bits of floats that are not negative sort
// as the floats do, so four rounds of counting 16 bits find it without sorting.
func rank(scores [][]float64, want int) (limit uint64, equal int) {
	for shift := 48; shift >= 0; shift -= 16 {
		var count [1 << 16]int
		for _, s := range scores {
			for _, x := range s {
				if k := math.Float64bits(x); shift == 48 || k>>(shift+16) == limit>>(shift+16) {
					count[k>>shift&0xffff]++
				}
			}
		}
		for d, c := range count {
			if want <= c {
				limit |= uint64(d) << shift
				break
			}
			want -= c
		}
	}
	return limit, want
}
