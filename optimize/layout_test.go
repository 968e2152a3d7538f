package optimize

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// arranged runs the pass on m, and what tidies up behind it.
func arranged(t *testing.T, m *onnx.Model) *state {
	t.Helper()
	s := newState(t, m, Options{Check: true})
	restore := anyOpset(m.Graph)
	defer restore()
	was := graphText(m)
	all := stages(Machine)
	if err := s.stage(all[slices.IndexFunc(all, func(st stage) bool { return st.name == "layout" })]); err != nil {
		t.Fatalf("%v\nbefore: %safter: %s", err, was, graphText(m))
	}
	return s
}

func countOp(g *onnx.Graph, op string) int {
	n := 0
	for _, k := range g.Nodes {
		if opName(k) == op {
			n++
		}
	}
	return n
}

func perms(p ...int) onnx.Attrs { return onnx.NewAttrs("perm", p) }

var (
	toLast  = perms(0, 2, 3, 1)
	toFirst = perms(0, 3, 1, 2)
)

// TestLayoutMoves says how many Transposes stay.
func TestLayoutMoves(t *testing.T) {
	x := func(b *ops.Builder) *onnx.Value { return in(b, "x", 2, 4, 6, 5) }
	conv := func(b *ops.Builder, v *onnx.Value, m int) *onnx.Value {
		c, _ := v.Type.Dims[1].Size()
		return b.Op("Conv", onnx.NewAttrs("pads", []int{1, 1, 1, 1}), v, floats(b, m, c, 3, 3))
	}
	tests := []struct {
		name  string
		moves int
		build func(b *ops.Builder)
	}{
		{"between elementwise operators", 0, func(b *ops.Builder) {
			v := b.Op("Transpose", toLast, x(b))
			v = b.Op("Mul", nil, b.Op("Add", nil, v, floats(b, 4)), floats(b, 6, 1, 1))
			ret(b, b.Op("Transpose", toFirst, v))
		}},
		{"negative axes", 0, func(b *ops.Builder) {
			v := b.Op("Relu", nil, b.Op("Transpose", perms(0, -2, -1, 1), x(b)))
			ret(b, b.Op("Transpose", perms(0, -1, 1, 2), v))
		}},
		{"around a softmax and a reduction", 0, func(b *ops.Builder) {
			v := b.Op("Softmax", onnx.NewAttrs("axis", -1), b.Op("Transpose", toLast, x(b)))
			v = b.Op("ReduceSum", onnx.NewAttrs("keepdims", 1), v, b.Ints(1))
			ret(b, b.Op("Transpose", toFirst, v))
		}},
		{"into two branches", 0, func(b *ops.Builder) {
			v := b.Op("Transpose", toLast, x(b))
			w := b.Op("Concat", onnx.NewAttrs("axis", 3), b.Op("Relu", nil, v), b.Op("Neg", nil, v))
			ret(b, b.Op("Transpose", toFirst, w))
		}},
		{"one that an output needs", 1, func(b *ops.Builder) { ret(b, b.Op("Relu", nil, b.Op("Transpose", toLast, x(b)))) }},
		{"a smaller value instead", 1, func(b *ops.Builder) {
			v := b.Op("Transpose", toLast, x(b))
			ret(b, b.Op("ReduceMax", onnx.NewAttrs("keepdims", 1), v, b.Ints(1)))
		}},
		{"channel shuffle", 1, func(b *ops.Builder) {
			v := b.Op("Reshape", nil, b.Op("Transpose", toFirst, in(b, "x", 2, 6, 5, 4)), b.Ints(2, 2, 2, 6, 5))
			v = b.Op("Transpose", perms(0, 2, 1, 3, 4), v)
			ret(b, b.Op("Transpose", toLast, b.Op("Reshape", nil, v, b.Ints(2, 4, 6, 5))))
		}},
		{"sequences from maps", 0, func(b *ops.Builder) {
			v := b.Op("Transpose", toFirst, in(b, "x", 2, 6, 5, 4))
			v = b.Op("Reshape", nil, b.Op("Relu", nil, v), b.Ints(2, 4, 30))
			ret(b, b.Op("Neg", nil, b.Op("Transpose", perms(0, 2, 1), v)))
		}},
		{"convolutions", 2, func(b *ops.Builder) {
			v := conv(b, conv(b, x(b), 32), 8)
			ret(b, b.Op("Add", nil, b.Op("Relu", nil, v), floats(b, 8, 1, 1)))
		}},
		{"classifier", 1, func(b *ops.Builder) {
			v := b.Op("Relu", nil, conv(b, conv(b, x(b), 32), 8))
			v = b.Op("Flatten", nil, b.Op("GlobalAveragePool", nil, v))
			ret(b, b.Op("Gemm", nil, v, floats(b, 8, 3)))
		}},
		{"channels-last model", 0, func(b *ops.Builder) {
			v := b.Op("Transpose", toFirst, in(b, "x", 2, 6, 5, 4))
			v = b.Op("Transpose", toLast, conv(b, v, 8))
			v = b.Op("LayerNormalization", nil, v, floats(b, 8), floats(b, 8))
			v = b.Op("MatMul", nil, v, floats(b, 8, 16))
			v = conv(b, b.Op("Transpose", toFirst, v), 3)
			ret(b, b.Op("Transpose", toLast, b.Op("Relu", nil, v)))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := graphModel(t, 21, tt.build)
			before := m.Clone()
			arranged(t, m)
			if n := countOp(m.Graph, ".Transpose"); n != tt.moves {
				t.Errorf("%d Transposes, want %d:\n%s", n, tt.moves, graphText(m))
			}
			same(t, before.Graph, m.Graph, rand.New(rand.NewPCG(1, 2)))
		})
	}
}

// TestLayoutRandom compares random graphs before and after.
func TestLayoutRandom(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 7))
		m := graphModel(t, 21, func(b *ops.Builder) { randomLayout(b, r) })
		before := m.Clone()
		if r.IntN(2) == 0 { // some sizes are not known before running
			names := map[int]string{2: "n", 3: "h", 5: "w"}
			for _, v := range m.Graph.Inputs {
				v.Type.Dims = slices.Clone(v.Type.Dims)
				for i, d := range v.Type.Dims {
					if k, _ := d.Size(); names[k] != "" && r.IntN(3) > 0 {
						v.Type.Dims[i] = onnx.Name(names[k])
					}
				}
			}
		}
		s := arranged(t, m)
		if s.report.Counts["layout"] == 0 {
			continue
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("before: %s\nafter: %s", graphText(before), graphText(m))
				}
			}()
			same(t, before.Graph, m.Graph, r)
		})
	}
}

// randomLayout builds a graph of operators that the pass knows.
func randomLayout(b *ops.Builder, r *rand.Rand) {
	vs := []*onnx.Value{in(b, "x", 2, 4, 3, 5), in(b, "y", 2, 3, 5, 4), in(b, "z", 2, 4, 1, 1)}
	some := func() *onnx.Value { return vs[len(vs)-1-r.IntN(min(len(vs), 6))] }
	for range 4 + r.IntN(14) {
		v := some()
		shape, ok := v.Type.Static()
		if !ok {
			continue
		}
		rank := len(shape)
		if rank == 0 {
			continue
		}
		axis := r.IntN(rank)
		n, _ := tensor.Count(shape)
		if n > 4000 || n == 0 {
			continue
		}
		var w *onnx.Value
		switch r.IntN(24) {
		case 0, 1, 2:
			p := r.Perm(rank)
			if rank == 4 && r.IntN(3) > 0 {
				p = [][]int{{0, 2, 3, 1}, {0, 3, 1, 2}}[r.IntN(2)]
			}
			w = b.Op("Transpose", perms(p...), v)
		case 3, 4:
			w = b.Op([]string{"Relu", "Neg", "Sigmoid", "Abs"}[r.IntN(4)], nil, v)
		case 5, 6:
			u := some()
			if s, ok := u.Type.Static(); ok && broadcasts(shape, s) {
				w = b.Op([]string{"Add", "Mul", "Max", "Sub"}[r.IntN(4)], nil, v, u)
			}
		case 7:
			s := make([]int, 1+r.IntN(rank))
			for i := range s {
				if s[i] = shape[rank-len(s)+i]; r.IntN(2) == 0 {
					s[i] = 1
				}
			}
			w = b.Op("Mul", nil, floats(b, s...), v)
		case 8:
			w = b.Op("Concat", onnx.NewAttrs("axis", axis-rank), v, v, b.Op("Neg", nil, v))
		case 9:
			w = b.Op("Slice", nil, v, b.Ints(0), b.Ints(max(1, shape[axis]-1)), b.Ints(axis))
		case 10:
			pads := make([]int, 2*rank)
			pads[axis], pads[rank+axis] = 1, r.IntN(2)
			w = b.Op("Pad", nil, v, b.Ints(pads...))
		case 11:
			w = b.Op("ReduceMean", onnx.NewAttrs("keepdims", r.IntN(2)), v, b.Ints(axis))
		case 12:
			w = b.Op("Softmax", onnx.NewAttrs("axis", axis), v)
		case 13:
			out := b.Ops("", "Split", onnx.NewAttrs("axis", axis, "num_outputs", 1+min(1, shape[axis]-1)), 1+min(1, shape[axis]-1), v)
			vs = append(vs, out...)
			continue
		case 14: // join two dimensions
			if rank >= 2 {
				k := r.IntN(rank - 1)
				s := append(append(append([]int{}, shape[:k]...), shape[k]*shape[k+1]), shape[k+2:]...)
				w = b.Op("Reshape", nil, v, b.Ints(s...))
			}
		case 15: // split one
			for f := 2; f <= shape[axis] && rank < 6; f++ {
				if shape[axis]%f == 0 {
					s := append(append(append([]int{}, shape[:axis]...), f, shape[axis]/f), shape[axis+1:]...)
					w = b.Op("Reshape", nil, v, b.Ints(s...))
					break
				}
			}
		case 16:
			w = b.Op("Unsqueeze", nil, v, b.Ints(r.IntN(rank+1)))
		case 17:
			if shape[axis] == 1 {
				w = b.Op("Squeeze", nil, v, b.Ints(axis))
			}
		case 18:
			scales := make([]float32, rank)
			for i := range scales {
				scales[i] = 1
			}
			scales[axis] = 2
			w = b.Op("Resize", onnx.NewAttrs("mode", "linear"), v, nil, b.Const(tensor.Of(scales)))
		case 19:
			w = b.Op("MatMul", nil, v, floats(b, shape[rank-1], 3))
		case 20:
			w = b.Op("LayerNormalization", nil, v, floats(b, shape[rank-1]))
		case 21:
			w = b.Op("Gather", onnx.NewAttrs("axis", axis), v, b.Const(tensor.Scalar(int64(0))))
		case 22, 23:
			if rank < 3 || rank > 5 {
				continue
			}
			k := []int{5, shape[1]}
			for range rank - 2 {
				k = append(k, 1)
			}
			switch r.IntN(4) {
			case 0:
				w = b.Op("Conv", nil, v, floats(b, k...), floats(b, 5))
			case 1:
				k[0], k[1] = shape[1], 5
				w = b.Op("ConvTranspose", nil, v, floats(b, k...))
			case 2:
				w = b.Op("GlobalAveragePool", nil, v)
			case 3:
				w = b.Op("MaxPool", onnx.NewAttrs("kernel_shape", k[2:]), v)
			}
		}
		if b.Err() != nil {
			return
		}
		if w != nil {
			vs = append(vs, w)
		}
	}
	ret(b, vs[len(vs)-1])
	if k := len(vs) - 3; k > 3 && r.IntN(2) == 0 {
		ret(b, vs[k])
	}
}

func broadcasts(a, b []int) bool {
	for i := 1; i <= min(len(a), len(b)); i++ {
		if x, y := a[len(a)-i], b[len(b)-i]; x != y && x != 1 && y != 1 {
			return false
		}
	}
	return true
}

func graphText(m *onnx.Model) string {
	var b strings.Builder
	if err := m.Text(&b, onnx.TextOptions{}); err != nil {
		return err.Error()
	}
	return b.String()
}

// TestLayoutOfFewOutputChannels: in ONNX's order a QLinearConv gathers what its outputs see, which
// costs as much for three channels as for many.
func TestLayoutOfFewOutputChannels(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	w := tensor.New(tensor.Int8, 3, 32, 3, 3)
	for i := range tensor.Data[int8](w) {
		tensor.Data[int8](w)[i] = int8(r.IntN(255) - 127)
	}
	m := graphModel(t, machineOpsets[""], func(b *ops.Builder) {
		scale, zero := f32(b, 0.02), b.Const(tensor.Scalar(uint8(128)))
		x := b.Op("QuantizeLinear", nil, in(b, "x", 1, 32, 24, 24), scale, zero)
		ret(b, b.Op("DequantizeLinear", nil, b.Op("QLinearConv", onnx.NewAttrs("pads", []int{1, 1, 1, 1}), x, scale, zero, b.Const(w), f32(b, 0.01), b.Const(tensor.Scalar(int8(0))), f32(b, 0.05), zero), f32(b, 0.05), zero))
	})
	before := m.Clone()
	arranged(t, m)
	if countOp(m.Graph, "x.QLinearConv") != 1 {
		t.Error("QLinearConv stays in ONNX's order")
	}
	same(t, before.Graph, m.Graph, r)
}
