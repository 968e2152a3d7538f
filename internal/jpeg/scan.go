package jpeg

import (
	"errors"
	"fmt"
)

// scanHeader is what a scan says about its coefficients: those from first to
// last, whose bits above high are known, and which it gives down to bit low.
type scanHeader struct{ first, last, high, low int }

// scan reads a scan header (T.81, B.2.3) and the scan.
func (d *decoder) scan(seg []byte) error {
	if d.comps == nil {
		return errors.New("JPEG scan before the frame")
	}
	if len(seg) < 1 || seg[0] < 1 || seg[0] > 4 || len(seg) != 4+2*int(seg[0]) {
		return fmt.Errorf("JPEG scan header of %d bytes", len(seg))
	}
	n := int(seg[0])
	end := seg[1+2*n:]
	s := scanHeader{int(end[0]), int(end[1]), int(end[2] >> 4), int(end[2] & 15)}
	if !d.progressive {
		s = scanHeader{0, 63, 0, 0}
	} else if s.last > 63 || s.first > s.last || s.first == 0 && s.last > 0 || s.first > 0 && n > 1 ||
		s.low > 13 || s.high > 0 && s.high != s.low+1 {
		return fmt.Errorf("JPEG scan of the coefficients %d to %d, bits %d to %d, of %d components", s.first, s.last, s.high, s.low, n)
	}
	comps, size := make([]*component, n), 0
	for i := range comps {
		c, err := d.scanComponent(seg[1+2*i:], s)
		if err != nil {
			return err
		}
		comps[i] = c
		size += c.h * c.v
	}
	if n > 1 && size > 10 {
		return fmt.Errorf("JPEG scan with %d blocks in a unit, want up to 10", size)
	}
	return d.units(comps, s)
}

// scanComponent finds a component of a scan with its tables, and checks that the
// scan is the next one for it.
func (d *decoder) scanComponent(b []byte, s scanHeader) (*component, error) {
	var c *component
	for i := range d.comps {
		if d.comps[i].id == int(b[0]) {
			c = &d.comps[i]
		}
	}
	td, ta := int(b[1]>>4), int(b[1]&15)
	if c == nil || td > 3 || ta > 3 {
		return nil, fmt.Errorf("JPEG scan of component %d with the tables %d and %d", b[0], td, ta)
	}
	if !c.started {
		q := d.quant[c.tq]
		if q == nil {
			return nil, fmt.Errorf("JPEG without quantization table %d", c.tq)
		}
		c.quant = *q
	} else if !d.progressive {
		return nil, fmt.Errorf("JPEG component %d is in two scans", b[0])
	}
	c.started = true
	c.dcTab, c.acTab = d.dc[td], d.ac[ta]
	needDC, needAC := true, true
	if d.progressive {
		needDC, needAC = s.first == 0 && s.high == 0, s.first > 0
		for k := s.first; k <= s.last; k++ {
			was := int(c.left[k])
			if s.high == 0 && was >= 0 || s.high > 0 && was != s.high {
				return nil, fmt.Errorf("JPEG scan of coefficient %d from bit %d, but %d bits are to come", k, s.high, was)
			}
			c.left[k] = int8(s.low)
		}
		if s.first > 0 && c.left[0] < 0 {
			return nil, fmt.Errorf("JPEG component %d has no first coefficients yet", b[0])
		}
	}
	if needDC && c.dcTab == nil || needAC && c.acTab == nil {
		return nil, fmt.Errorf("JPEG without the Huffman tables %d and %d", td, ta)
	}
	return c, nil
}

// units decodes the MCUs of a scan (T.81, A.2): blocks of all its components in
// turn, or the blocks of its only component without those beyond the image.
func (d *decoder) units(comps []*component, s scanHeader) error {
	cols, rows := d.mcuCols, d.mcuRows
	single := len(comps) == 1
	if single {
		cols, rows = comps[0].cols, comps[0].rows
	}
	d.reset(comps)
	count := 0
	for y := range rows {
		for x := range cols {
			if d.restart > 0 && count > 0 && count%d.restart == 0 {
				want := markRST0 + byte((count/d.restart-1)%8)
				if m, ok := d.bits.nextMarker(); !ok || m != want {
					return fmt.Errorf("JPEG marker %#x in a scan, want the restart marker %#x", m, want)
				}
				d.reset(comps)
			}
			count++
			for _, c := range comps {
				if single {
					d.block(c, y*c.stride+x, s)
					continue
				}
				for v := range c.v {
					for h := range c.h {
						d.block(c, (y*c.v+v)*c.stride+x*c.h+h, s)
					}
				}
			}
			if d.bits.bad {
				return fmt.Errorf("JPEG scan with a code that is not in its table, in unit %d", count-1)
			}
			if d.bits.short {
				return fmt.Errorf("JPEG scan ends in unit %d, want %d units", count-1, cols*rows)
			}
		}
	}
	return nil
}

func (d *decoder) reset(comps []*component) {
	d.bits.acc, d.bits.n = 0, 0
	d.eobRun = 0
	for _, c := range comps {
		c.pred = 0
	}
}

// block decodes what a scan says about one block.
func (d *decoder) block(c *component, at int, s scanHeader) {
	if !d.progressive {
		d.sequential(c, at)
		return
	}
	b := (*[64]int16)(c.coef[at*64:])
	switch {
	case s.first == 0 && s.high == 0:
		b[0] = int16(d.nextDC(c) << s.low)
	case s.first == 0:
		b[0] |= int16(d.bits.read(1) << s.low)
	case s.high == 0:
		d.acFirst(c.acTab, b, s)
	default:
		d.acRefine(c.acTab, b, s)
	}
}

func (d *decoder) nextDC(c *component) int32 {
	k := d.bits.symbol(c.dcTab)
	if k > 15 {
		d.bits.bad = true
		return 0
	}
	c.pred += d.bits.signed(k)
	return c.pred
}

// sequential decodes a whole block (T.81, F.2.2) and transforms it.
func (d *decoder) sequential(c *component, at int) {
	var b [64]int32
	b[0] = d.nextDC(c) * c.quant[0]
	last := 0
	for k := 1; k < 64; k++ {
		rs := d.bits.symbol(c.acTab)
		size := rs & 15
		if size == 0 {
			if rs != 0xf0 {
				break
			}
			k += 15
			continue
		}
		if k += rs >> 4; k > 63 {
			d.bits.bad = true
			return
		}
		z := zigzag[k]
		b[z] = d.bits.signed(size) * c.quant[z]
		last = k
	}
	inverse(&b, last == 0, c.place(at), c.stride*8)
}

// acFirst decodes the first bits of a band (T.81, G.1.2.2).
func (d *decoder) acFirst(h *huffman, b *[64]int16, s scanHeader) {
	if d.eobRun > 0 {
		d.eobRun--
		return
	}
	for k := s.first; k <= s.last; k++ {
		rs := d.bits.symbol(h)
		run, size := rs>>4, rs&15
		if size == 0 {
			if run < 15 {
				d.eobRun = 1<<run - 1 + int(d.bits.read(run))
				return
			}
			k += 15
			continue
		}
		if k += run; k > s.last {
			d.bits.bad = true
			return
		}
		b[zigzag[k]] = int16(d.bits.signed(size) << s.low)
	}
}

// acRefine decodes one more bit of a band (T.81, G.1.2.3): a correction for each
// coefficient that is not 0, and those that become 1 or -1.
func (d *decoder) acRefine(h *huffman, b *[64]int16, s scanHeader) {
	one := int16(1) << s.low
	k := s.first
	for d.eobRun == 0 && k <= s.last {
		rs := d.bits.symbol(h)
		run, size := rs>>4, rs&15
		var fresh int16
		switch {
		case size > 1:
			d.bits.bad = true
			return
		case size == 1:
			if fresh = -one; d.bits.read(1) == 1 {
				fresh = one
			}
		case run < 15:
			d.eobRun = 1<<run + int(d.bits.read(run))
			continue
		}
		k = d.refine(b, k, s.last, run, one)
		if fresh != 0 {
			if k > s.last {
				d.bits.bad = true
				return
			}
			b[zigzag[k]] = fresh
		}
		k++
	}
	if d.eobRun > 0 {
		d.refine(b, k, s.last, 64, one)
		d.eobRun--
	}
}

// refine reads the corrections of coefficients from k on, until it meets a zero
// coefficient after zeros others, whose place it returns.
func (d *decoder) refine(b *[64]int16, k, last, zeros int, one int16) int {
	for ; k <= last; k++ {
		p := &b[zigzag[k]]
		if *p == 0 {
			if zeros == 0 {
				break
			}
			zeros--
			continue
		}
		if d.bits.read(1) == 1 && *p&one == 0 {
			if *p > 0 {
				*p += one
			} else {
				*p -= one
			}
		}
	}
	return k
}
