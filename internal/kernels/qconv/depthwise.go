package qconv

import (
	"encoding/binary"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/quant"
	"github.com/gneiss-run/gneiss/internal/par"
)

// depth is the weights of a depthwise convolution in blocks of channels.
type depth struct {
	t        *Table
	channels int
	// of holds, for each tap of the layout, the tap of the kernel; -1: none. Where a
	// table takes bytes, a kernel whose weights, less their zero points, are no signed
	// bytes has each tap twice, or three times with 255, which is more than 127 + 127.
	of   []int
	real int // of these
	data [][]byte
	// values are the weights [tap][channel], sums those of each channel.
	values []int16
	sums   []int32
}

func newDepth(w []byte, channels, taps int, signed bool, zero []int32) *depth {
	d := &depth{t: Best(), channels: channels, sums: make([]int32, channels)}
	values := make([]int16, channels*taps) // [tap][channel]
	least, most := int16(0), int16(0)
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
			least, most = min(least, int16(v)), max(most, int16(v))
		}
	}
	for t := range taps {
		d.of = append(d.of, t)
	}
	for part := values; !d.t.Words && (least < -128 || most > 127); least, most = least+128, most-127 {
		more := make([]int16, len(part))
		for i, v := range part {
			part[i] = min(max(v, -128), 127)
			more[i] = v - part[i]
		}
		values = append(values, more...)
		part = values[len(values)-len(more):]
		for t := range taps {
			d.of = append(d.of, t)
		}
	}
	d.real = len(d.of)
	for len(d.of)%d.t.Taps != 0 {
		d.of = append(d.of, -1)
		values = append(values, make([]int16, channels)...)
	}
	d.values = values
	for b := range (channels + d.t.Width - 1) / d.t.Width {
		c := blockAt(b, d.t.Width, channels, d.t.Whole)
		d.data = append(d.data, d.t.Pack(values[c:], len(d.of), channels, min(d.t.Width, channels-c)))
	}
	return d
}

// round sets bias, scale and shift of r.
func (d *depth) round(r *Round, zx int32, bias []int32, scale []float32, factor float32, shift []float32) {
	n := len(d.data) * d.t.Width
	if len(r.bias) != n {
		r.bias, r.scale, r.shift = make([]int32, n), make([]float32, n), make([]float32, n)
	}
	r.small = true
	for b := range d.data {
		first := blockAt(b, d.t.Width, d.channels, d.t.Whole)
		width := min(d.t.Width, d.channels-first)
		for i := range width {
			c, at := first+i, b*d.t.Width+d.t.Order(i, width)
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
			if r.shift[at] = 0; shift != nil {
				r.shift[at] = shift[c]
			}
		}
	}
}

func pair(v int32) uint32 { return uint32(uint16(v)) | uint32(uint16(v))<<16 }

// run computes a.
func (d *depth) run(p par.P, a *Args) {
	words := [4]uint32{pair(a.R.zero), pair(a.R.lo), pair(a.R.hi)}
	if a.R.lo < 0 {
		words = [4]uint32{pair(a.R.zero + 128), pair(a.R.lo + 128), pair(a.R.hi + 128), 0x80808080}
	}
	w := walker{n: a.N, c: a.C, window: &a.Window, x: a.X, y: a.Y, size: 1, of: d.of, width: d.t.Width, whole: d.t.Whole, pad: a.Zero, d: d, round: a.R, words: words}
	if a.F != nil {
		w.y, w.size = unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(a.F))), 4*len(a.F)), 4
		w.floats, w.act = a.F, a.Act
	}
	walk(p, w)
}

// block sets what r takes from the weights and from o.
func (d *depth) block(r *rowArgs, o *Round, block int) {
	ch := block * d.t.Width
	r.w, r.real = d.data[block], d.real
	r.bias, r.scale, r.shift = o.bias[ch:ch+d.t.Width], o.scale[ch:ch+d.t.Width], o.shift[ch:ch+d.t.Width]
}

func inOrder(c, _ int) int { return c }

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
	var out [64]byte
	lo, hi, zero := int32(int16(r.words[1])), int32(int16(r.words[2])), int32(int16(r.words[0]))
	flip := byte(r.words[3])
	sumRows(r, func(i int, sums []int32) {
		quant.RequantizeEach(out[:r.width], sums, r.scale[:r.width], zero, lo, hi)
		y := unsafe.Slice((*byte)(unsafe.Add(r.y, i*r.ystep)), r.width)
		for c, v := range out[:r.width] {
			y[c] = v ^ flip
		}
	})
}

// floatsGo takes weights as packGo leaves them.
func floatsGo(r *rowArgs) {
	sumRows(r, func(i int, sums []int32) {
		y := unsafe.Slice((*float32)(unsafe.Add(r.y, i*r.ystep)), r.width)
		for c, v := range sums {
			y[c] = float32(float32(v)*r.scale[c]) + r.shift[c]
		}
	})
}

// sumRows calls emit with the sums of each position.
func sumRows(r *rowArgs, emit func(i int, sums []int32)) {
	var acc [64]int32
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
		emit(i, sums)
	}
}

// slow is Row for scales that the routines of tables do not take.
func (d *depth) slow(r *rowArgs, ch int) {
	plain := *r
	plain.width = min(r.width, d.channels-ch)
	plain.bias, plain.scale = make([]int32, plain.width), make([]float32, plain.width)
	for c := range plain.width {
		plain.bias[c], plain.scale[c] = r.bias[d.t.Order(c, plain.width)], r.scale[d.t.Order(c, plain.width)]
	}
	plain.w = packGo(d.values[ch:], len(d.of), d.channels, plain.width)
	rowGo(&plain)
}
