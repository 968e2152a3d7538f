package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// channelsLast reorders a tensor [n, c, d…] to [n, d…, c].
func channelsLast(v tensor.Value) tensor.Value {
	t, ok := v.(*tensor.Tensor)
	if !ok || t.Rank() < 2 {
		return v
	}
	s := t.Shape()
	n, c := s[0], s[1]
	inner := 1
	for _, d := range s[2:] {
		inner *= d
	}
	y := tensor.New(t.DType(), append(append([]int{n}, s[2:]...), c)...)
	src, dst, size := t.Bytes(), y.Bytes(), t.DType().Size()
	for b := range n {
		for j := range c {
			for i := range inner {
				copy(dst[((b*inner+i)*c+j)*size:][:size], src[((b*c+j)*inner+i)*size:])
			}
		}
	}
	return y
}

// lastCases turns cases of an operator into cases of its twin of domain x.
// which lists the inputs that have channels.
func lastCases(cases []Case, which ...int) []Case {
	for i := range cases {
		c := &cases[i]
		c.Domain = "x"
		for _, j := range which {
			if j < len(c.In) && c.In[j] != nil {
				c.In[j] = channelsLast(c.In[j])
			}
		}
		for j := range c.Want {
			c.Want[j] = channelsLast(c.Want[j])
		}
	}
	return cases
}

// halved is a tensor as float16.
func halved(v *tensor.Tensor) *tensor.Tensor {
	h := tensor.New(tensor.Float16, v.Shape()...)
	tensor.Narrow(h, v)
	return h
}

func TestLastConv(t *testing.T) {
	x, w := count(1, 1, 5, 5), ones(1, 1, 3, 3)
	at := onnx.NewAttrs
	padded := F32([]int{1, 1, 5, 5}, 12, 21, 27, 33, 24, 33, 54, 63, 72, 51, 63, 99, 108, 117, 81, 93, 144, 153, 162, 111, 72, 111, 117, 123, 84)
	x7 := count(1, 1, 7, 5)
	two := F32([]int{1, 1, 3}, 1, -2, 3)
	// 32 equal channels, 3x3: what Winograd's method is for.
	large, largeWant := tensor.New(tensor.Float32, 1, 32, 16, 18), tensor.New(tensor.Float32, 1, 32, 16, 18)
	for i := range tensor.Data[float32](large) {
		tensor.Data[float32](large)[i] = float32(i%18) / 32
		col, row := i%18, i/18%16
		sum := 3 * col
		switch col {
		case 0:
			sum = 1
		case 17:
			sum = 16 + 17
		}
		rows := 3
		if row == 0 || row == 15 {
			rows = 2
		}
		tensor.Data[float32](largeWant)[i] = float32(sum * rows)
	}
	z := F32([]int{1, 1, 2}, 10, -10)
	pair, half := ones(1, 1, 2), F32([]int{1}, 0.5)
	Run(t, lastCases([]Case{
		{Name: "pads", Op: "Conv", Attrs: at("kernel_shape", []int{3, 3}, "pads", []int{1, 1, 1, 1}), In: Vals(x, w), Want: Vals(padded)},
		{Name: "float16", Op: "Conv", Attrs: at("pads", []int{1, 1, 1, 1}), In: Vals(halved(x), halved(w)), Want: Vals(halved(padded))},
		{Name: "weights of 16 bits", Op: "Conv", Attrs: at("pads", []int{1, 1, 1, 1}), In: Vals(x, halved(w)), Const: []int{1}, Want: Vals(padded)},
		{Name: "strides and pads", Op: "Conv", Attrs: at("strides", []int{2, 2}, "pads", []int{1, 1, 1, 1}), In: Vals(x7, w),
			Want: Vals(F32([]int{1, 1, 4, 3}, 12, 27, 24, 63, 108, 81, 123, 198, 141, 112, 177, 124))},
		{Name: "pads along one dimension", Op: "Conv", Attrs: at("strides", []int{2, 2}, "pads", []int{1, 0, 1, 0}), In: Vals(x7, w),
			Want: Vals(F32([]int{1, 1, 4, 2}, 21, 33, 99, 117, 189, 207, 171, 183))},
		{Name: "same lower", Op: "Conv", Attrs: at("auto_pad", "SAME_LOWER", "strides", []int{2, 2}), In: Vals(x, w),
			Want: Vals(F32([]int{1, 1, 3, 3}, 12, 27, 24, 63, 108, 81, 72, 117, 84))},
		{Name: "same upper, even kernel", Op: "Conv", Attrs: at("auto_pad", "SAME_UPPER"), In: Vals(count(1, 1, 4), pair), Want: Vals(F32([]int{1, 1, 4}, 1, 3, 5, 3))},
		{Name: "valid", Op: "Conv", Attrs: at("auto_pad", "VALID"), In: Vals(count(1, 1, 4), pair), Want: Vals(F32([]int{1, 1, 3}, 1, 3, 5))},
		{Name: "dilations", Op: "Conv", Attrs: at("dilations", []int{2}), In: Vals(count(1, 1, 5), pair), Want: Vals(F32([]int{1, 1, 3}, 2, 4, 6))},
		{Name: "groups and bias", Op: "Conv", Attrs: at("group", 2), In: Vals(count(1, 4, 2), F32([]int{2, 2, 1}, 1, 10, 1, 100), F32([]int{2}, 0.5, -1)),
			Want: Vals(F32([]int{1, 2, 2}, 20.5, 31.5, 603, 704))},
		{Name: "depthwise", Op: "Conv", Attrs: at("group", 2), In: Vals(count(1, 2, 3), F32([]int{4, 1, 2}, 1, 0, 0, 1, 1, 1, 2, 0)),
			Want: Vals(F32([]int{1, 4, 2}, 0, 1, 1, 2, 7, 9, 6, 8))},
		{Name: "three dimensions", Op: "Conv", In: Vals(count(1, 1, 2, 2, 2), ones(1, 1, 2, 2, 2), F32([]int{1}, 2)), Want: Vals(F32([]int{1, 1, 1, 1, 1}, 30))},
		{Name: "large", Op: "Conv", Attrs: at("pads", []int{1, 1, 1, 1}), In: Vals(large, ones(32, 32, 3, 3)), Want: Vals(largeWant), Tol: tensor.Tolerance{Abs: 1e-3, Rel: 1e-4}},
		{Name: "float64", Op: "Conv", In: Vals(F64([]int{1, 1, 3}, 1, 2, 3), F64([]int{1, 1, 2}, 1, 1)), Want: Vals(F64([]int{1, 1, 2}, 3, 5))},
		{Name: "cropped", Op: "Conv", Attrs: at("pads", []int{-1, 0}), In: Vals(count(1, 1, 5), pair), Want: Vals(F32([]int{1, 1, 3}, 3, 5, 7))},
		{Name: "no batch", Op: "Conv", In: Vals(count(0, 1, 5), pair), Want: Vals(F32([]int{0, 1, 4}))},
		{Name: "no channels", Op: "Conv", In: Vals(count(1, 0, 3), ones(1, 0, 2), half), Want: Vals(F32([]int{1, 1, 2}, 0.5, 0.5))},
		{Name: "bias", Op: "Conv", In: Vals(two, pair, half), Want: Vals(F32([]int{1, 1, 2}, -0.5, 1.5))},
		{Name: "relu", Op: "Conv", Attrs: at("activation", "Relu"), In: Vals(two, pair, half), Want: Vals(F32([]int{1, 1, 2}, 0, 1.5))},
		{Name: "summand and relu", Op: "Conv", Attrs: at("activation", "Relu"), In: Vals(two, pair, half, z), Want: Vals(F32([]int{1, 1, 2}, 9.5, 0))},
		{Name: "summand and leaky relu", Op: "Conv", Attrs: at("activation", "LeakyRelu", "activation_params", []float64{0.5}), In: Vals(two, pair, nil, z),
			Want: Vals(F32([]int{1, 1, 2}, 9, -4.5))},
		{Name: "clip", Op: "Conv", Attrs: at("activation", "Clip", "activation_params", []float64{0, 6}), In: Vals(two, pair, half, z), Want: Vals(F32([]int{1, 1, 2}, 6, 0))},
		{Op: "Conv", In: Vals(two, pair, half, two), Want: Vals(x), Err: "Z is float32 [1 3 1]"},
		{Op: "Conv", In: Vals(x, ones(1, 2, 3, 3)), Want: Vals(x), Err: "want"},
		{Op: "Conv", In: Vals(x, ones(1, 1, 6, 6)), Want: Vals(x), Err: "smaller than the kernel"},
		{Op: "Conv", Attrs: at("kernel_shape", []int{2, 2}), In: Vals(x, w), Want: Vals(x), Err: "[2 2]"},
		{Op: "Conv", Attrs: at("strides", []int{0, 1}), In: Vals(x, w), Want: Vals(x), Err: "strides is [0 1]"},
		{Op: "Conv", Attrs: at("activation", "Nothing"), In: Vals(x, w), Want: Vals(x), Err: "Nothing"},
		{Op: "Conv", In: Vals(x, w, ones(2)), Want: Vals(x), Err: "B is float32 [2]"},
		{Op: "Conv", In: Vals(ones(2, 2), ones(2, 2)), Want: Vals(x), Err: "1 to 3 spatial dimensions"},
		{Op: "Conv", In: Vals(ones(1, 1, 1, 1, 1, 1), ones(1, 1, 1, 1, 1, 1)), Want: Vals(x), Err: "1 to 3 spatial dimensions"},
	}, 0, 3))
}

// planes computes a convolution with one padding and one stride for both dimensions.
func planes(x, w *tensor.Tensor, group, pad, stride int) *tensor.Tensor {
	n, c, h, width, m, cg, kh, kw := x.Dim(0), x.Dim(1), x.Dim(2), x.Dim(3), w.Dim(0), w.Dim(1), w.Dim(2), w.Dim(3)
	oh, ow := (h+2*pad-kh)/stride+1, (width+2*pad-kw)/stride+1
	y := tensor.New(tensor.Float32, n, m, oh, ow)
	for i := range y.Len() {
		col, row, out, image := i%ow*stride-pad, i/ow%oh*stride-pad, i/ow/oh%m, i/ow/oh/m
		var sum float32
		for k := range cg * kh * kw {
			q, r, ch := col+k%kw, row+k/kw%kh, out/(m/group)*cg+k/kw/kh
			if r >= 0 && r < h && q >= 0 && q < width {
				sum += tensor.Data[float32](w)[out*cg*kh*kw+k] * tensor.Data[float32](x)[((image*c+ch)*h+r)*width+q]
			}
		}
		tensor.Data[float32](y)[i] = sum
	}
	return y
}

// The input in parts of its channels is what Concat makes of them.
func TestLastConvParts(t *testing.T) {
	as := map[tensor.DType]func(*tensor.Tensor) *tensor.Tensor{
		tensor.Float16: halved,
		tensor.Float32: func(v *tensor.Tensor) *tensor.Tensor { return v },
		tensor.Float64: func(v *tensor.Tensor) *tensor.Tensor {
			y := tensor.New(tensor.Float64, v.Shape()...)
			for i, f := range tensor.Data[float32](v) {
				tensor.Data[float64](y)[i] = float64(f)
			}
			return y
		},
	}
	var cases []Case
	add := func(name string, d tensor.DType, group, pad, stride int, x, w []int, widths ...int) {
		whole, weights := tensor.New(tensor.Float32, x...), tensor.New(tensor.Float32, w...)
		for i := range weights.Len() {
			tensor.Data[float32](weights)[i] = float32(i*5%7) - 3
		}
		in, from, pixels := make([]tensor.Value, 4), 0, x[2]*x[3]
		in[1] = as[d](weights)
		for k, c := range widths {
			part := tensor.New(tensor.Float32, x[0], c, x[2], x[3])
			for i := range part.Len() {
				q, image := from*pixels+i%(c*pixels), i/(c*pixels)
				v := float32((q*3+image)%5) - 2
				tensor.Data[float32](part)[i], tensor.Data[float32](whole)[image*x[1]*pixels+q] = v, v
			}
			from += c
			if k == 0 {
				in[0] = as[d](part)
			} else {
				in = append(in, as[d](part))
			}
		}
		c := Case{Name: name, Op: "Conv", Attrs: onnx.NewAttrs("group", group, "pads", []int{pad, pad, pad, pad}, "strides", []int{stride, stride}),
			In: in, Want: Vals(as[d](planes(whole, weights, group, pad, stride))), Tol: tensor.Tolerance{Abs: 1e-3, Rel: 1e-4}}
		cases = append(cases, c)
	}
	add("pixels", tensor.Float32, 1, 0, 1, []int{2, 16, 5, 7}, []int{9, 16, 1, 1}, 4, 8, 4)
	add("few pixels", tensor.Float32, 1, 0, 1, []int{2, 16, 2, 3}, []int{9, 16, 1, 1}, 5, 11)
	add("strides", tensor.Float32, 1, 0, 2, []int{2, 6, 9, 8}, []int{3, 6, 1, 1}, 1, 5)
	add("taps", tensor.Float32, 1, 1, 1, []int{2, 40, 9, 8}, []int{33, 40, 3, 3}, 8, 32)
	add("few outputs", tensor.Float32, 1, 0, 1, []int{2, 40, 9, 8}, []int{1, 40, 1, 1}, 8, 32)
	add("depthwise", tensor.Float32, 24, 0, 1, []int{2, 24, 5, 6}, []int{24, 1, 3, 3}, 16, 8)
	add("groups of several outputs", tensor.Float32, 12, 0, 1, []int{1, 12, 5, 6}, []int{24, 1, 1, 1}, 5, 0, 7)
	add("float64", tensor.Float64, 1, 0, 1, []int{2, 6, 5, 7}, []int{3, 6, 1, 1}, 2, 4)
	add("float16", tensor.Float16, 1, 0, 1, []int{2, 6, 5, 7}, []int{3, 6, 1, 1}, 2, 4)
	x, w := ones(1, 2, 5, 5), ones(3, 4, 1, 1)
	cases = append(cases,
		Case{Op: "Conv", In: Vals(x, w, nil, nil, ones(1, 2, 5, 4)), Want: Vals(x), Err: "input 4 is float32 [1 5 4 2], X is float32 [1 5 5 2]"},
		Case{Op: "Conv", In: Vals(x, w, nil, nil, as[tensor.Float64](x)), Want: Vals(x), Err: "input 4 is float64"},
		Case{Op: "Conv", In: Vals(x, w, nil, nil, ones(1, 2, 5)), Want: Vals(x), Err: "input 4 is float32 [1 5 2]"},
		Case{Op: "Conv", In: Vals(x, w, nil, nil, x, x), Want: Vals(x), Err: "has 6 channels in all"},
		Case{Op: "Conv", In: Vals(x, w, nil, nil, nil, x), Want: Vals(x), Err: "input 4 is"})
	Run(t, lastCases(cases, 0, 3, 4, 5))
}

// Depthwise convolutions with several outputs of each channel.
func TestLastConvMultiplier(t *testing.T) {
	const n, h, w, k, stride = 2, 9, 7, 3, 2
	const outH, outW = 5, 4
	var cases []Case
	for _, s := range [][2]int{{20, 2}, {11, 3}, {33, 8}, {9, 9}} {
		c, m := s[0], s[0]*s[1]
		x, wt, bias := tensor.New(tensor.Float32, n, c, h, w), tensor.New(tensor.Float32, m, 1, k, k), tensor.New(tensor.Float32, m)
		for j, v := range []*tensor.Tensor{x, wt, bias} {
			for i := range v.Len() {
				tensor.Data[float32](v)[i] = float32((i*7+j)%13) - 6
			}
		}
		y := tensor.New(tensor.Float32, n, m, outH, outW)
		for i := range y.Len() {
			col, row, out, image := i%outW, i/outW%outH, i/outW/outH%m, i/outW/outH/m
			sum := tensor.Data[float32](bias)[out]
			for a := range k {
				for b := range k {
					r, q := row*stride-1+a, col*stride-1+b
					if r >= 0 && r < h && q >= 0 && q < w {
						sum += tensor.Data[float32](wt)[(out*k+a)*k+b] * tensor.Data[float32](x)[((image*c+out/s[1])*h+r)*w+q]
					}
				}
			}
			tensor.Data[float32](y)[i] = sum
		}
		cases = append(cases, Case{Op: "Conv", Attrs: onnx.NewAttrs("group", c, "strides", []int{stride, stride}, "pads", []int{1, 1, 1, 1}), In: Vals(x, wt, bias), Want: Vals(y)})
	}
	Run(t, lastCases(cases, 0, 3))
}
