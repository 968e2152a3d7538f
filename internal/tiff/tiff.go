// Package tiff decodes the kinds of TIFF images that pictures are stored in:
// gray, RGB and palette images with samples of 8 bits, in strips or tiles,
// uncompressed or with PackBits, LZW or Deflate.
//
// Sources: TIFF, revision 6.0 (Adobe, 1992); TIFF Technical Note 2 and the Adobe
// Photoshop TIFF notes (Deflate).
package tiff

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// UnsupportedError says which kind a valid image is of that is not decoded.
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
	tagWidth           = 256
	tagHeight          = 257
	tagBits            = 258
	tagCompression     = 259
	tagPhotometric     = 262
	tagFillOrder       = 266
	tagStripOffsets    = 273
	tagOrientation     = 274
	tagSamples         = 277
	tagRowsPerStrip    = 278
	tagStripByteCounts = 279
	tagPlanar          = 284
	tagPredictor       = 317
	tagColorMap        = 320
	tagTileWidth       = 322
	tagTileLength      = 323
	tagTileOffsets     = 324
	tagTileByteCounts  = 325
	tagExtraSamples    = 338
	tagSampleFormat    = 339
)

const (
	whiteIsZero = 0
	blackIsZero = 1
	photoRGB    = 2
	photoColors = 3 // a palette
)

// maxRatio is more than any of the compressions reaches: a code of LZW has 9 bits
// or more and stands for at most 3838 bytes with 12, 1032 is the most of Deflate.
const maxRatio = 2600

type decoder struct {
	b     []byte
	order binary.ByteOrder
	tags  map[int][]int

	width, height   int
	samples         int // of a pixel
	photometric     int
	compression     int
	differences     bool // samples are stored as differences to their left neighbors
	planes          int  // 1, or as many as samples
	chunkW, chunkH  int  // of a strip or tile
	across, down    int  // strips or tiles
	tiled           bool
	offsets, counts []int
	palette         []int
}

// Decode decodes the first image of a file, of at most maxPixels pixels. Palettes
// give RGB; samples beyond gray or RGB, such as opacity, are dropped.
//
// The size is checked before memory is allocated: against maxPixels, and against
// the length of b, because no compression is boundless.
// Errors: an UnsupportedError for other kinds of images, such as other numbers of
// bits, CMYK, CCITT and JPEG compression, orientations other than upright; others
// for data that is damaged or incomplete.
func Decode(b []byte, maxPixels int) (*Image, error) {
	d := &decoder{b: b}
	if err := d.directory(); err != nil {
		return nil, err
	}
	if err := d.layout(maxPixels); err != nil {
		return nil, err
	}
	return d.pixels()
}

// directory reads the numbers of the first image file directory.
func (d *decoder) directory() error {
	b := d.b
	if len(b) < 8 {
		return fmt.Errorf("TIFF of %d bytes, want a header of 8", len(b))
	}
	switch string(b[:2]) {
	case "II":
		d.order = binary.LittleEndian
	case "MM":
		d.order = binary.BigEndian
	default:
		return fmt.Errorf("TIFF starts with %x, want II or MM", b[:2])
	}
	if v := d.order.Uint16(b[2:]); v == 43 {
		return unsupported("TIFF with offsets of 64 bits")
	} else if v != 42 {
		return fmt.Errorf("TIFF with the mark %d, want 42", v)
	}
	at := int64(d.order.Uint32(b[4:]))
	if at > int64(len(b)-2) {
		return fmt.Errorf("TIFF of %d bytes with a directory at %d", len(b), at)
	}
	entries := b[at+2:]
	n := int(d.order.Uint16(b[at:]))
	if len(entries) < 12*n {
		return fmt.Errorf("TIFF directory of %d entries in %d bytes", n, len(entries))
	}
	d.tags = map[int][]int{}
	for i := range n {
		if err := d.entry(entries[12*i : 12*i+12]); err != nil {
			return err
		}
	}
	return nil
}

// entry reads an entry of bytes, shorts or longs; the others are not needed.
func (d *decoder) entry(e []byte) error {
	tag, kind, n := int(d.order.Uint16(e)), d.order.Uint16(e[2:]), int64(d.order.Uint32(e[4:]))
	size := map[uint16]int64{1: 1, 3: 2, 4: 4}[kind]
	if size == 0 || tag < tagWidth || tag > tagSampleFormat {
		return nil
	}
	data := e[8:12]
	if n*size > 4 {
		at := int64(d.order.Uint32(data))
		if at > int64(len(d.b)) || n*size > int64(len(d.b))-at {
			return fmt.Errorf("TIFF tag %d has %d values at %d, beyond the %d bytes", tag, n, at, len(d.b))
		}
		data = d.b[at:]
	}
	if d.tags[tag] != nil {
		return fmt.Errorf("TIFF tag %d is there twice", tag)
	}
	switch tag {
	case tagStripOffsets, tagStripByteCounts, tagTileOffsets, tagTileByteCounts:
	default:
		n = min(n, 1024) // more than any of them has a use for
	}
	v := make([]int, n)
	for i := range v {
		switch size {
		case 1:
			v[i] = int(data[i])
		case 2:
			v[i] = int(d.order.Uint16(data[2*i:]))
		default:
			// Numbers of 2^31 and more are too large for all that is read here.
			v[i] = int(min(d.order.Uint32(data[4*i:]), 1<<31-1))
		}
	}
	d.tags[tag] = v
	return nil
}

// one returns the value of a tag, or what the format says for its absence.
func (d *decoder) one(tag, absent int) int {
	if v := d.tags[tag]; len(v) > 0 {
		return v[0]
	}
	return absent
}

// layout checks the kind of the image and where its parts are.
func (d *decoder) layout(maxPixels int) error {
	d.width, d.height = d.one(tagWidth, 0), d.one(tagHeight, 0)
	if d.width < 1 || d.height < 1 || d.width > maxPixels/d.height {
		return fmt.Errorf("TIFF of %d x %d pixels, want 1 to %d in all", d.width, d.height, maxPixels)
	}
	if err := d.kind(); err != nil {
		return err
	}
	if d.width*d.height/maxRatio > len(d.b) {
		return fmt.Errorf("TIFF of %d bytes, too short for %d x %d pixels", len(d.b), d.width, d.height)
	}
	d.chunkW, d.chunkH = d.width, min(d.one(tagRowsPerStrip, d.height), d.height)
	d.offsets, d.counts = d.tags[tagStripOffsets], d.tags[tagStripByteCounts]
	if d.tiled = d.tags[tagTileOffsets] != nil; d.tiled {
		d.chunkW, d.chunkH = d.one(tagTileWidth, 0), d.one(tagTileLength, 0)
		d.offsets, d.counts = d.tags[tagTileOffsets], d.tags[tagTileByteCounts]
	}
	if d.chunkW < 1 || d.chunkH < 1 || d.chunkW > maxPixels/d.chunkH {
		return fmt.Errorf("TIFF strips or tiles of %d x %d pixels", d.chunkW, d.chunkH)
	}
	d.across, d.down = (d.width-1)/d.chunkW+1, (d.height-1)/d.chunkH+1
	if n := d.across * d.down * d.planes; len(d.offsets) != n || len(d.counts) != n {
		return fmt.Errorf("TIFF with %d offsets and %d byte counts, want %d", len(d.offsets), len(d.counts), n)
	}
	left := len(d.b)
	for i, n := range d.counts {
		if at := d.offsets[i]; at > len(d.b) || n > len(d.b)-at {
			return fmt.Errorf("TIFF strip or tile of %d bytes at %d, beyond the %d bytes", n, at, len(d.b))
		}
		if left -= n; left < 0 {
			return fmt.Errorf("TIFF strips or tiles that overlap in the %d bytes", len(d.b))
		}
	}
	return nil
}

// kind checks what the samples mean and how they are stored.
func (d *decoder) kind() error {
	d.samples, d.photometric = d.one(tagSamples, 1), d.one(tagPhotometric, whiteIsZero)
	want := 1
	switch d.photometric {
	case whiteIsZero, blackIsZero:
	case photoRGB:
		want = 3
	case photoColors:
		if d.palette = d.tags[tagColorMap]; len(d.palette) != 3*256 {
			return fmt.Errorf("TIFF palette of %d values, want 768", len(d.palette))
		}
	default:
		return unsupported("TIFF of photometric interpretation %d, want gray, RGB or palette", d.photometric)
	}
	if d.samples < want || d.samples > 7 {
		return fmt.Errorf("TIFF of %d samples a pixel, want %d to 7", d.samples, want)
	}
	bits := d.tags[tagBits]
	if len(bits) == 0 || slices.ContainsFunc(bits, func(n int) bool { return n != 8 }) {
		return unsupported("TIFF samples of %v bits, want 8", bits)
	}
	for _, t := range []struct {
		tag  int
		name string
	}{{tagFillOrder, "fill order"}, {tagOrientation, "orientation"}, {tagSampleFormat, "sample format"}} {
		if v := d.one(t.tag, 1); v != 1 {
			return unsupported("TIFF with %s %d, want 1", t.name, v)
		}
	}
	if slices.Contains(d.tags[tagExtraSamples], 1) {
		return unsupported("TIFF with colors multiplied by opacity")
	}
	switch d.planes = 1; d.one(tagPlanar, 1) {
	case 1:
	case 2:
		d.planes = d.samples
	default:
		return fmt.Errorf("TIFF planar configuration %d, want 1 or 2", d.one(tagPlanar, 1))
	}
	d.compression = d.one(tagCompression, 1)
	if compressions[d.compression] == nil {
		return unsupported("TIFF compression %d, want none, PackBits, LZW or Deflate", d.compression)
	}
	predictor := d.one(tagPredictor, 1)
	if predictor != 1 && predictor != 2 {
		return unsupported("TIFF predictor %d, want 1 or 2", predictor)
	}
	// The predictor is about LZW and Deflate; others ignore it.
	d.differences = predictor == 2 && d.compression != compressNone && d.compression != compressPackBits
	return nil
}

// pixels decodes strips and tiles and puts them in their places.
func (d *decoder) pixels() (*Image, error) {
	ch := 1
	if d.photometric == photoRGB || d.photometric == photoColors {
		ch = 3
	}
	im := &Image{d.width, d.height, ch, make([]byte, d.width*d.height*ch)}
	per := d.samples / d.planes // samples of a pixel in a chunk
	var buf []byte
	for i, at := range d.offsets {
		plane, x, y := i/(d.across*d.down), i%d.across*d.chunkW, i/d.across%d.down*d.chunkH
		if plane >= ch {
			break
		}
		rows := d.chunkH
		if !d.tiled {
			rows = min(rows, d.height-y) // the last strip holds what there is, tiles are padded
		}
		n := d.chunkW * rows * per
		if n/maxRatio > d.counts[i] {
			return nil, fmt.Errorf("TIFF strip or tile %d of %d bytes, too short for %d samples", i, d.counts[i], n)
		}
		buf = slices.Grow(buf[:0], n)[:n]
		if err := compressions[d.compression](buf, d.b[at:at+d.counts[i]]); err != nil {
			return nil, fmt.Errorf("TIFF strip or tile %d: %w", i, err)
		}
		w := min(d.chunkW, d.width-x)
		for r := range min(rows, d.height-y) {
			src := buf[r*d.chunkW*per:][:w*per]
			if d.differences {
				for k := per; k < len(src); k++ {
					src[k] += src[k-per]
				}
			}
			d.row(im.Pix[((y+r)*d.width+x)*ch:][:w*ch], src, per, plane)
		}
	}
	return im, nil
}

// row writes a part of a row, whose pixels have per samples in src, the first of
// them sample number plane.
func (d *decoder) row(dst, src []byte, per, plane int) {
	switch {
	case d.photometric == photoColors && plane == 0:
		for x := range len(src) / per {
			v := int(src[x*per])
			for c := range 3 {
				dst[3*x+c] = byte(d.palette[256*c+v] >> 8)
			}
		}
	case d.photometric == photoColors:
	case d.photometric != photoRGB:
		for x := range dst {
			dst[x] = src[x*per]
			if d.photometric == whiteIsZero {
				dst[x] = 255 - dst[x]
			}
		}
	case d.planes > 1:
		for x, v := range src {
			dst[3*x+plane] = v
		}
	default:
		for x := range len(src) / per {
			copy(dst[3*x:3*x+3], src[x*per:])
		}
	}
}
