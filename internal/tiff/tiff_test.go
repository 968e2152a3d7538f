package tiff

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The PNG files hold the pixels that the TIFF files were made of; Pillow, with
// libtiff, agrees.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.tif")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			b, err := os.ReadFile(f)
			require.NoError(t, err)
			p, err := os.ReadFile(strings.TrimSuffix(f, ".tif") + ".png")
			require.NoError(t, err)
			want, err := png.Decode(bytes.NewReader(p))
			require.NoError(t, err)
			im, err := Decode(b, 1<<16)
			require.NoError(t, err)
			require.Equal(t, want.Bounds(), image.Rect(0, 0, im.Width, im.Height))
			for y := range im.Height {
				for x := range im.Width {
					c := color.NRGBAModel.Convert(want.At(x, y)).(color.NRGBA)
					at := (y*im.Width + x) * im.Channels
					require.Equal(t, []byte{c.R, c.G, c.B}[:im.Channels], im.Pix[at:at+im.Channels], "pixel %d, %d", x, y)
				}
			}
			_, err = Decode(b, im.Width*im.Height-1)
			require.ErrorContains(t, err, "pixels, want 1 to")
		})
	}
}

// file makes a file of 2 x 2 gray pixels, whose tags are changed: nil removes one.
func file(change map[int][]int) []byte {
	b := append([]byte("MM\x00*\x00\x00\x00\x0c"), 1, 2, 3, 4)
	tags := map[int][]int{
		tagWidth: {2}, tagHeight: {2}, tagBits: {8}, tagPhotometric: {1}, tagSamples: {1},
		tagStripOffsets: {8}, tagStripByteCounts: {4},
	}
	for k, v := range change {
		tags[k] = v
	}
	be := binary.BigEndian
	n := 0
	entries := []byte{}
	for k := tagWidth; k <= tagSampleFormat; k++ {
		if v := tags[k]; v != nil {
			n++
			entries = be.AppendUint16(entries, uint16(k))
			entries = be.AppendUint16(entries, 4)
			entries = be.AppendUint32(entries, uint32(len(v)))
			entries = be.AppendUint32(entries, uint32(v[0]))
		}
	}
	return append(be.AppendUint16(b, uint16(n)), entries...)
}

func TestErrors(t *testing.T) {
	im, err := Decode(file(nil), 4)
	require.NoError(t, err)
	require.Equal(t, &Image{2, 2, 1, []byte{1, 2, 3, 4}}, im)
	tags := func(kv ...int) []byte {
		m := map[int][]int{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = []int{kv[i+1]}
		}
		return file(m)
	}
	for _, c := range []struct {
		name        string
		b           []byte
		want        string
		unsupported bool
	}{
		{"empty", nil, "want a header of 8", false},
		{"order", []byte("XX*\x00\x00\x00\x00\x00"), "want II or MM", false},
		{"big", []byte("II\x2b\x00\x00\x00\x00\x00"), "offsets of 64 bits", true},
		{"directory", []byte("II*\x00\xff\x00\x00\x00"), "with a directory at 255", false},
		{"large", tags(tagWidth, 1<<31-1, tagHeight, 1<<31-1), "pixels, want 1 to", false},
		{"too large for its bytes", tags(tagWidth, 1<<14, tagHeight, 1<<13), "too short for 16384 x 8192", false},
		{"no width", file(map[int][]int{tagWidth: nil}), "of 0 x 2 pixels", false},
		{"bits", tags(tagBits, 16), "samples of [16] bits", true},
		{"CMYK", tags(tagPhotometric, 5), "photometric interpretation 5", true},
		{"palette", tags(tagPhotometric, 3), "palette of 0 values", false},
		{"samples", tags(tagPhotometric, 2), "1 samples a pixel, want 3", false},
		{"orientation", tags(tagOrientation, 6), "orientation 6", true},
		{"compression", tags(tagCompression, 7), "compression 7", true},
		{"predictor", tags(tagPredictor, 3), "predictor 3", true},
		{"planar", tags(tagPlanar, 3), "planar configuration 3", false},
		{"opacity", tags(tagExtraSamples, 1), "multiplied by opacity", true},
		{"rows", tags(tagRowsPerStrip, 0), "strips or tiles of 2 x 0", false},
		{"strips", tags(tagRowsPerStrip, 1), "1 offsets and 1 byte counts, want 2", false},
		{"tiles", tags(tagTileOffsets, 8, tagTileByteCounts, 4, tagTileWidth, 9, tagTileLength, 1<<31-1), "tiles of 9 x 2147483647", false},
		{"large tile", tags(tagTileOffsets, 8, tagTileByteCounts, 4, tagTileWidth, 999, tagTileLength, 999), "too short for 998001", false},
		{"offset", tags(tagStripOffsets, 1<<31-1), "beyond the", false},
		{"count", tags(tagStripByteCounts, 1<<31-1), "beyond the", false},
		{"short", tags(tagStripByteCounts, 3), "data for 3 bytes, want 4", false},
		{"lzw", tags(tagCompression, compressLZW), "LZW code", false},
		{"deflate", tags(tagCompression, compressDeflate), "zlib", false},
		{"packbits", tags(tagCompression, compressPackBits), "data for 3 bytes, want 4", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			switch c.name {
			case "lzw":
				copy(c.b[8:], []byte{0x90, 0, 0, 0}) // code 288 at first
			case "packbits":
				copy(c.b[8:], []byte{0x80, 5, 1, 2})
				c.want = "data for 2 bytes, want 4"
			}
			_, err := Decode(c.b, 1<<28)
			require.ErrorContains(t, err, c.want)
			var u UnsupportedError
			require.Equal(t, c.unsupported, errors.As(err, &u))
		})
	}
}

func TestCompressions(t *testing.T) {
	// The example of the specification, section 9.
	src := []byte{0xfe, 0xaa, 0x02, 0x80, 0x00, 0x2a, 0xfd, 0xaa, 0x03, 0x80, 0x00, 0x2a, 0x22, 0xf7, 0xaa}
	want := []byte{
		0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0xaa, 0xaa, 0xaa, 0xaa, 0x80, 0x00,
		0x2a, 0x22, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
	}
	got := make([]byte, len(want))
	require.NoError(t, packBits(got, src))
	require.Equal(t, want, got)

	// The example of section 13: the codes 256 7 258 8 8 258 6 6 257.
	var bits []byte
	acc, n := 0, 0
	for _, code := range []int{256, 7, 258, 8, 8, 258, 6, 6, 257} {
		for acc, n = acc<<9|code, n+9; n >= 8; n -= 8 {
			bits = append(bits, byte(acc>>(n-8)))
		}
	}
	bits = append(bits, byte(acc<<(8-n)))
	want = []byte{7, 7, 7, 8, 8, 7, 7, 6, 6}
	got = make([]byte, len(want))
	require.NoError(t, lzw(got, bits))
	require.Equal(t, want, got)
	require.EqualError(t, lzw(make([]byte, 10), bits), "data for 9 bytes, want 10")
}

// Every prefix and every changed byte of an image must give pixels or an error.
func TestDamaged(t *testing.T) {
	files, err := filepath.Glob("testdata/*.tif")
	require.NoError(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		for i := range b {
			if i%3 == 0 {
				_, _ = Decode(b[:i], 1<<16)
			}
			b[i] ^= 0x81
			_, _ = Decode(b, 1<<16)
			b[i] ^= 0x81
		}
	}
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.tif")
	require.NoError(f, err)
	for _, name := range files {
		b, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		im, err := Decode(b, 1<<18)
		if err == nil && len(im.Pix) != im.Width*im.Height*im.Channels {
			t.Fatalf("%d bytes for %d x %d x %d", len(im.Pix), im.Width, im.Height, im.Channels)
		}
	})
}
