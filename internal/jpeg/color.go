package jpeg

// output brings the components to the size of the image and converts the colors.
func (d *decoder) output() *Image {
	n := len(d.comps)
	im := &Image{Width: d.width, Height: d.height, Channels: min(n, 3)}
	im.Pix = make([]byte, d.width*d.height*im.Channels)
	ycc := d.ycc()
	rows := make([][]byte, n)
	up := make([]func(y int) []byte, n)
	for i := range up {
		up[i] = d.upsampler(&d.comps[i])
	}
	for y := range d.height {
		for i := range up {
			rows[i] = up[i](y)[:d.width]
		}
		dst := im.Pix[y*d.width*im.Channels : (y+1)*d.width*im.Channels]
		if n == 1 {
			copy(dst, rows[0])
			continue
		}
		r, g, b := rows[0], rows[1], rows[2]
		for x := range r {
			p := dst[3*x : 3*x+3 : 3*x+3]
			if ycc {
				p[0], p[1], p[2] = toRGB(r[x], g[x], b[x])
			} else {
				p[0], p[1], p[2] = r[x], g[x], b[x]
			}
			if n == 4 {
				k := rows[3][x]
				for i := range p {
					// What is stored, inverted or not, is red of YCCK but 255 less cyan of CMYK.
					v := p[i]
					if ycc {
						v = 255 - v
					}
					p[i] = dark(v, k)
				}
			}
		}
	}
	return im
}

// ycc reports whether the first three components are YCbCr: JFIF says so, or an
// Adobe marker, or else the component numbers do not spell RGB.
func (d *decoder) ycc() bool {
	switch {
	case len(d.comps) == 4:
		return d.adobe > 0
	case d.jfif:
		return true
	case d.adobe >= 0:
		return d.adobe != 0
	}
	c := d.comps
	return len(c) != 3 || c[0].id != 'R' || c[1].id != 'G' || c[2].id != 'B'
}

// dark is the light that ink and black leave, both given as 255 less the ink:
// their product, rounded.
func dark(v, k byte) byte {
	p := (255-uint32(v))*uint32(k) + 128
	return clamp(int32(k) - int32((p>>8+p)>>8))
}

// toRGB is ITU-T T.871, section 7, in 16 bits; red and blue are rounded apart
// from luma, green once for both chroma.
func toRGB(y, cb, cr byte) (r, g, b byte) {
	const half = 1 << 15
	l, u, v := int32(y), int32(cb)-128, int32(cr)-128
	return clamp(l + (91881*v+half)>>16), // 1.402
		clamp(l + (-22554*u-46802*v+half)>>16), // 0.34414, 0.71414
		clamp(l + (116130*u+half)>>16) // 1.772
}

// upsampler returns a function that gives row y of a component at the size of
// the image. Components of half the width or height are interpolated: samples
// are taken as centered, so that each new one lies a quarter from the nearest
// and is 3/4 of it and 1/4 of the next. Ties are rounded in turn up and down.
// Other ratios repeat samples, as do components of one or two columns.
func (d *decoder) upsampler(c *component) func(y int) []byte {
	row := func(y int) []byte {
		return c.pix[y*c.stride*8 : y*c.stride*8+c.width]
	}
	out := make([]byte, max(d.width, 2*c.width))
	wide, high := 2*c.h == d.hMax, 2*c.v == d.vMax
	sameW, sameH := c.h == d.hMax, c.v == d.vMax
	near := func(y int) ([]byte, []byte) {
		n := y / 2
		return row(n), row(min(max(n-1+y%2*2, 0), c.height-1))
	}
	switch {
	case sameW && sameH:
		return row
	case wide && sameH && c.width > 2:
		return func(y int) []byte {
			in := row(y)
			for x, v := range in {
				l, r := in[max(x-1, 0)], in[min(x+1, len(in)-1)]
				out[2*x] = byte((3*int(v) + int(l) + 1) >> 2)
				out[2*x+1] = byte((3*int(v) + int(r) + 2) >> 2)
			}
			return out
		}
	case sameW && high:
		return func(y int) []byte {
			a, b := near(y)
			for x, v := range a {
				out[x] = byte((3*int(v) + int(b[x]) + 1 + y%2) >> 2)
			}
			return out
		}
	case wide && high && c.width > 2:
		sum := make([]int, c.width)
		return func(y int) []byte {
			a, b := near(y)
			for x, v := range a {
				sum[x] = 3*int(v) + int(b[x])
			}
			for x, v := range sum {
				l, r := sum[max(x-1, 0)], sum[min(x+1, len(sum)-1)]
				out[2*x] = byte((3*v + l + 8) >> 4)
				out[2*x+1] = byte((3*v + r + 7) >> 4)
			}
			return out
		}
	}
	return func(y int) []byte {
		in := row(y * c.v / d.vMax)
		for x := range d.width {
			out[x] = in[x*c.h/d.hMax]
		}
		return out
	}
}
