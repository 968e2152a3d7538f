package qconv

import (
	"bytes"
	"encoding/binary"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/quant"
	"github.com/gneiss-run/gneiss/internal/par"
)

// depth is the weights of a depthwise convolution in blocks of channels.
type depth struct {
	t        *Table
	channels int
	// of holds, for each tap of the layout, the tap of the kernel; -1: none. A
	// kernel whose weights, less their zero points, are no signed bytes has
	// each tap twice.
	of   []int
	data [][]byte
	// values are the weights [tap][channel], sums those of each channel.
	values []int16
	sums   []int32
}

func newDepth(w []byte, channels, taps int, signed bool, zero []int32) *depth {
	d := &depth{t: Best(), channels: channels, sums: make([]int32, channels)}
	values := make([]int16, channels*taps) // [tap][channel]
	twice := false
	for c := range channels {
		z := int32(0)
		if len(zero) > 0 {
			z = zero[min(c, len(zero)-1)]
		}
		for t, b := range w[c*taps : (c+1)*taps] {
			v := int32(b)
			if signed {
				v = int32(int8(b))
			}
			v -= z
			values[t*channels+c] = int16(v)
			d.sums[c] += v
			twice = twice || v < -128 || v > 127
		}
	}
	for t := range taps {
		d.of = append(d.of, t)
	}
	if twice {
		more := make([]int16, len(values))
		for i, v := range values {
			values[i] = min(max(v, -128), 127)
			more[i] = v - values[i]
		}
		values = append(values, more...)
		for t := range taps {
			d.of = append(d.of, t)
		}
	}
	for len(d.of)%d.t.Taps != 0 {
		d.of = append(d.of, -1)
		values = append(values, make([]int16, channels)...)
	}
	d.values = values
	for c := 0; c < channels; c += d.t.Width {
		d.data = append(d.data, d.t.Pack(values[c:], len(d.of), channels, min(d.t.Width, channels-c)))
	}
	return d
}

// round sets bias and scale of r.
func (d *depth) round(r *Round, zx int32, bias []int32, scale []float32, factor float32) {
	n := len(d.data) * d.t.Width
	r.bias, r.scale, r.small = make([]int32, n), make([]float32, n), true
	for c := range d.channels {
		at := c/d.t.Width*d.t.Width + d.t.Order(c%d.t.Width)
		s := scale[0]
		if len(scale) > 1 {
			s = scale[c]
		}
		s *= factor
		r.scale[at] = s
		r.small = r.small && s > -1 && s < 1
		r.bias[at] = -zx * d.sums[c]
		if bias != nil {
			r.bias[at] += bias[c]
		}
	}
}

func pair(v int32) uint32 { return uint32(uint16(v)) | uint32(uint16(v))<<16 }

// run computes a: the task is a line of the output along the last dimension.
func (d *depth) run(p par.P, a *Args) {
	last := len(a.In) - 1
	c, kw, ow, iw := a.C, a.Kernel[last], a.Out[last], a.In[last]
	stride, before, dil := a.Strides[last], a.Before[last], a.Dilations[last]
	lines, image := a.N*product(a.Out[:last]), product(a.In)*c
	// Positions [x0, x1) see no padding along the last dimension.
	x0 := min(ow, (max(before, 0)+stride-1)/stride)
	x1 := x0
	if room := iw - 1 - (kw-1)*dil + before; room >= 0 {
		x1 = max(x0, min(ow, room/stride+1))
	}
	pad := bytes.Repeat([]byte{a.Zero}, max(1, (x1-x0)*stride+1)*c)
	p.For(lines, max(1, (1<<16)/max(1, ow*c*len(d.of))), func(lo, hi int) {
		r := &rowArgs{taps: len(d.of), ptrs: make([]unsafe.Pointer, len(d.of)), xstep: stride * c, ystep: c, small: a.R.small}
		r.words = [4]uint32{pair(a.R.zero), pair(a.R.lo), pair(a.R.hi)}
		if a.R.lo < 0 {
			r.words = [4]uint32{pair(a.R.zero + 128), pair(a.R.lo + 128), pair(a.R.hi + 128), 0x80808080}
		}
		pos, tap := make([]int, last), make([]int, last)
		offsets := make([]int, a.W.Taps/kw) // of the lines that taps see; -1: padding
		at := make([]int, len(d.of))
		for l := lo; l < hi; l++ {
			n := l / (lines / a.N)
			seek(pos, a.Out[:last], l%(lines/a.N))
			x := a.X[n*image : (n+1)*image]
			for o := range offsets {
				seek(tap, a.Kernel[:last], o)
				line := 0
				for k := range last {
					y := pos[k]*a.Strides[k] - a.Before[k] + tap[k]*a.Dilations[k]
					if y < 0 || y >= a.In[k] || line < 0 {
						line = -1
						continue
					}
					line = line*a.In[k] + y
				}
				offsets[o] = line
				if line > 0 {
					offsets[o] = line * iw
				}
			}
			// from computes positions [x, x+n), all of which see the same taps.
			from := func(p0, n int) {
				for i, t := range d.of {
					at[i] = -1
					if t < 0 {
						continue
					}
					if q := p0*stride - before + t%kw*dil; offsets[t/kw] >= 0 && q >= 0 && q < iw {
						at[i] = (offsets[t/kw] + q) * c
					}
				}
				r.n = n
				for b := range d.data {
					ch := b * d.t.Width
					r.width = min(d.t.Width, c-ch)
					for i, o := range at {
						if o < 0 {
							r.ptrs[i] = unsafe.Pointer(&pad[0])
						} else {
							_ = x[o+(n-1)*r.xstep+ch+r.width-1]
							r.ptrs[i] = unsafe.Pointer(&x[o+ch])
						}
					}
					y := a.Y[(l*ow+p0)*c+ch:]
					_ = y[(n-1)*c+r.width-1]
					r.y, r.w = unsafe.Pointer(&y[0]), d.data[b]
					r.bias, r.scale = a.R.bias[ch:ch+d.t.Width], a.R.scale[ch:ch+d.t.Width]
					if r.small {
						d.t.Row(r)
					} else {
						d.slow(r, ch)
					}
				}
			}
			for i := 0; i < ow; {
				n := 1
				if i == x0 && x1 > x0 {
					n = x1 - x0
				}
				from(i, n)
				i += n
			}
		}
	})
}

// packGo is [tap][channel] as words.
func packGo(w []int16, taps, channels, width int) []byte {
	var out []byte
	for t := range taps {
		for _, v := range w[t*channels : t*channels+width] {
			out = binary.LittleEndian.AppendUint16(out, uint16(v))
		}
	}
	return out
}

func rowGo(r *rowArgs) {
	var acc [64]int32
	var out [64]byte
	scale := r.scale[:r.width]
	lo, hi, zero := int32(int16(r.words[1])), int32(int16(r.words[2])), int32(int16(r.words[0]))
	flip := byte(r.words[3])
	for i := range r.n {
		sums := acc[:r.width]
		copy(sums, r.bias)
		for t := range r.taps {
			x := unsafe.Slice((*byte)(unsafe.Add(r.ptrs[t], i*r.xstep)), r.width)
			w := r.w[t*r.width*2:][:r.width*2]
			for c, v := range x {
				sums[c] += int32(v) * int32(int16(binary.LittleEndian.Uint16(w[2*c:])))
			}
		}
		quant.RequantizeEach(out[:r.width], sums, scale, zero, lo, hi)
		y := unsafe.Slice((*byte)(unsafe.Add(r.y, i*r.ystep)), r.width)
		for c, v := range out[:r.width] {
			y[c] = v ^ flip
		}
	}
}

// slow is Row for scales that the routines of tables do not take.
func (d *depth) slow(r *rowArgs, ch int) {
	plain := *r
	plain.bias, plain.scale = make([]int32, r.width), make([]float32, r.width)
	for c := range r.width {
		plain.bias[c], plain.scale[c] = r.bias[d.t.Order(c)], r.scale[d.t.Order(c)]
	}
	plain.w = packGo(d.values[ch:], len(d.of), d.channels, r.width)
	rowGo(&plain)
}
