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
