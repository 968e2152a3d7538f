package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// embedder is a session whose inputs are known by their use; it is safe for
// concurrent use.
type embedder struct {
	s          *gneiss.Session
	ids        gneiss.ValueInfo
	mask, kind *gneiss.ValueInfo // attention_mask and token_type_ids; nil: the model has none
	output     string
	pad        int
}

// newEmbedder finds what the model of s takes and gives.
func newEmbedder(s *gneiss.Session, output string, pad int) (*embedder, error) {
	e := &embedder{s: s, output: output, pad: pad}
	for _, in := range s.Inputs() {
		switch {
		case in.Name == "input_ids":
			e.ids = in
		case in.Name == "attention_mask":
			e.mask = &in
		case in.Name == "token_type_ids":
			e.kind = &in
		case in.Optional:
			continue
		default:
			return nil, fmt.Errorf("input %q is not one that the program knows", in.Name)
		}
		if t := in.Type; t.Kind != onnx.TensorKind || t.DType != tensor.Int64 && t.DType != tensor.Int32 || t.Ranked && len(t.Dims) != 2 {
			return nil, fmt.Errorf("input %q is %v, want int64[batch,length] or int32", in.Name, t)
		}
	}
	if e.ids.Name == "" {
		return nil, errors.New("no input input_ids; this is not a model of text")
	}
	if e.output == "" {
		e.output = s.Outputs()[0].Name
		if slices.ContainsFunc(s.Outputs(), func(o gneiss.ValueInfo) bool { return o.Name == "last_hidden_state" }) {
			e.output = "last_hidden_state"
		}
	}
	return e, nil
}

// embed returns a vector of length 1 for each sentence, none of which is empty.
func (e *embedder) embed(ctx context.Context, sentences [][]int) ([][]float32, error) {
	longest := 0
	for _, s := range sentences {
		longest = max(longest, len(s))
	}
	in := map[string]gneiss.Value{}
	fill := func(info *gneiss.ValueInfo, value func(sentence []int, i int) int) {
		if info == nil {
			return
		}
		t := tensor.New(info.Type.DType, len(sentences), longest)
		for k, s := range sentences {
			for i := range longest {
				v := value(s, i)
				if t.DType() == tensor.Int32 {
					gneiss.Data[int32](t)[k*longest+i] = int32(v)
				} else {
					gneiss.Data[int64](t)[k*longest+i] = int64(v)
				}
			}
		}
		in[info.Name] = t
	}
	fill(&e.ids, func(s []int, i int) int {
		if i < len(s) {
			return s[i]
		}
		return e.pad
	})
	fill(e.mask, func(s []int, i int) int {
		if i < len(s) {
			return 1
		}
		return 0
	})
	fill(e.kind, func([]int, int) int { return 0 })
	out, err := e.s.Run(ctx, in, e.output)
	if err != nil {
		return nil, err
	}
	t, ok := out[e.output].(*gneiss.Tensor)
	tokens := ok && t.DType().IsFloat() && t.Rank() == 3 && t.Dim(1) == longest
	pooled := ok && t.DType().IsFloat() && t.Rank() == 2
	if !tokens && !pooled || t.Dim(0) != len(sentences) || t.Len() == 0 {
		return nil, fmt.Errorf("output %q is %v, want float[%d,%d,width] or float[%d,width]", e.output, out[e.output], len(sentences), longest, len(sentences))
	}
	x := gneiss.Data[float32](tensor.Widen(t))
	vs := make([][]float32, len(sentences))
	for k, s := range sentences {
		rows := x[k*len(x)/len(sentences):][:len(x)/len(sentences)]
		width := t.Dim(t.Rank() - 1)
		if tokens {
			rows = rows[:len(s)*width]
		}
		if vs[k], err = mean(rows, width); err != nil {
			return nil, fmt.Errorf("output %q: %w", e.output, err)
		}
	}
	return vs, nil
}

// mean returns the mean of rows of the given width, scaled to length 1.
func mean(rows []float32, width int) ([]float32, error) {
	sum := make([]float64, width)
	for row := range slices.Chunk(rows, width) {
		for i, v := range row {
			sum[i] += float64(v)
		}
	}
	square := 0.0
	for _, v := range sum { // the scale of the sum does not matter
		square += v * v
	}
	if !(square > 0) || math.IsInf(square, 0) {
		return nil, fmt.Errorf("a vector of length %v has no direction", math.Sqrt(square))
	}
	out := make([]float32, width)
	for i, v := range sum {
		out[i] = float32(v / math.Sqrt(square))
	}
	return out, nil
}
