package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Loop: runs body while its condition holds, at most M times. Iteration i gets
// i, the condition and the loop-carried values, and gives the next condition,
// the next carried values and one element of each scan output.
//
//	M: int64, one element, absent: no bound    cond: bool, one element, absent: true
//	v_initial: V…, values of any kind          outputs: the carried values after the last
//	                                           iteration, then scan outputs [iterations, …]
//
// All elements of a scan output must have one shape. Without an iteration its
// shape is that of the body's declared output with a 0 in front.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Loop.html
func init() {
	register(&Op{
		Name: "Loop",
		Versions: []Version{
			{Since: 1, In: Arity{3, Many}, Absent: []int{0, 1}, Out: Arity{1, Many}, Infer: inferLoop, Build: buildLoop},
			// There need be no loop-carried value any more. Later versions widen the types.
			{Since: 11, In: Arity{2, Many}, Absent: []int{0, 1}, Out: Arity{1, Many}, Infer: inferLoop, Build: buildLoop},
		},
	})
}

func inferLoop(c *InferContext) error {
	carried := max(c.NumIn()-2, 0)
	g, err := bodyOf(&c.attrs, "body", carried+2, -1)
	if err != nil {
		return err
	}
	if k := len(g.Outputs) - 1; k < carried || k < len(c.Out) {
		return fmt.Errorf("attribute \"body\" has %d outputs, want %d", k+1, max(carried, len(c.Out))+1)
	}
	init := make([]onnx.Type, carried)
	for i := range init {
		init[i] = c.In(i + 2)
	}
	iter := onnx.Type{Kind: onnx.TensorKind, DType: tensor.Int64, Ranked: true, Dims: oneElement(g.Inputs[0].Type)}
	cond := onnx.Type{Kind: onnx.TensorKind, DType: tensor.Bool, Ranked: true, Dims: oneElement(g.Inputs[1].Type)}
	var last []onnx.Type
	final, err := carriedTypes(init, func(cur []onnx.Type) ([]onnx.Type, error) {
		out, err := c.Body(g, append([]onnx.Type{iter, cond}, cur...))
		if err != nil {
			return nil, err
		}
		last = out[1:]
		return last, nil
	})
	if err != nil {
		return fmt.Errorf("body: %w", err)
	}
	for i := range c.Out {
		if i < carried {
			c.Out[i] = final[i]
			continue
		}
		c.Out[i] = onnx.Type{Kind: onnx.TensorKind, DType: last[i].DType}
		// Without an iteration, dimensions that only a run tells are 0.
		if t := last[i]; t.Ranked {
			dims := make([]onnx.Dim, len(t.Dims)+1)
			for j, d := range t.Dims {
				if _, ok := d.Size(); ok {
					dims[j+1] = d
				}
			}
			c.Out[i].Ranked, c.Out[i].Dims = true, dims
		}
	}
	return nil
}

// oneElement returns the dims of the counter or condition that a body
// declares: a scalar, or a vector of one as some exporters write.
func oneElement(declared onnx.Type) []onnx.Dim {
	if declared.Rank() == 1 {
		return onnx.Sizes(1)
	}
	return nil
}

// loopState is what a Loop keeps between runs: memory for lists.
type loopState struct {
	nested
	appended []appender
	scans    []stacker
}

// begin returns the scan outputs.
func (s *loopState) begin(carried, scans int) []stacker {
	s.appended = slices.Grow(s.appended[:0], carried)[:carried]
	s.scans = slices.Grow(s.scans[:0], scans)[:scans]
	for i := range s.appended {
		s.appended[i].reset()
	}
	for i := range s.scans {
		s.scans[i].begin()
	}
	return s.scans
}

// end lets go of all values.
func (s *loopState) end() {
	clear(s.args)
	clear(s.out)
	s.begin(len(s.appended), len(s.scans))
}

func buildLoop(b *BuildContext) (Kernel, error) {
	body, err := b.Body("body")
	if err != nil {
		return nil, err
	}
	carried := b.NumIn() - 2
	in, out := body.In(), body.Out()
	switch {
	case len(in) != carried+2:
		return nil, fmt.Errorf("body has %d inputs, want %d", len(in), carried+2)
	case len(out) < carried+1:
		return nil, fmt.Errorf("body has %d outputs, want at least %d", len(out), carried+1)
	case len(b.Node.Out) > len(out)-1:
		return nil, fmt.Errorf("%d outputs, want %d", len(b.Node.Out), len(out)-1)
	}
	var shapes [2][]int // of the counter and the condition
	for i := range shapes {
		shapes[i] = []int{}
		if in[i].Rank() == 1 {
			shapes[i] = []int{1}
		}
	}
	grows := grown(b.Graph("body"), carried)
	return func(c *Call) error {
		s := State[loopState](c)
		defer s.end()
		trips, hint := math.MaxInt, 0
		if m := c.T(0); m != nil {
			if m.DType() != tensor.Int64 || m.Len() != 1 {
				return fmt.Errorf("M is %v, want one int64", m)
			}
			trips = tensor.Int(tensor.Data[int64](m)[0])
			hint = max(trips, 0)
		}
		cond := true
		if c.Has(1) {
			var err error
			if cond, err = oneBool(c.In[1], "cond"); err != nil {
				return err
			}
		}
		scans := s.begin(carried, max(len(c.Out)-carried, 0))
		args := s.arguments(2 + carried)
		res := s.results(1 + carried + len(scans))
		state := args[2:]
		copy(state, c.In[2:])
		for i := range state {
			if grows[i] && s.appended[i].begin(c, state[i]) {
				state[i] = s.appended[i].none
			}
		}
		for i := 0; i < trips && cond; i++ {
			iter, on := c.Lend(tensor.Int64, shapes[0]), c.Lend(tensor.Bool, shapes[1])
			tensor.Data[int64](iter)[0], tensor.Data[bool](on)[0] = int64(i), true
			args[0], args[1] = iter, on
			err := runBody(c, body, args, res)
			if err != nil {
				return err
			}
			c.Free(iter)
			c.Free(on)
			if cond, err = oneBool(res[0], "the condition of the body"); err != nil {
				return err
			}
			c.Free(res[0])
			for j := range state {
				if a := &s.appended[j]; a.none == nil {
					c.Free(state[j])
					state[j] = res[1+j]
				} else if err := a.add(res[1+j]); err != nil {
					return err
				}
			}
			for j := range scans {
				v := res[1+carried+j]
				if err := scans[j].add(c, v, hint); err != nil {
					return err
				}
				c.Free(v)
			}
		}
		if err := c.Ctx().Err(); err != nil {
			return err
		}
		for i := range state {
			if a := &s.appended[i]; a.none != nil {
				a.finish(c, i)
			} else if err := c.Pass(i, state[i]); err != nil {
				return err
			}
		}
		for j := range scans {
			if err := scans[j].finish(c, carried+j, out[1+carried+j]); err != nil {
				return err
			}
		}
		return nil
	}, nil
}
