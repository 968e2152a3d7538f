package runtime_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// nest builds random graphs of vectors of three float32 and sequences of such, with graphs in
// graphs, in which values pass through, are captured, carried twice and put into sequences.
type nest struct {
	*rand.Rand
	t     *testing.T
	names int
}

// scope is what the nodes of a graph can read: its own values and those around it.
type scope struct {
	b         *ops.Builder
	vecs, seq []*onnx.Value
}

var vec3 = onnx.TensorType(tensor.Float32, onnx.Size(3))

func (n *nest) vec(s *scope) *onnx.Value { return s.vecs[n.IntN(len(s.vecs))] }

func (n *nest) list(s *scope) *onnx.Value {
	if len(s.seq) == 0 || n.IntN(4) == 0 {
		return s.b.Op("SequenceConstruct", nil, n.vec(s), n.vec(s))
	}
	return s.seq[n.IntN(len(s.seq))]
}

// body returns a graph within s: its inputs of the types given are first what skip says are no vectors.
func (n *nest) body(s *scope, depth, skip, states, lists, parts int, outs func(in *scope, args []*onnx.Value) []*onnx.Value) *onnx.Graph {
	n.names++
	g := s.b.G.NewBody(fmt.Sprintf("body%d", n.names))
	in := &scope{ops.NewBuilder(g), append([]*onnx.Value{}, s.vecs...), append([]*onnx.Value{}, s.seq...)}
	var args []*onnx.Value
	add := func(t onnx.Type) *onnx.Value {
		n.names++
		v := g.AddInput(fmt.Sprintf("arg%d", n.names), t)
		args = append(args, v)
		return v
	}
	if skip > 0 {
		add(onnx.TensorType(tensor.Int64))
		add(onnx.TensorType(tensor.Bool))
	}
	for range states {
		in.vecs = append(in.vecs, add(vec3))
	}
	for range lists {
		in.seq = append(in.seq, add(onnx.Type{Kind: onnx.SequenceKind, Elem: &vec3}))
	}
	for range parts {
		in.vecs = append(in.vecs, add(vec3))
	}
	n.steps(in, depth+1, 1+n.IntN(5))
	out := outs(in, args)
	require.NoError(n.t, in.b.Err())
	in.b.Insert(nil)
	for i, v := range out { // an output must be a node's
		if v.From == nil || v.From.Graph != g {
			out[i] = in.b.Op("Identity", nil, v)
			in.b.Insert(nil)
		}
	}
	g.Outputs = out
	return g
}

func (n *nest) steps(s *scope, depth, count int) {
	b := s.b
	index := func(i int64) *onnx.Value { return b.Const(tensor.Scalar(i)) }
	for range count {
		kind := n.IntN(12)
		if depth > 3 {
			kind = n.IntN(8)
		}
		switch kind {
		case 0, 1:
			s.vecs = append(s.vecs, b.Op("Tanh", nil, b.Op("Add", nil, n.vec(s), n.vec(s))))
		case 2:
			s.vecs = append(s.vecs, b.Op("Mul", nil, n.vec(s), n.vec(s)))
		case 3:
			s.vecs = append(s.vecs, b.Op("Identity", nil, n.vec(s)))
		case 4:
			flat := b.Op("Reshape", nil, n.vec(s), b.Const(tensor.Of([]int64{1, 3}, 2)))
			s.vecs = append(s.vecs, b.Op("Squeeze", nil, flat, b.Const(tensor.Of([]int64{0}, 1))))
		case 5:
			s.vecs = append(s.vecs, b.Op("Neg", nil, n.vec(s)))
		case 6:
			s.seq = append(s.seq, b.Op("SequenceInsert", nil, n.list(s), n.vec(s)))
		case 7:
			s.vecs = append(s.vecs, b.Op("SequenceAt", nil, n.list(s), index(int64(n.IntN(2)))))
		case 8, 9: // If
			cond := b.Op("Less", nil, b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), n.vec(s)), b.Const(tensor.Scalar(float32(n.NormFloat64()/4))))
			branch := func() *onnx.Graph {
				return n.body(s, depth, 0, 0, 0, 0, func(in *scope, _ []*onnx.Value) []*onnx.Value {
					return []*onnx.Value{n.vec(in), n.vec(in), n.list(in)}
				})
			}
			y := b.Ops("", "If", onnx.NewAttrs("then_branch", branch(), "else_branch", branch()), 3, cond)
			s.vecs, s.seq = append(s.vecs, y[0], y[1]), append(s.seq, y[2])
		case 10: // Loop
			g := n.body(s, depth, 2, 2, 1, 0, func(in *scope, args []*onnx.Value) []*onnx.Value {
				return []*onnx.Value{in.b.Op("Identity", nil, args[1]), n.vec(in), n.vec(in), n.list(in), n.vec(in)}
			})
			y := b.Ops("", "Loop", onnx.NewAttrs("body", g), 4, index(int64(n.IntN(4))), nil, n.vec(s), n.vec(s), n.list(s))
			s.vecs = append(s.vecs, y[0], y[1], b.Op("Tanh", nil, b.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), y[3], b.Const(tensor.Of([]int64{0}, 1)))))
			s.seq = append(s.seq, y[2])
		case 11: // Scan
			g := n.body(s, depth, 0, 1, 0, 1, func(in *scope, _ []*onnx.Value) []*onnx.Value {
				return []*onnx.Value{n.vec(in), n.vec(in), n.vec(in)}
			})
			rows := b.Op("Reshape", nil, b.Op("Concat", onnx.NewAttrs("axis", 0), n.vec(s), n.vec(s)), b.Const(tensor.Of([]int64{2, 3}, 2)))
			y := b.Ops("", "Scan", onnx.NewAttrs("body", g, "num_scan_inputs", 1), 3, n.vec(s), rows)
			s.vecs = append(s.vecs, y[0], b.Op("ReduceMax", onnx.NewAttrs("keepdims", 0), y[1], b.Const(tensor.Of([]int64{0}, 1))),
				b.Op("Slice", nil, b.Op("Reshape", nil, y[2], b.Const(tensor.Of([]int64{-1}, 1))), b.Const(tensor.Of([]int64{3}, 1)), b.Const(tensor.Of([]int64{6}, 1))))
		}
		require.NoError(n.t, b.Err())
	}
}

// TestRandomBodies compares graphs in graphs, whose values use memory again, with an evaluation that
// takes new memory for each.
func TestRandomBodies(t *testing.T) {
	for seed := range uint64(150) {
		if seed == 75 {
			runtime.SmallRegions(t)
		}
		n := &nest{Rand: rand.New(rand.NewPCG(seed, 1)), t: t}
		m, g, b := model()
		s := &scope{b: b}
		in := map[string]tensor.Value{}
		for i := range 3 {
			v := g.AddInput(fmt.Sprintf("x%d", i), vec3)
			in[v.Name] = f32([]int{3}, float32(n.NormFloat64()), float32(n.NormFloat64()), float32(n.NormFloat64()))
			s.vecs = append(s.vecs, v)
		}
		n.steps(s, 0, 3+n.IntN(8))
		var outs []*onnx.Value
		for i := range 4 {
			v := b.Op("Identity", nil, n.vec(s))
			if i == 3 {
				v = b.Op("Identity", nil, n.list(s))
			}
			v.Name = fmt.Sprintf("y%d", i)
			outs = append(outs, v)
		}
		require.NoError(t, b.Err())
		b.Insert(nil)
		g.Outputs = outs

		plain, err := optest.Bodies(nil)(g)
		require.NoError(t, err)
		want, args := make([]tensor.Value, len(outs)), make([]tensor.Value, len(g.Inputs))
		for i, v := range g.Inputs {
			args[i] = in[v.Name]
		}
		require.NoError(t, plain.Run(&ops.Call{}, args, want), seed)

		for _, level := range []optimize.Level{optimize.None, optimize.Best} {
			r := open(t, m, runtime.Options{Level: level, Threads: 1 + int(seed%2)})
			var all []map[string]tensor.Value
			dest := map[string]tensor.Value{"y0": tensor.New(tensor.Float32, 3), "y1": tensor.New(tensor.Float32, 3), "y3": nil}
			for k := range 5 {
				if k%2 == 1 {
					require.NoError(t, r.RunInto(bg, in, dest), seed)
					require.NoError(t, near(dest["y0"], want[0]), seed)
					require.NoError(t, near(dest["y1"], want[1]), seed)
					require.NoError(t, near(dest["y3"], want[3]), seed)
					dest["y3"] = nil
					continue
				}
				res, err := r.Run(bg, in)
				require.NoError(t, err, seed)
				all = append(all, res)
			}
			for _, res := range all { // results stay as they are when there are later runs
				for i, v := range outs {
					require.NoError(t, near(res[v.Name], want[i]), "seed %d level %v output %d", seed, level, i)
				}
			}
		}
	}
}

func near(got, want tensor.Value) error {
	return tensor.Compare(got, want, tensor.Tolerance{Rel: 1e-4, Abs: 1e-5})
}
