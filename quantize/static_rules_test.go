package quantize

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// residual is a small network with all that convolutional ones have.
func residual(t *testing.T, opset int) *onnx.Model {
	return newModel(t, opset, func(b *ops.Builder) []*onnx.Value {
		pads := onnx.NewAttrs("pads", []int{1, 1, 1, 1})
		x := input(b, "x", 1, 3, 8, 8)
		c1 := named("c1", b.Op("Conv", pads, x, param(b, "w1", 8, 3, 3, 3), param(b, "b1", 8)))
		r1 := named("r1", b.Op("Relu", nil, c1))
		c2 := named("c2", b.Op("Conv", pads, r1, param(b, "w2", 8, 8, 3, 3), param(b, "b2", 8)))
		sum := named("sum", b.Op("Add", nil, c2, r1))
		r2 := named("r2", b.Op("Relu", nil, sum))
		p := named("p", b.Op("MaxPool", onnx.NewAttrs("kernel_shape", []int{2, 2}, "strides", []int{2, 2}), r2))
		f := named("f", b.Op("Flatten", nil, p))
		g := named("g", b.Op("Gemm", onnx.NewAttrs("transB", 1), f, param(b, "w3", 10, 128), param(b, "b3", 10)))
		return one(b.Op("Softmax", nil, g))
	})
}

func TestStaticResidual(t *testing.T) {
	m := residual(t, 13)
	require.Equal(t, []string{"x", "r1", "c2", "r2"}, Activations(m, StaticConfig{}))
	q, s := quantised(t, m, StaticConfig{})
	require.Equal(t, len(m.Graph.Nodes)-1, s.Changed())
	require.Equal(t, "what it computes is returned and no product reads it", reasonOf(t, s, "y0"))
	require.Equal(t, "QuantizeLinear DequantizeLinear DequantizeLinear DequantizeLinear Conv Relu QuantizeLinear DequantizeLinear "+
		"DequantizeLinear DequantizeLinear Conv QuantizeLinear DequantizeLinear Add Relu QuantizeLinear DequantizeLinear "+
		"MaxPool QuantizeLinear DequantizeLinear Flatten QuantizeLinear DequantizeLinear "+
		"DequantizeLinear DequantizeLinear Gemm Softmax", opsOf(q))
	scales := map[string]string{}
	names := map[string]bool{}
	for _, n := range q.Graph.Nodes {
		if n.Op == "QuantizeLinear" {
			scales[n.Out[0].Name] = n.In[1].Name + " " + n.In[2].Name
		}
		names[n.Out[0].Name] = true
	}
	require.Equal(t, map[string]string{
		"x_q": "x_scale zero_point_uint8_128", "r1_q": "r1_scale zero_point_uint8_0", "c2_q": "c2_scale zero_point_uint8_115",
		"r2_q": "r2_scale zero_point_uint8_0", "p_q": "r2_scale zero_point_uint8_0", "f_q": "r2_scale zero_point_uint8_0",
	}, scales)
	require.True(t, names["w1_dq"] && names["b3_dq"])
	var format string
	for _, c := range s.Changes {
		if c.Node == "c1" {
			format = c.Format
		}
	}
	require.Equal(t, "uint8 x int8 per channel", format)

	// What is written is what the runtime's rules join to integer kernels.
	r, err := optimize.Run(q.Clone(), optimize.Machine, optimize.Options{})
	require.NoError(t, err)
	require.Equal(t, []int{2, 1, 1}, []int{r.Counts["qdq-conv"], r.Counts["qdq-gemm"], r.Counts["qdq-binary"]}, r)
	for _, c := range []StaticConfig{{}, {Format: QOperator}, {Activations: tensor.Int8, PerTensor: true}} {
		q, _ := quantised(t, m, c)
		requireNear(t, m, q, optimize.Best, 0.05, 1, 2, 3)
	}

	q, _ = quantised(t, m, StaticConfig{Format: QOperator})
	require.Equal(t, "QuantizeLinear QLinearConv QLinearConv QLinearAdd MaxPool Flatten QGemm QLinearSoftmax DequantizeLinear", opsOf(q))
	q, _ = quantised(t, m, StaticConfig{Format: QOperator, Activations: tensor.Int8, SymmetricActivations: true})
	require.Equal(t, "QuantizeLinear QLinearConv Clip QLinearConv QLinearAdd Clip MaxPool Flatten QGemm QLinearSoftmax DequantizeLinear", opsOf(q))
}

// Quantising twice the same way gives the same bytes.
func TestStaticDeterministic(t *testing.T) {
	m := residual(t, 13)
	for _, c := range []StaticConfig{{}, {Format: QOperator}} {
		rs := calibrate(t, m, c, 1)
		var first []byte
		for range 3 {
			q := m.Clone()
			_, err := Static(q, rs, c)
			require.NoError(t, err)
			data, err := onnx.Encode(q)
			require.NoError(t, err)
			if first == nil {
				first = data
			}
			require.Equal(t, first, data)
		}
	}
}

// Each name of Activations is needed, and no other is.
func TestActivations(t *testing.T) {
	for _, cfg := range []StaticConfig{{}, {Format: QOperator}} {
		for _, c := range opCases {
			m := newModel(t, max(17, c.opset), c.build)
			rs := calibrate(t, m, cfg, 1)
			_, all := static(t, m, rs, cfg)
			for name := range rs {
				less := Ranges{}
				for k, r := range rs {
					if k != name {
						less[k] = r
					}
				}
				_, s := static(t, m, less, cfg)
				require.Less(t, s.Changed(), all.Changed(), "%s %s", c.op, name)
				require.True(t, slices.ContainsFunc(s.Changes, func(c Change) bool { return c.Reason == `no calibration range for "`+name+`"` }), s.Changes)
			}
		}
	}
	require.Empty(t, Activations(residual(t, 13), StaticConfig{Weights: tensor.Float32}))
}

func TestStaticRanges(t *testing.T) {
	m := newModel(t, 17, func(b *ops.Builder) []*onnx.Value {
		return one(b.Op("LeakyRelu", nil, named("h", b.Op("LeakyRelu", nil, input(b, "x", 2, 3)))))
	})
	q, s := static(t, m, Ranges{"x": {0, 0}, "h": {2, 2}, "y0": {-1, 0}}, StaticConfig{})
	require.Equal(t, 2, s.Changed())
	scale := map[string]float32{}
	for _, v := range q.Graph.Consts {
		if v.Const.DType() == tensor.Float32 {
			scale[v.Name] = tensor.Data[float32](v.Const)[0]
		}
	}
	require.Equal(t, map[string]float32{"x_scale": 1, "h_scale": 2.0 / 255, "y0_scale": 1.0 / 255}, scale)
	inf := float32(math.Inf(1))
	for r, want := range map[Range]string{
		{0, inf}:                       `the calibration range of "h" is not finite: 0 to +Inf`,
		{2, 1}:                         `the calibration range of "h" is not finite: 2 to 1`,
		{-math.MaxFloat32, 1}:          `the range of "h" is too wide for integers: -3.4028235e+38 to 1`,
		{float32(math.NaN()), 1}:       `the calibration range of "h" is not finite: NaN to 1`,
		{float32(-tooWide) * 2, -1e-3}: `the range of "h" is too wide for integers: -2e+09 to -0.001`,
	} {
		_, s := static(t, m, Ranges{"x": {0, 1}, "h": r, "y0": {0, 1}}, StaticConfig{})
		require.Equal(t, want, reasonOf(t, s, "h"))
		require.Equal(t, "what it reads is computed in floating point", reasonOf(t, s, "y0"))
	}
}

// An opset that lacks what the integers need is raised.
func TestStaticOpset(t *testing.T) {
	for _, c := range []struct {
		from, want int
		ir         int64
		c          StaticConfig
	}{
		{9, 10, 8, StaticConfig{PerTensor: true}},
		{11, 11, 8, StaticConfig{PerTensor: true}},
		{11, 13, 8, StaticConfig{}},
		{11, 13, 8, StaticConfig{PerTensor: true, Format: QOperator}},
		{13, 21, 10, StaticConfig{Weights: tensor.Int4}},
		{17, 21, 10, StaticConfig{Activations: tensor.Uint16}},
		{17, 21, 10, StaticConfig{BlockSize: 32}},
		{22, 22, 10, StaticConfig{}},
	} {
		m := residual(t, c.from)
		q, s := quantised(t, m, c.c)
		left := 1 // the Softmax that is returned
		if c.c.Format == QOperator {
			left = 0
		}
		require.Equal(t, len(m.Graph.Nodes)-left, s.Changed(), s.Changes)
		require.Equal(t, c.want, q.Opsets[""])
		require.Equal(t, c.ir, q.IRVersion)
	}
}

// A file of weights becomes about a quarter, or an eighth with 4 bits.
func TestStaticBytes(t *testing.T) {
	m := newModel(t, 13, func(b *ops.Builder) []*onnx.Value {
		h := named("h", b.Op("Relu", nil, named("g", b.Op("Gemm", nil, input(b, "x", 1, 256), param(b, "w1", 256, 512), param(b, "b1", 512)))))
		return one(b.Op("MatMul", nil, h, param(b, "w2", 512, 128)))
	})
	whole, err := onnx.Encode(m)
	require.NoError(t, err)
	for d, part := range map[tensor.DType]float64{tensor.Int8: 0.27, tensor.Int4: 0.15, tensor.Int16: 0.52} {
		q, s := quantised(t, m, StaticConfig{Weights: d})
		data, err := onnx.Encode(q)
		require.NoError(t, err)
		require.Less(t, float64(len(data)), part*float64(len(whole)), d)
		require.EqualValues(t, constBytes(m.Graph), s.Before)
		require.EqualValues(t, constBytes(q.Graph), s.After)
	}
}

func TestStaticRefuses(t *testing.T) {
	m := residual(t, 13)
	for want, c := range map[string]StaticConfig{
		"float32 is no type to quantise to": {Weights: tensor.Float32},
		"activations are of 8 or 16 bits":   {Activations: tensor.Int4},
		"use qdq":                           {Format: QOperator, Activations: tensor.Int16},
		"blocks of 1 weights":               {BlockSize: 1},
		"not both":                          {BlockSize: 8, PerTensor: true},
		"there is no format 7":              {Format: 7},
		`no node "cone"`:                    {Selection: Selection{Exclude: []string{"cone"}}},
		`no "Convolution"`:                  {Selection: Selection{Ops: []string{"Convolution"}}},
	} {
		_, err := Static(m, Ranges{}, c)
		require.ErrorContains(t, err, want)
	}
	require.Equal(t, "qdq qoperator", QDQ.String()+" "+QOperator.String())

	// Nothing to quantise is no error, and changes nothing.
	before := m.Graph
	s, err := Static(m, nil, StaticConfig{})
	require.NoError(t, err)
	require.Same(t, before, m.Graph)
	require.Zero(t, s.Changed())
	require.Equal(t, s.Before, s.After)
	require.Equal(t, `no calibration range for "x"`, reasonOf(t, s, "c1"))
	_, err = Static(&onnx.Model{Opsets: map[string]int{"": 13}}, nil, StaticConfig{})
	require.ErrorIs(t, err, onnx.ErrInvalid)

	// Of a quantised model nothing is left; of one that is quantised in part, the rest is.
	q, _ := quantised(t, m, StaticConfig{})
	_, err = Static(q, Ranges{}, StaticConfig{})
	require.ErrorIs(t, err, ErrQuantized)
	only := StaticConfig{Selection: Selection{Ops: []string{"Gemm"}}}
	q, _ = quantised(t, m, only)
	q, s = quantised(t, q, StaticConfig{})
	require.Equal(t, "it is quantised already", reasonOf(t, s, "g"))
	require.Equal(t, "", reasonOf(t, s, "c1"))
	requireNear(t, m, q, optimize.Best, 0.05, 1)
}

// Before opset 11 the value that Pad puts in is an attribute.
func TestStaticPadAttribute(t *testing.T) {
	m := newModel(t, 10, func(b *ops.Builder) []*onnx.Value {
		h := named("h", b.Op("LeakyRelu", nil, input(b, "x", 2, 3)))
		return one(b.Op("Pad", onnx.NewAttrs("pads", []int{0, 1, 0, 0}, "value", 9.0), h))
	})
	q, s := quantised(t, m, StaticConfig{PerTensor: true})
	require.Equal(t, 2, s.Changed())
	require.Equal(t, 10, q.Opsets[""])
	requireNear(t, m, q, optimize.Best, 0.1, 1)
}

// A bias behind a MatMul is not rounded twice: the runtime adds it to the sums.
func TestStaticColumnBias(t *testing.T) {
	m := newModel(t, 17, func(b *ops.Builder) []*onnx.Value {
		h := named("h", b.Op("MatMul", nil, input(b, "x", 2, 3, 8), param(b, "w", 8, 6)))
		s := named("s", b.Op("Add", nil, h, param(b, "bias", 6)))
		a := named("a", b.Op("Add", nil, s, input(b, "r", 2, 3, 6)))
		return one(b.Op("MatMul", nil, a, param(b, "v", 6, 2)))
	})
	require.Equal(t, []string{"x", "s", "r", "a"}, Activations(m, StaticConfig{}))
	q, s := quantised(t, m, StaticConfig{})
	require.Equal(t, 4, s.Changed())
	r, err := optimize.Run(q.Clone(), optimize.Machine, optimize.Options{})
	require.NoError(t, err)
	require.Equal(t, []int{2, 1}, []int{r.Counts["qdq-matmul-float"], r.Counts["qdq-binary"]}, r)
	// Without the range of the sum, the product is rounded if it has one.
	rs := Ranges{"x": {-3, 3}, "r": {-3, 3}, "h": {-9, 9}, "a": {-9, 9}}
	_, s = static(t, m, rs, StaticConfig{})
	require.Equal(t, "", reasonOf(t, s, "h"))
	require.Equal(t, `no calibration range for "s"`, reasonOf(t, s, "s"))
}

// Samples without padding do not show what a mask adds: it stays in floating
// point, so that the quantised model ignores what is masked as the original does.
func TestStaticMask(t *testing.T) {
	for op, build := range map[string]func(b *ops.Builder, scores, mask *onnx.Value) *onnx.Value{
		"Add": func(b *ops.Builder, scores, mask *onnx.Value) *onnx.Value { return b.Op("Add", nil, scores, mask) },
		"Sub": func(b *ops.Builder, scores, mask *onnx.Value) *onnx.Value {
			return b.Op("Sub", nil, scores, b.Op("Neg", nil, mask))
		},
		"Where": func(b *ops.Builder, scores, mask *onnx.Value) *onnx.Value {
			zero := b.Const(tensor.Scalar(float32(0)))
			return b.Op("Where", nil, b.Op("Less", nil, mask, zero), b.Const(tensor.Scalar(float32(-1e6))), scores)
		},
	} {
		m := newModel(t, 13, func(b *ops.Builder) []*onnx.Value {
			scores := named("scores", b.Op("MatMul", nil, input(b, "x", 2, 4), param(b, "w", 4, 4)))
			masked := named("masked", build(b, scores, input(b, "mask", 1, 4)))
			return one(b.Op("MatMul", nil, b.Op("Softmax", nil, masked), b.Const(tensor.Of([]float32{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}, 4, 4))))
		})
		in := func(mask float32) data.Batch {
			x := tensor.Of([]float32{1, -2, 0.5, 3, -1, 2, 1, 0.25}, 2, 4)
			return data.Batch{Inputs: map[string]*tensor.Tensor{"x": x, "mask": tensor.Of([]float32{0, 0, mask, 0}, 1, 4)}}
		}
		q := m.Clone()
		ranges, err := Calibrate(context.Background(), m, data.Of(in(0)), CalibrateConfig{Values: Activations(m, StaticConfig{})})
		require.NoError(t, err)
		s, err := Static(q, ranges, StaticConfig{})
		require.NoError(t, err)
		require.Contains(t, reasonOf(t, s, "masked"), "masks what a Softmax reads")
		require.Equal(t, "", reasonOf(t, s, "scores"))
		session, err := runtime.New(q, runtime.Options{})
		require.NoError(t, err)
		out, err := session.Run(context.Background(), in(-1e6).Values())
		require.NoError(t, err)
		for _, v := range out {
			y := tensor.Data[float32](v.(*tensor.Tensor))
			require.Equal(t, []float32{0, 0}, []float32{y[2], y[6]}, op)
			require.Positive(t, y[0])
		}
		require.NoError(t, session.Close())
	}
}

// A Sigmoid or Tanh of small values has the scale of what samples gave, a Softmax that of [0, 1].
func TestStaticCalibratedBounds(t *testing.T) {
	for _, c := range []struct {
		op     string
		format StaticFormat
		want   float32
	}{{"Sigmoid", QDQ, 0.51 / 255}, {"Sigmoid", QOperator, 0.51 / 255}, {"HardSigmoid", QDQ, 0.51 / 255}, {"HardSigmoid", QOperator, 0.51 / 255},
		{"Tanh", QDQ, 0.51 / 255}, {"Tanh", QOperator, 1. / 127}, {"Softmax", QDQ, 1. / 255}, {"Softmax", QOperator, 1. / 255}} {
		m := newModel(t, 17, func(b *ops.Builder) []*onnx.Value { return one(b.Op(c.op, nil, input(b, "x", 2, 3))) })
		cfg := StaticConfig{Format: c.format}
		rs := Ranges{"x": {-0.1, 0.1}, "y0": {0, 0.51}}
		require.Equal(t, c.op != "Softmax" && !(c.op == "Tanh" && c.format == QOperator), slices.Contains(Activations(m, cfg), "y0"), "%s %v", c.op, c.format)
		q, s := static(t, m, rs, cfg)
		require.Equal(t, 1, s.Changed(), s.Changes)
		scale := tensor.Data[float32](q.Graph.Outputs[0].From.In[1].Const)[0]
		require.InEpsilon(t, c.want, scale, 1e-6, "%s %v", c.op, c.format)
	}
}

// A Relu behind a normalization or difference takes its floats: rounded before it, half of
// the integers would stand for what it makes 0.
func TestStaticNormsEnd(t *testing.T) {
	for name, norm := range map[string]func(b *ops.Builder, x *onnx.Value) *onnx.Value{
		"BatchNormalization": func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			variance := param(b, "variance", 4)
			for i := range tensor.Data[float32](variance.Const) {
				tensor.Data[float32](variance.Const)[i] = float32(i + 1)
			}
			return b.Op("BatchNormalization", nil, x, param(b, "scale", 4), param(b, "bias", 4), param(b, "mean", 4), variance)
		},
		"InstanceNormalization": func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			return b.Op("InstanceNormalization", nil, x, param(b, "scale", 4), param(b, "bias", 4))
		},
		"LayerNormalization": func(b *ops.Builder, x *onnx.Value) *onnx.Value {
			return b.Op("LayerNormalization", nil, x, param(b, "scale", 5))
		},
		"Sub": func(b *ops.Builder, x *onnx.Value) *onnx.Value { return b.Op("Sub", nil, x, param(b, "bias", 4, 1, 1)) },
	} {
		m := newModel(t, 17, func(b *ops.Builder) []*onnx.Value {
			x := named("c", b.Op("Conv", nil, input(b, "x", 1, 3, 5, 5), param(b, "w", 4, 3, 1, 1)))
			return one(b.Op("Conv", nil, named("r", b.Op("Relu", nil, named("n", norm(b, x)))), param(b, "weights", 4, 4, 1, 1)))
		})
		require.Equal(t, []string{"x", "c", "r", "y0"}, slices.DeleteFunc(Activations(m, StaticConfig{}), func(v string) bool { return v == "bias" }), name)
		q, s := quantised(t, m, StaticConfig{})
		require.Equal(t, 4, s.Changed(), name)
		for _, level := range []optimize.Level{optimize.None, optimize.Machine} {
			requireNear(t, m, q, level, 0.15, 1, 2)
		}
	}
}
