package quantize

import (
	"math"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// maxBias bounds a bias in units of its scale, so that as much remains of an
// int32 for the products that are added to it.
const maxBias = 1 << 30

// minUnit is the least unit of a sum, a product of two scales, that is a normal float32.
const minUnit = 0x1p-120

// biasProblem says why n cannot be quantised because of its bias b. A bias that
// can stay in floating point is noted in d.
func (p *plan) biasProblem(n *onnx.Node, d *decision, b *onnx.Value) string {
	var why string
	switch {
	case !p.constant(b):
		why = "its bias is not constant"
	case b.Const.DType() != tensor.Float32:
		why = "its bias is " + b.Const.DType().String()
	case !p.rangeOfConst(b).finite:
		return "its bias has NaN or infinite elements"
	case len(d.weight) > 0 && p.granularity(n, d.weight[0]).block > 0:
		why = "its weights have blocks"
	case !vector(b.Const):
		why = "its bias is no vector"
	}
	if why != "" && p.c.Format == QDQ {
		d.note = ", float bias"
		return ""
	}
	return why
}

// vector reports whether t has the elements of a vector in its last dimension.
func vector(t *tensor.Tensor) bool { return t.Rank() == 0 || t.Len() == t.Dim(-1) }

// biasOf returns the bias of n as n adds it, with n outputs; nil if n has none
// or it stays in floating point.
func biasOf(n *onnx.Node, d *decision, channels int) []float32 {
	i := d.op.bias
	if i == 0 || len(n.In) <= i || n.In[i] == nil || d.note != "" {
		return nil
	}
	b := tensor.Data[float32](n.In[i].Const)
	if len(b) != channels && len(b) != 1 {
		return nil
	}
	factor := float32(1)
	if n.Op == "Gemm" {
		factor, _ = onnx.Attribute(n, "beta", float32(1))
	}
	out := make([]float32, channels)
	for k := range out {
		out[k] = b[k%len(b)] * factor
	}
	return out
}

// fitScales makes the scales of weights so wide that the bias fits int32 in units
// of unit times them. Output channel k has scale k mod len(ps). A channel whose
// weights are all 0 gets a scale that represents its bias well. ok is false if a
// scale would have to change and may not, because others use it too.
func (g grid) fitScales(ps []affine, rs []Range, bias []float32, unit float64, fixed bool) (ok bool) {
	ok = true
	for k, b := range bias {
		p, r := &ps[k%len(ps)], rs[k%len(ps)]
		least := max(math.Abs(float64(b))/(unit*maxBias), minUnit/unit)
		if r.Lo == 0 && r.Hi == 0 && b != 0 && !fixed && len(bias) == len(ps) {
			p.scale = float32(max(64*least, minUnit/unit))
			continue
		}
		if float64(p.scale) >= least {
			continue
		}
		if fixed || least > math.MaxFloat32/2 {
			ok = false
			continue
		}
		*p = g.withScale(r, float32(least*(1+1e-6)))
	}
	return ok
}

// withScale returns the parameters of r with a scale that is wider than r needs.
func (g grid) withScale(r Range, scale float32) affine {
	if g.symmetric {
		return affine{scale, (g.lo + g.hi) / 2}
	}
	zero := math.RoundToEven(float64(g.lo) - min(float64(r.Lo), 0)/float64(scale))
	return affine{scale, int(min(max(zero, float64(g.lo)), float64(g.hi)))}
}

// quantizeBias returns the bias as int32 with zero points of 0 and, for each
// channel, the scale unit·scales.
func quantizeBias(bias []float32, unit float64, scales []float32) integers {
	q := integers{codes: tensor.New(tensor.Int32, len(bias)), scale: tensor.New(tensor.Float32, len(bias)), zero: tensor.New(tensor.Int32, len(bias)), by: granularity{axis: 0}}
	if len(scales) == 1 {
		q.scale, q.zero, q.by = tensor.New(tensor.Float32), tensor.New(tensor.Int32), perTensor
	}
	own := tensor.Data[float32](q.scale)
	for i := range own {
		own[i] = float32(unit * float64(scales[i%len(scales)]))
	}
	for i, b := range bias {
		tensor.Data[int32](q.codes)[i] = int32(math.RoundToEven(float64(b) / float64(own[i%len(own)])))
	}
	return q
}
