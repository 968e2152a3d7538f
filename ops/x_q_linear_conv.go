package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/qconv"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.QLinearConv is QLinearConv with the channels of x and y last, one to three
// spatial dimensions and one more bound: the values of y are kept within the
// attributes min and max, which are the bounds of its type unless given.
//
//	x: u8 or i8 [n, d…, c]          x_scale, x_zero_point: one
//	w: u8 or i8 [m, c/group, k…]    w_scale, w_zero_point: one or [m]
//	y: type of y_zero_point [n, e…, m]    B: int32 [m]
//
// Spec: https://onnx.ai/onnx/operators/onnx__QLinearConv.html
func init() {
	register(&Op{
		Domain: "x", Name: "QLinearConv", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: Arity{8, 9}, Out: N(1), Infer: inferLast(func(c *InferContext) error {
				c.Int("min", 0)
				c.Int("max", 0)
				return inferQLinearConv(c)
			}), Build: func(b *BuildContext) (Kernel, error) {
				return buildLastQLinearConv(b, &lastQConv{bounded: [2]bool{b.HasAttr("min"), b.HasAttr("max")}, min: b.Int("min", 0), max: b.Int("max", 0)})
			}},
		},
	})
}

// lastQConv is an x.QLinearConv: what was prepared of its constants.
type lastQConv struct {
	v        *intConv
	min, max int
	bounded  [2]bool
	weights  *lastIntWeights
	times    int          // how often channels are repeated, so that each output channel has its own
	round    *qconv.Round // nil: another parameter is not constant
	xType    tensor.DType // x's, with round
	zx       byte         // x's zero point as an unsigned byte, with round
	yType    tensor.DType // y's, with round
}

// buildLastQLinearConv builds k, of which the bounds are set.
func buildLastQLinearConv(b *BuildContext, k *lastQConv) (Kernel, error) {
	v, err := parseIntConv(&b.attrs)
	if err != nil {
		return nil, err
	}
	k.v, k.times = v, 1
	group := v.group
	if t := b.Const(3); t != nil && t.Rank() > 2 {
		k.times = depthMultiplier(t.Shape(), group)
		v.group *= k.times
	}
	if k.weights, err = v.buildLastWeights(b, 3, 5); err != nil {
		return nil, err
	}
	if k.weights == nil {
		k.times, v.group = 1, group
	}
	if params, d := constantInputs(b, 0, 3), b.In(0).DType; k.weights != nil && params != nil && isByte(d) {
		if k.round, k.zx, k.yType, err = k.rounding(params, k.weights.w, k.weights.dtype, d); err != nil {
			return nil, err
		}
		k.xType = d
	}
	return k.run, nil
}

// rounding makes what follows from the parameters of a call for inputs of type d.
func (k *lastQConv) rounding(c *Call, w *qconv.Weights, wd, d tensor.DType) (*qconv.Round, byte, tensor.DType, error) {
	fail := func(err error) (*qconv.Round, byte, tensor.DType, error) { return nil, 0, 0, err }
	qx, err := quantParamsOf(c, 1, d, "x")
	if err != nil {
		return fail(err)
	}
	sw, err := scalesOf(c, 4, "w_scale")
	if err != nil {
		return fail(err)
	}
	zw, err := zeroPoints(c.T(5), wd, "w_zero_point")
	if err != nil {
		return fail(err)
	}
	zt, err := byteInput(c, 7, "y_zero_point")
	if err != nil {
		return fail(err)
	}
	qy, err := quantParamsOf(c, 6, zt.DType(), "y")
	if err != nil {
		return fail(err)
	}
	if len(sw) != 1 && len(sw) != w.M {
		return fail(fmt.Errorf("w_scale has %d elements, want 1 or %d", len(sw), w.M))
	}
	var bias []int32
	if t := c.T(8); t != nil {
		if t.DType() != tensor.Int32 || t.Len() != w.M {
			return fail(fmt.Errorf("B is %v, want int32 [%d]", t, w.M))
		}
		bias = tensor.Data[int32](t)
	}
	lo, hi := byteRange(zt.DType())
	if k.bounded[0] {
		lo = int32(max(int(lo), k.min))
	}
	if k.bounded[1] {
		hi = int32(min(int(hi), k.max))
	}
	if lo > hi {
		return fail(fmt.Errorf("min is %d and max %d, want them in order and within %v", k.min, k.max, zt.DType()))
	}
	zx := qx.zero
	if d == tensor.Int8 {
		zx += 128
	}
	scale := make([]float32, len(sw))
	for i, s := range sw {
		scale[i] = qx.scale * s / qy.scale
	}
	return qconv.NewRound(w, zx, zw, bias, scale, 1, qy.zero, lo, hi), byte(zx), zt.DType(), nil
}

func (k *lastQConv) run(c *Call) error {
	x, err := byteInput(c, 0, "x")
	if err != nil {
		return err
	}
	w, err := k.weights.orInput(c, k.v, 3, 5)
	if err != nil {
		return err
	}
	n, in, ch, err := lastShape(x.Shape())
	if err != nil {
		return err
	}
	pixels := x.Bytes()
	if k.times > 1 {
		pixels, ch = repeatChannels(c, pixels, k.times), ch*k.times
	}
	st := State[intConvState](c)
	if err := k.v.geometry(c, &st.convGeometry, lastFirst(c, n, ch, in), w.shape); err != nil {
		return err
	}
	round, zx, yType := k.round, k.zx, k.yType
	if round == nil || k.xType != x.DType() {
		if round, zx, yType, err = k.rounding(c, w.w, w.dtype, x.DType()); err != nil {
			return err
		}
	}
	y := c.Output(0, yType, lastDims(c.Dims(len(in)+2), n, st.out, st.outC)...)
	st.args = qconv.Args{X: pixels, Y: y.Bytes(), Signed: x.DType() == tensor.Int8, Zero: zx, W: w.w, R: round}
	st.run(c, n, ch)
	return nil
}
