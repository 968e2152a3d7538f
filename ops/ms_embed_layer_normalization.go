package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// EmbedLayerNormalization (com.microsoft): the embeddings of word, position and
// segment are added and normalized over the hidden dimension,
// output = (s - mean) / sqrt(var + epsilon) * gamma + beta.
//
//	input_ids: int32[b, t]    segment_ids (optional): int32[b, t]
//	word_embedding: T[v, h]    position_embedding: T[p, h]    segment_embedding (optional): T[s, h]
//	gamma, beta: T[h]    mask (optional): int32[b, t]    position_ids (optional): int32[b, t] or [1, t]
//	output: T[b, t, h]    mask_index (optional): int32[b], the number of ones in mask, 0 without
//	embedding_sum (optional): T[b, t, h]
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
func init() {
	register(&Op{Domain: "com.microsoft", Name: "EmbedLayerNormalization", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: Arity{7, 9}, Absent: []int{1, 4}, Out: Arity{1, 3}, Infer: inferEmbedLayerNorm, Build: buildEmbedLayerNorm, Expand: expandEmbedLayerNorm},
	}})
}

func inferEmbedLayerNorm(c *InferContext) error {
	ids, word := c.In(0), c.In(2)
	out := onnx.UnrankedType(word.DType)
	index := onnx.TensorType(tensor.Int32, onnx.Dim{})
	if len(ids.Dims) == 2 {
		var h onnx.Dim
		if len(word.Dims) == 2 {
			h = word.Dims[1]
		}
		out = onnx.TensorType(word.DType, ids.Dims[0], ids.Dims[1], h)
		index.Dims[0] = ids.Dims[0]
	}
	for i, t := range []onnx.Type{out, index, out} {
		if i < len(c.Out) {
			c.Out[i] = t
		}
	}
	return nil
}

func buildEmbedLayerNorm(b *BuildContext) (Kernel, error) {
	r := rowNorm{center: true, eps: float64(b.Float("epsilon", 1e-12))}
	b.Ignore("mask_index_type") // only tells the type of an output that has one type
	return b.realKernels(2, embedLayerNormKernel[float32](r), embedLayerNormKernel[float64](r))
}

func embedLayerNormKernel[T floating](r rowNorm) Kernel {
	return func(c *Call) error {
		it := c.T(0)
		if it == nil || it.Rank() != 2 {
			return fmt.Errorf("input_ids is %v, want 2 dimensions", it)
		}
		b, t := it.Dim(0), it.Dim(1)
		h := -1
		tables := make([][]T, 3)
		for i, name := range []string{"word_embedding", "position_embedding", "segment_embedding"} {
			e := c.T(2 + i)
			if e == nil && i == 2 {
				continue
			}
			if e == nil || e.Rank() != 2 || h >= 0 && e.Dim(1) != h {
				return fmt.Errorf("%s is %v, want 2 dimensions, the last of the size of word_embedding's", name, e)
			}
			h = e.Dim(1)
			var err error
			if tables[i], err = realsOf[T](e); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		ids, err := c.Ints(0)
		if err != nil {
			return err
		}
		segments, err := c.Ints(1)
		if err != nil {
			return err
		}
		positions, err := c.Ints(8)
		if err != nil {
			return err
		}
		if segments != nil && (tables[2] == nil || !slices.Equal(c.T(1).Shape(), it.Shape())) {
			return fmt.Errorf("segment_ids has shape %v, want that of input_ids, %v, and segment_embedding", c.T(1).Shape(), it.Shape())
		}
		if positions != nil && len(positions) != b*t && len(positions) != t {
			return fmt.Errorf("position_ids has shape %v, want [%d %d] or [1 %d]", c.T(8).Shape(), b, t, t)
		}
		gamma, err := vectorParam[T](c, 5, "gamma", h)
		if err != nil {
			return err
		}
		beta, err := vectorParam[T](c, 6, "beta", h)
		if err != nil {
			return err
		}
		if err := checkIDs("input_ids", ids, tables[0], h); err != nil {
			return err
		}
		if err := checkIDs("segment_ids", segments, tables[2], h); err != nil {
			return err
		}
		if positions == nil {
			positions = make([]int, t)
			for i := range positions {
				positions[i] = i
			}
		}
		if err := checkIDs("position_ids", positions, tables[1], h); err != nil {
			return err
		}
		if err := maskIndex(c, b, t); err != nil {
			return err
		}
		word := c.T(2).DType()
		y, done := realsOut[T](c, 0, word, b, t, h)
		sum, sumDone := []T(nil), func() {}
		if c.Wants(2) {
			sum, sumDone = realsOut[T](c, 2, word, b, t, h)
		}
		if h > 0 {
			c.P.For(b*t, 1+normGrain/h, func(lo, hi int) {
				for i := lo; i < hi; i++ {
					row := y[i*h : (i+1)*h]
					copy(row, tables[0][ids[i]*h:])
					addRow(row, tables[1][positions[i%len(positions)]*h:])
					if segments != nil {
						addRow(row, tables[2][segments[i]*h:])
					}
					if sum != nil {
						copy(sum[i*h:], row)
					}
					rowNormRow(r, row, row, gamma, beta)
				}
			})
		}
		done()
		sumDone()
		return nil
	}
}

func addRow[T floating](dst, src []T) {
	for i, v := range src[:len(dst)] {
		dst[i] += v
	}
}

func checkIDs[T floating](name string, ids []int, table []T, h int) error {
	for _, id := range ids {
		if id < 0 || h > 0 && id >= len(table)/h {
			return fmt.Errorf("%s has %d, want 0 to %d", name, id, len(table)/h-1)
		}
	}
	return nil
}

// maskIndex sets output 1 to the number of ones per row of the mask, input 7.
func maskIndex(c *Call, b, t int) error {
	if !c.Wants(1) {
		return nil
	}
	mask, err := c.Ints(7)
	if err != nil {
		return err
	}
	if mask != nil && len(mask) != b*t {
		return fmt.Errorf("mask has shape %v, want [%d %d]", c.T(7).Shape(), b, t)
	}
	index := tensor.Data[int32](c.Output(1, tensor.Int32, b))
	clear(index)
	for i, v := range mask {
		if v == 1 {
			index[i/t]++
		}
	}
	return nil
}

// expandEmbedLayerNorm: LayerNormalization of the sum of what Gather takes.
func expandEmbedLayerNorm(c *ExpandContext) ([]*onnx.Value, error) {
	ids := c.value(0)
	positions := c.value(8)
	if positions == nil {
		zero, one := c.Const(tensor.Scalar(int64(0))), c.Const(tensor.Scalar(int64(1)))
		positions = c.Op("Range", nil, zero, c.Op("Squeeze", nil, c.sizeAt(ids, 1)), one)
	}
	sum := c.Op("Add", nil, c.Op("Gather", nil, c.value(2), ids), c.Op("Gather", nil, c.value(3), positions))
	if c.Has(1) {
		if !c.Has(4) {
			return nil, fmt.Errorf("segment_ids is given without segment_embedding")
		}
		sum = c.Op("Add", nil, sum, c.Op("Gather", nil, c.value(4), c.value(1)))
	}
	c.Ignore("mask_index_type")
	y := c.Op("LayerNormalization", onnx.NewAttrs("epsilon", c.attrs.Float("epsilon", 1e-12)), sum, c.value(5), c.value(6))
	to := onnx.NewAttrs("to", int(tensor.Int32))
	ones := c.Op("Cast", to, c.Op("Expand", nil, c.Const(tensor.Scalar(int64(0))), c.sizeAt(ids, 0)))
	if mask := c.value(7); mask != nil {
		one := c.Op("Cast", to, c.Op("Equal", nil, mask, c.Const(tensor.Scalar(int32(1)))))
		ones = c.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), one, c.Builder.Ints(1))
	}
	return []*onnx.Value{y, ones, sum}, nil
}
