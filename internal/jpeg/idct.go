package jpeg

// place returns the samples of a block, from its first one on.
func (c *component) place(at int) []byte {
	return c.pix[at/c.stride*c.stride*64+at%c.stride*8:]
}

// transform computes the samples of a progressive image.
func (d *decoder) transform() {
	if !d.progressive {
		return // done block by block
	}
	for i := range d.comps {
		c := &d.comps[i]
		for at := range len(c.coef) / 64 {
			var b [64]int32
			var ac int16
			q := (*[64]int16)(c.coef[at*64:])
			for k, v := range q {
				b[k] = int32(v) * c.quant[k]
				if k > 0 {
					ac |= v
				}
			}
			inverse(&b, ac == 0, c.place(at), c.stride*8)
		}
	}
}

// The factors of the transform in 13 bits: sums of cosines of Loeffler,
// Ligtenberg and Moschytz, in the form with 12 multiplications where no path has
// more than one of them.
const (
	fixBits  = 13
	passBits = 2 // kept between the passes

	fix0_298631336 = 2446
	fix0_390180644 = 3196
	fix0_541196100 = 4433
	fix0_765366865 = 6270
	fix0_899976223 = 7373
	fix1_175875602 = 9633
	fix1_501321110 = 12299
	fix1_847759065 = 15137
	fix1_961570560 = 16069
	fix2_053119869 = 16819
	fix2_562915447 = 20995
	fix3_072711026 = 25172
)

// inverse writes the 8 x 8 samples whose transform is b, row by row, already
// multiplied by the quantization table. dcOnly says that all but b[0] are 0.
func inverse(b *[64]int32, dcOnly bool, dst []byte, stride int) {
	if dcOnly {
		// Both passes are exact shifts then, but for the last rounding.
		v := clamp((b[0]<<passBits+1<<(passBits+2))>>(passBits+3) + 128)
		for y := range 8 {
			row := dst[y*stride : y*stride+8]
			for x := range row {
				row[x] = v
			}
		}
		return
	}
	var v [8]int32
	for x := range 8 {
		if b[8+x]|b[16+x]|b[24+x]|b[32+x]|b[40+x]|b[48+x]|b[56+x] == 0 {
			dc := b[x] << passBits
			for y := range 8 {
				b[8*y+x] = dc
			}
			continue
		}
		for y := range 8 {
			v[y] = b[8*y+x]
		}
		inverse1(&v)
		for y := range 8 {
			b[8*y+x] = (v[y] + 1<<(fixBits-passBits-1)) >> (fixBits - passBits)
		}
	}
	for y := range 8 {
		copy(v[:], b[8*y:8*y+8])
		inverse1(&v)
		row := dst[y*stride : y*stride+8]
		for x := range row {
			row[x] = clamp((v[x]+1<<(fixBits+passBits+2))>>(fixBits+passBits+3) + 128)
		}
	}
}

// inverse1 is the transform of 8 values, times 2^fixBits and the square root of 8.
func inverse1(v *[8]int32) {
	// Even part: a rotation of v[2] and v[6], butterflies with v[0] and v[4].
	r := (v[2] + v[6]) * fix0_541196100
	r2, r3 := r-v[6]*fix1_847759065, r+v[2]*fix0_765366865
	s0, s1 := (v[0]+v[4])<<fixBits, (v[0]-v[4])<<fixBits
	e0, e1, e2, e3 := s0+r3, s1+r2, s1-r2, s0-r3

	// Odd part.
	a, b, c, d := v[7], v[5], v[3], v[1]
	ad, bc := -(a+d)*fix0_899976223, -(b+c)*fix2_562915447
	all := (a + b + c + d) * fix1_175875602
	ac, bd := all-(a+c)*fix1_961570560, all-(b+d)*fix0_390180644
	o3 := a*fix0_298631336 + ad + ac
	o2 := b*fix2_053119869 + bc + bd
	o1 := c*fix3_072711026 + bc + ac
	o0 := d*fix1_501321110 + ad + bd

	v[0], v[7] = e0+o0, e0-o0
	v[1], v[6] = e1+o1, e1-o1
	v[2], v[5] = e2+o2, e2-o2
	v[3], v[4] = e3+o3, e3-o3
}

func clamp(v int32) byte { return byte(min(max(v, 0), 255)) }
