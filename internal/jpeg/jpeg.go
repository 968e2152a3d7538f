// Package jpeg decodes JPEG images to the pixels that the IJG library and its
// descendants give, which are those that vision models were trained with.
//
// The standard library's decoder is right too, but it rounds in another way: its
// inverse transform, its chroma interpolation (it has none) and its color
// conversion differ by a unit or more in many pixels. Here they are the ones most
// programs use: the 13-bit integer transform of Loeffler, Ligtenberg and
// Moschytz, triangle interpolation of chroma, and 16-bit fixed-point color
// conversion as in JFIF.
//
// Sources: ITU-T T.81 (the format), ITU-T T.871 (JFIF), and C. Loeffler,
// A. Ligtenberg, G. Moschytz, "Practical fast 1-D DCT algorithms with 11
// multiplications", ICASSP 1989.
package jpeg

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// UnsupportedError says which kind a valid image is of that is not decoded:
// lossless, hierarchical or arithmetic coding, samples of 12 bits, 2 components,
// or a height that follows the first scan.
type UnsupportedError string

func (e UnsupportedError) Error() string { return string(e) }

func unsupported(format string, args ...any) error {
	return UnsupportedError(fmt.Sprintf(format, args...))
}

// Image is a decoded image.
type Image struct {
	Width, Height int
	Channels      int    // 1: gray, 3: red, green, blue
	Pix           []byte // [Height, Width, Channels]
}

const (
	markSOF0 = 0xc0 // baseline
	markSOF1 = 0xc1 // extended sequential
	markSOF2 = 0xc2 // progressive
	markDHT  = 0xc4
	markJPG  = 0xc8
	markDAC  = 0xcc
	markRST0 = 0xd0
	markSOI  = 0xd8
	markEOI  = 0xd9
	markSOS  = 0xda
	markDQT  = 0xdb
	markDNL  = 0xdc
	markDRI  = 0xdd
	markAPP0 = 0xe0
	markAPP1 = 0xe1
	markAPPE = 0xee
	markTEM  = 0x01
)

// zigzag gives the place in a block, row by row, of the k-th coefficient of a
// scan (T.81, figure A.6).
var zigzag = [64]uint8{
	0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
}

type component struct {
	id, h, v, tq  int
	width, height int // in samples
	cols, rows    int // in blocks that belong to the image
	stride        int // in blocks that are stored, whole MCUs
	pix           []byte
	coef          []int16   // of progressive images, [blocks][64], row by row
	quant         [64]int32 // row by row
	started       bool
	left          [64]int8 // of progressive images, per coefficient: bits still to come, -1 before its first scan
	pred          int32    // the last DC value
	dcTab, acTab  *huffman
}

type decoder struct {
	bits          bitReader
	width, height int
	hMax, vMax    int
	mcuCols       int
	mcuRows       int
	progressive   bool
	comps         []component
	quant         [4]*[64]int32
	dc, ac        [4]*huffman
	restart       int
	jfif          bool
	adobe         int // the color transform that an Adobe marker names, -1 without the marker
	eobRun        int
}

// Decode decodes an image of at most maxPixels pixels: baseline, extended
// sequential and progressive JPEG with Huffman coding and samples of 8 bits, of 1
// (gray), 3 (YCbCr or RGB) or 4 (CMYK or YCCK, stored inverted as Adobe does)
// components. Colors come back as RGB.
//
// The size is checked before memory is allocated: against maxPixels, and against
// the length of b, because every block of an image takes at least a bit.
// Errors: an UnsupportedError for other kinds of images; others for data that is
// damaged or incomplete, which is not repaired.
func Decode(b []byte, maxPixels int) (*Image, error) {
	if len(b) < 2 || b[0] != 0xff || b[1] != markSOI {
		return nil, fmt.Errorf("JPEG data starts with %x, want ffd8", b[:min(len(b), 2)])
	}
	d := &decoder{bits: bitReader{b: b, at: 2}, adobe: -1}
	for {
		m, ok := d.bits.nextMarker()
		if !ok {
			// Some writers leave the end marker out, which does no harm where all is there.
			if d.comps != nil && !d.progressive && d.complete() == nil {
				break
			}
			return nil, errors.New("JPEG data ends before the image is complete")
		}
		if m == markEOI {
			break
		}
		if m == markTEM || m >= markRST0 && m < markSOI {
			continue
		}
		if m == markSOI {
			return nil, errors.New("JPEG data has a second start of image")
		}
		seg, err := d.segment(m)
		if err != nil {
			return nil, err
		}
		if err := d.handle(m, seg, maxPixels); err != nil {
			return nil, err
		}
	}
	if d.comps == nil {
		return nil, errors.New("JPEG data without a frame")
	}
	if err := d.complete(); err != nil {
		return nil, err
	}
	d.transform()
	return d.output(), nil
}

// segment takes the bytes of a marker segment, without its length.
func (d *decoder) segment(m byte) ([]byte, error) {
	b := d.bits.b[d.bits.at:]
	if len(b) < 2 {
		return nil, fmt.Errorf("JPEG segment %#x has no length", m)
	}
	n := int(binary.BigEndian.Uint16(b))
	if n < 2 || n > len(b) {
		return nil, fmt.Errorf("JPEG segment %#x has %d bytes, want 2 to %d", m, n, len(b))
	}
	d.bits.at += n
	return b[2:n], nil
}

func (d *decoder) handle(m byte, seg []byte, maxPixels int) error {
	switch {
	case m == markSOF0 || m == markSOF1 || m == markSOF2:
		return d.frame(m, seg, maxPixels)
	case m == markDHT:
		return d.huffmanTables(seg)
	case m == markDQT:
		return d.quantTables(seg)
	case m == markDRI:
		if len(seg) != 2 {
			return fmt.Errorf("JPEG restart interval of %d bytes, want 2", len(seg))
		}
		d.restart = int(binary.BigEndian.Uint16(seg))
	case m == markSOS:
		return d.scan(seg)
	case m == markAPP0 && len(seg) >= 5 && string(seg[:5]) == "JFIF\x00":
		d.jfif = true
	case m == markAPPE && len(seg) >= 12 && string(seg[:5]) == "Adobe":
		d.adobe = int(seg[11])
	case m > markSOF2 && m <= 0xcf && m != markJPG, m == markDAC:
		return unsupported("JPEG of process %#x, want baseline, extended or progressive with Huffman coding", m)
	case m == markDNL:
		return unsupported("JPEG height after the first scan")
	}
	return nil
}

// frame reads a frame header (T.81, B.2.2) and allocates the samples.
func (d *decoder) frame(m byte, seg []byte, maxPixels int) error {
	if d.comps != nil {
		return errors.New("JPEG data with more than one frame")
	}
	if len(seg) < 6 || len(seg) != 6+3*int(seg[5]) {
		return fmt.Errorf("JPEG frame header of %d bytes", len(seg))
	}
	if seg[0] != 8 {
		return unsupported("JPEG samples of %d bits, want 8", seg[0])
	}
	d.progressive = m == markSOF2
	d.height, d.width = int(binary.BigEndian.Uint16(seg[1:])), int(binary.BigEndian.Uint16(seg[3:]))
	if d.height == 0 {
		return unsupported("JPEG height after the first scan")
	}
	if d.width == 0 || d.width > maxPixels/d.height {
		return fmt.Errorf("JPEG of %d x %d pixels, want 1 to %d in all", d.width, d.height, maxPixels)
	}
	n := int(seg[5])
	if n != 1 && n != 3 && n != 4 {
		return unsupported("JPEG of %d components, want 1, 3 or 4", n)
	}
	comps := make([]component, n)
	for i := range comps {
		s := seg[6+3*i:]
		c := &comps[i]
		c.id, c.h, c.v, c.tq = int(s[0]), int(s[1]>>4), int(s[1]&15), int(s[2])
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.tq > 3 {
			return fmt.Errorf("JPEG component %d has sampling %d x %d and quantization table %d, want 1 to 4 and up to 3", i, c.h, c.v, c.tq)
		}
		for _, o := range comps[:i] {
			if o.id == c.id {
				return fmt.Errorf("two JPEG components have the number %d", c.id)
			}
		}
		d.hMax, d.vMax = max(d.hMax, c.h), max(d.vMax, c.v)
	}
	d.mcuCols, d.mcuRows = ceilDiv(d.width, 8*d.hMax), ceilDiv(d.height, 8*d.vMax)
	blocks, perByte := 0, 4 // 2 bits a block at least, but a bit in the first scan of a progressive image
	for i := range comps {
		c := &comps[i]
		c.width, c.height = ceilDiv(d.width*c.h, d.hMax), ceilDiv(d.height*c.v, d.vMax)
		c.cols, c.rows = ceilDiv(c.width, 8), ceilDiv(c.height, 8)
		blocks += c.cols * c.rows
	}
	if d.progressive {
		perByte = 8
	}
	if blocks/perByte > len(d.bits.b) {
		return fmt.Errorf("JPEG data of %d bytes, too short for %d x %d pixels", len(d.bits.b), d.width, d.height)
	}
	for i := range comps {
		c := &comps[i]
		c.stride = d.mcuCols * c.h
		size := c.stride * d.mcuRows * c.v * 64
		c.pix = make([]byte, size)
		if d.progressive {
			c.coef = make([]int16, size)
			for k := range c.left {
				c.left[k] = -1
			}
		}
	}
	d.comps = comps
	return nil
}

// quantTables reads a DQT segment (T.81, B.2.4.1).
func (d *decoder) quantTables(seg []byte) error {
	for len(seg) > 0 {
		wide, id := int(seg[0]>>4), int(seg[0]&15)
		seg = seg[1:]
		if wide > 1 || id > 3 || len(seg) < 64<<wide {
			return fmt.Errorf("JPEG quantization table %d of kind %d with %d bytes left", id, wide, len(seg))
		}
		t := new([64]int32)
		for k, z := range zigzag {
			if wide == 1 {
				t[z] = int32(binary.BigEndian.Uint16(seg[2*k:]))
			} else {
				t[z] = int32(seg[k])
			}
		}
		d.quant[id] = t
		seg = seg[64<<wide:]
	}
	return nil
}

// huffmanTables reads a DHT segment (T.81, B.2.4.2).
func (d *decoder) huffmanTables(seg []byte) error {
	for len(seg) > 0 {
		if len(seg) < 17 || seg[0]&15 > 3 || seg[0]>>4 > 1 {
			return fmt.Errorf("JPEG Huffman table %#x with %d bytes left", seg[0], len(seg))
		}
		h, n, err := newHuffman(seg[1:])
		if err != nil {
			return err
		}
		if seg[0]>>4 == 0 {
			d.dc[seg[0]&15] = h
		} else {
			d.ac[seg[0]&15] = h
		}
		seg = seg[1+n:]
	}
	return nil
}

// complete reports what is missing after the last scan.
func (d *decoder) complete() error {
	for i := range d.comps {
		c := &d.comps[i]
		if !c.started || d.progressive && c.left[0] < 0 {
			return fmt.Errorf("JPEG component %d is in no scan", i)
		}
	}
	return nil
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
