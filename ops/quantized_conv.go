package ops

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/qconv"
	"github.com/gneiss-run/gneiss/internal/kernels/qgemm"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// intConv is a convolution of bytes: its attributes.
type intConv struct {
	autoPad                          string
	kernel, strides, dilations, pads []int
	group                            int
}

func parseIntConv(a *attrs) (*intConv, error) {
	v := &intConv{
		autoPad: a.OneOf("auto_pad", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"),
		kernel:  a.Ints("kernel_shape", nil), strides: a.Ints("strides", nil), pads: a.Ints("pads", nil), group: 1,
	}
	if a.node.Op != "QLinearAveragePool" {
		v.dilations, v.group = a.Ints("dilations", nil), a.Int("group", 1)
	}
	if v.group < 1 {
		return nil, fmt.Errorf("group is %d, want at least 1", v.group)
	}
	for _, l := range [][]int{v.kernel, v.strides, v.dilations} {
		for _, x := range l {
			if x < 1 || x > math.MaxInt32 {
				return nil, fmt.Errorf("kernel_shape %v, strides %v, dilations %v, want positive values", v.kernel, v.strides, v.dilations)
			}
		}
	}
	for _, x := range v.pads {
		if x < 0 || x > math.MaxInt32 {
			return nil, fmt.Errorf("pads are %v, want none negative", v.pads)
		}
	}
	return v, nil
}

// intKernel is the weights of a convolution of bytes.
type intKernel struct {
	shape []int
	dtype tensor.DType
	rows  []*qgemm.Rows // of each group
}

// buildIntKernel prepares input in if it is a constant.
func buildIntKernel(b *BuildContext, in, group int) (*intKernel, error) {
	t := b.Const(in)
	if t == nil || !isByte(t.DType()) {
		return nil, nil
	}
	k, err := b.Pack(in, fmt.Sprintf("qgemm/conv/%d", group), func() (any, error) { return newIntKernel(par.P{}, t, group), nil })
	if err != nil {
		return nil, err
	}
	return k.(*intKernel), nil
}

// orInput returns k or, if it is nil, what input in holds.
func (k *intKernel) orInput(c *Call, in, group int) (*intKernel, error) {
	if k != nil {
		return k, nil
	}
	t, err := byteInput(c, in, "w")
	if err != nil {
		return nil, err
	}
	return newIntKernel(c.P, t, group), nil
}

// newIntKernel prepares w. A shape that fits no convolution gives no rows:
// geometry reports it.
func newIntKernel(p par.P, w *tensor.Tensor, group int) *intKernel {
	k := &intKernel{shape: slices.Clone(w.Shape()), dtype: w.DType()}
	if w.Rank() < 3 || w.Dim(0)%group != 0 || w.Len() == 0 {
		return k
	}
	m := w.Dim(0) / group
	size := w.Len() / group
	for g := range group {
		left := qgemm.Left{M: m, K: size / m, Data: w.Bytes()[g*size : (g+1)*size], Signed: w.DType() == tensor.Int8}
		k.rows = append(k.rows, left.Prepare(p))
	}
	return k
}

// orOnes returns v, or n ones if it is nil.
func orOnes(v []int, n int) []int {
	if v != nil {
		return v
	}
	return slices.Repeat([]int{1}, n)
}

// convGeometry is one convolution with all sizes.
type convGeometry struct {
	in, kernel, out             []int // spatial
	strides, dilations, begin   []int
	batch, inC, outC            int // channels of all groups
	positions, taps, inSize, cg int
}

// intConvState is what a convolution works in.
type intConvState struct {
	convGeometry
	args    qconv.Args
	c       *Call
	scratch func(n int) []byte // of c
}

// run computes args.
func (s *intConvState) run(c *Call, n, ch int) {
	g := &s.convGeometry
	if s.c = c; s.scratch == nil {
		s.scratch = func(n int) []byte { return Scratch[uint8](s.c, n) }
	}
	s.args.N, s.args.C = n, ch
	s.args.Window = qconv.Window{In: g.in, Kernel: g.kernel, Out: g.out, Strides: g.strides, Dilations: g.dilations, Before: g.begin}
	qconv.Run(c.P, &s.args, s.scratch)
	s.convGeometry, s.args, s.c = convGeometry{}, qconv.Args{}, nil
}

// geometry sets g from the shapes of x and w, which it checks against the attributes, until the call ends.
func (v *intConv) geometry(c *Call, g *convGeometry, x, w []int) error {
	d := len(x) - 2
	if d < 1 || len(w) != len(x) {
		return fmt.Errorf("x has shape %v and w %v, want [n c d…] and [m c/group k…]", slices.Clone(x), slices.Clone(w))
	}
	if v.kernel != nil && !slices.Equal(v.kernel, w[2:]) {
		return fmt.Errorf("kernel_shape is %v, want %v as in w", v.kernel, slices.Clone(w[2:]))
	}
	if x[1] != w[1]*v.group || w[0]%v.group != 0 {
		return fmt.Errorf("x has shape %v and w %v, want %d groups of channels", slices.Clone(x), slices.Clone(w), v.group)
	}
	*g = convGeometry{in: x[2:], kernel: w[2:], batch: x[0], inC: x[1], outC: w[0], cg: w[1], taps: 1, inSize: 1, positions: 1}
	ones := c.Dims(d)
	for i := range ones {
		ones[i] = 1
	}
	g.strides, g.dilations = ones, ones
	if v.strides != nil {
		g.strides = v.strides
	}
	if v.dilations != nil {
		g.dilations = v.dilations
	}
	pads := v.pads
	if pads == nil || v.autoPad != "NOTSET" {
		pads = c.Dims(2 * d)
		clear(pads)
	}
	if len(g.strides) != d || len(g.dilations) != d || len(pads) != 2*d {
		return fmt.Errorf("%d strides, %d dilations and %d pads, want %d, %d and %d", len(g.strides), len(g.dilations), len(pads), d, d, 2*d)
	}
	g.begin, g.out = c.Dims(d), c.Dims(d)
	for i := range d {
		ext := (g.kernel[i]-1)*g.dilations[i] + 1
		before, after := pads[i], pads[i+d]
		switch v.autoPad {
		case "SAME_UPPER", "SAME_LOWER":
			n := (g.in[i] + g.strides[i] - 1) / g.strides[i]
			total := max(0, (n-1)*g.strides[i]+ext-g.in[i])
			before, after = total/2, total-total/2
			if v.autoPad == "SAME_LOWER" {
				before, after = after, before
			}
		}
		room := g.in[i] + before + after - ext
		if room < 0 || g.kernel[i] == 0 {
			return fmt.Errorf("x has shape %v with pads %v, too small for a kernel of %v", slices.Clone(x), slices.Clone(pads), slices.Clone(w[2:]))
		}
		g.begin[i], g.out[i] = before, room/g.strides[i]+1
		g.taps *= g.kernel[i]
		g.inSize *= g.in[i]
	}
	var err error
	if g.positions, err = tensor.Count(g.out); err == nil && g.positions > 0 && g.taps > math.MaxInt32/g.positions {
		err = fmt.Errorf("%w: %d positions of a kernel with %d elements", tensor.ErrSize, g.positions, g.taps)
	}
	return err
}

// offsets returns, for each tap and output position, which element of a
// channel is read, or -1 for padding.
func (g *convGeometry) offsets() []int32 {
	d := len(g.in)
	off := make([]int32, g.taps*g.positions)
	tap, pos := make([]int, d), make([]int, d)
	i := 0
	for range g.taps {
		clear(pos)
		for range g.positions {
			at := 0
			for k := range d {
				x := pos[k]*g.strides[k] + tap[k]*g.dilations[k] - g.begin[k]
				if x < 0 || x >= g.in[k] {
					at = -1
					break
				}
				at = at*g.in[k] + x
			}
			off[i] = int32(at)
			i++
			next(pos, g.out)
		}
		next(tap, g.kernel)
	}
	return off
}

// next moves idx to the next index of shape, the last dimension first.
func next(idx, shape []int) {
	for d := len(shape) - 1; d >= 0; d-- {
		if idx[d]++; idx[d] < shape[d] {
			return
		}
		idx[d] = 0
	}
}

// run computes the int32 sums of x and w. emit gets the sums of one output
// channel of one batch element at the positions [lo, lo+len(acc)).
func (v *intConv) run(c *Call, g *convGeometry, x *tensor.Tensor, w *intKernel, zx int32, zw []int32, emit func(n, ch, lo int, acc []int32)) error {
	if len(zw) > 1 && len(zw) != g.outC {
		return fmt.Errorf("w_zero_point has %d elements, want 1 or %d", len(zw), g.outC)
	}
	k, mg := g.cg*g.taps, g.outC/v.group
	if mg == 0 || g.positions == 0 || g.batch == 0 {
		return nil
	}
	if g.inSize > math.MaxInt32 {
		return fmt.Errorf("%w: %d elements in a channel", ErrUnsupported, g.inSize)
	}
	off := g.offsets()
	r := &qgemm.Right{K: k, N: g.positions, Signed: x.DType() == tensor.Int8, Data: Scratch[uint8](c, qgemm.PanelBytes(k, g.positions))}
	r.Sums = make([]int32, r.Panels()*qgemm.Width)
	flip, pad := r.Flip(), byte(zx)^r.Flip()
	acc := Scratch[int32](c, mg*g.positions)
	zero := []int32{zx}
	perTask := max(1, (1<<16)/max(1, k*mg*qgemm.Width))
	for n := range g.batch {
		for gr := range v.group {
			src := x.Bytes()[(n*g.inC+gr*g.cg)*g.inSize:]
			rows := *qgemm.Left{M: mg}.Prepare(c.P) // of an empty kernel
			if w.rows != nil {
				rows = *w.rows[gr]
			}
			rows.Zero = zw
			if len(zw) > 1 {
				rows.Zero = zw[gr*mg : (gr+1)*mg]
			}
			c.P.For(r.Panels(), perTask, func(q0, q1 int) {
				fillPanels(r.Data, src, off, g, q0, q1, flip, pad)
				r.SumPanels(q0, q1)
				qgemm.Block(&rows, 0, mg, r, zero, q0, q1, acc, g.positions)
				lo, hi := q0*qgemm.Width, min(q1*qgemm.Width, g.positions)
				for i := range mg {
					emit(n, gr*mg+i, lo, acc[i*g.positions+lo:i*g.positions+hi])
				}
			})
		}
	}
	return nil
}

// fillPanels lays what the kernel sees at the positions of panels [q0, q1) out
// as columns.
func fillPanels(data, src []byte, off []int32, g *convGeometry, q0, q1 int, flip, pad byte) {
	k, size := g.cg*g.taps, qgemm.PanelSize(g.cg*g.taps)
	for q := q0; q < q1; q++ {
		p0 := q * qgemm.Width
		w := min(qgemm.Width, g.positions-p0)
		dst := data[q*size : (q+1)*size]
		if w < qgemm.Width {
			clear(dst)
		} else if k%4 != 0 {
			clear(dst[size-4*qgemm.Width:])
		}
		for t := range g.taps {
			at := off[t*g.positions+p0 : t*g.positions+p0+w]
			// Most often the kernel sees a run of elements.
			first := int(at[0])
			run := first >= 0
			for j, o := range at {
				if int(o) != first+j {
					run = false
					break
				}
			}
			if run && g.taps == 1 && g.cg%4 == 0 {
				fillFour(dst, src[first:], w, g.cg, g.inSize, flip)
				continue
			}
			for ch := range g.cg {
				img := src[ch*g.inSize : (ch+1)*g.inSize]
				p := ch*g.taps + t
				col := dst[p/4*4*qgemm.Width+p%4:]
				if run {
					for j, v := range img[first : first+w] {
						col[j*4] = v ^ flip
					}
					continue
				}
				for j, o := range at {
					if o < 0 {
						col[j*4] = pad
					} else {
						col[j*4] = img[o] ^ flip
					}
				}
			}
		}
	}
}

// fillFour writes runs of w elements of channels, whose number is a multiple of
// 4, four at a time.
func fillFour(dst, src []byte, w, channels, size int, flip byte) {
	all := uint32(flip) * 0x01010101
	for ch := 0; ch < channels; ch += 4 {
		s0, s1, s2, s3 := src[ch*size:][:w], src[(ch+1)*size:][:w], src[(ch+2)*size:][:w], src[(ch+3)*size:][:w]
		group := dst[ch*qgemm.Width:][:4*qgemm.Width]
		for j := range s0 {
			v := uint32(s0[j]) | uint32(s1[j])<<8 | uint32(s2[j])<<16 | uint32(s3[j])<<24
			binary.LittleEndian.PutUint32(group[j*4:], v^all)
		}
	}
}

// inferIntConv gives output 0 the shape of the convolution of inputs x and w.
func inferIntConv(c *InferContext, x, w int, d tensor.DType) error {
	v, err := parseIntConv(&c.attrs)
	if err != nil {
		return err
	}
	c.Out[0] = onnx.UnrankedType(d)
	tx, tw := c.In(x), c.In(w)
	if !tx.Ranked || !tw.Ranked {
		return nil
	}
	if len(tx.Dims) < 3 || len(tx.Dims) != len(tw.Dims) {
		return fmt.Errorf("x is %v and w %v, want [n c d…] and [m c/group k…]", tx, tw)
	}
	dims := []onnx.Dim{tx.Dims[0], tw.Dims[0]}
	n := len(tx.Dims) - 2
	strides, dilations := orOnes(v.strides, n), orOnes(v.dilations, n)
	pads := v.pads
	if pads == nil || v.autoPad != "NOTSET" {
		pads = make([]int, 2*n)
	}
	if len(strides) != n || len(dilations) != n || len(pads) != 2*n {
		return fmt.Errorf("%d strides, %d dilations and %d pads, want %d, %d and %d", len(strides), len(dilations), len(pads), n, n, 2*n)
	}
	for i := range n {
		in, s := tx.Dims[i+2], onnx.Size(strides[i])
		if v.autoPad == "SAME_UPPER" || v.autoPad == "SAME_LOWER" {
			dims = append(dims, in.Add(onnx.Size(strides[i]-1)).FloorDiv(s))
			continue
		}
		ext := tw.Dims[i+2].Sub(onnx.Size(1)).Mul(onnx.Size(dilations[i])).Add(onnx.Size(1))
		dims = append(dims, in.Add(onnx.Size(pads[i]+pads[i+n])).Sub(ext).FloorDiv(s).Add(onnx.Size(1)))
	}
	c.Out[0] = onnx.TensorType(d, dims...)
	return nil
}
