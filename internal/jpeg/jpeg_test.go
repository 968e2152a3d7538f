package jpeg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	stdjpeg "image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The PNG files hold what Pillow, with libjpeg-turbo, decodes from the JPEG files.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.jpg")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			b, err := os.ReadFile(f)
			require.NoError(t, err)
			p, err := os.ReadFile(strings.TrimSuffix(f, ".jpg") + ".png")
			require.NoError(t, err)
			want, err := png.Decode(bytes.NewReader(p))
			require.NoError(t, err)
			im, err := Decode(b, 1<<16)
			require.NoError(t, err)
			require.Equal(t, want.Bounds(), image.Rect(0, 0, im.Width, im.Height))
			for y := range im.Height {
				for x := range im.Width {
					c := color.NRGBAModel.Convert(want.At(x, y)).(color.NRGBA)
					w := []byte{c.R, c.G, c.B}[:im.Channels]
					at := (y*im.Width + x) * im.Channels
					require.Equal(t, w, im.Pix[at:at+im.Channels], "pixel %d, %d", x, y)
				}
			}
			gray := strings.HasPrefix(filepath.Base(f), "gray")
			require.Equal(t, gray, im.Channels == 1)
		})
	}
}

func gray(t *testing.T, w, h, seed int) []byte {
	m := image.NewGray(image.Rect(0, 0, w, h))
	for i := range m.Pix {
		m.Pix[i] = byte(i*seed + i*i%97)
	}
	var buf bytes.Buffer
	require.NoError(t, stdjpeg.Encode(&buf, m, nil))
	return buf.Bytes()
}

// split returns the segments from SOI to the frame, the frame header, and the
// rest without the end of image.
func split(b []byte) (tables, frame, rest []byte) {
	at := 2
	for b[at+1] != markSOF0 {
		at += 2 + int(binary.BigEndian.Uint16(b[at+2:]))
	}
	end := at + 2 + int(binary.BigEndian.Uint16(b[at+2:]))
	return b[2:at], b[at:end], b[end : len(b)-2]
}

// Three gray images become the components of one, each in a scan of its own.
func TestScanPerComponent(t *testing.T) {
	const w, h = 21, 13
	var scans []byte
	var planes [3][]byte
	var tables, frame []byte
	for i := range planes {
		b := gray(t, w, h, 3+2*i)
		im, err := Decode(b, 1<<16)
		require.NoError(t, err)
		planes[i] = im.Pix
		var rest []byte
		tables, frame, rest = split(b)
		at := bytes.Index(rest, []byte{0xff, markSOS})
		rest[at+5] = "RGB"[i]
		scans = append(scans, rest...)
	}
	b := append([]byte{0xff, markSOI}, tables...)
	b = append(b, 0xff, markSOF0, 0, 17, 8)
	b = append(b, frame[5:9]...)
	b = append(b, 3, 'R', 0x11, 0, 'G', 0x11, 0, 'B', 0x11, 0)
	b = append(b, scans...)
	im, err := Decode(append(b, 0xff, markEOI), 1<<16)
	require.NoError(t, err)
	require.Equal(t, 3, im.Channels)
	for i := range w * h {
		require.Equal(t, []byte{planes[0][i], planes[1][i], planes[2][i]}, im.Pix[3*i:3*i+3])
	}
	_, err = Decode(b, 1<<16)
	require.NoError(t, err, "without the end marker")
	_, err = Decode(append(b, scans...), 1<<16)
	require.ErrorContains(t, err, "is in two scans")
}

func TestErrors(t *testing.T) {
	good := gray(t, 17, 9, 5)
	_, frame, _ := split(good)
	at := bytes.Index(good, frame)
	change := func(off int, v ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at+off:], v)
		return b
	}
	for _, c := range []struct {
		name        string
		b           []byte
		want        string
		unsupported bool
	}{
		{"empty", nil, "want ffd8", false},
		{"start only", good[:2], "ends before", false},
		{"truncated scan", good[:len(good)-20], "ends in unit", false},
		{"no frame", []byte{0xff, markSOI, 0xff, markEOI}, "without a frame", false},
		{"no scan", append(bytes.Clone(good[:at+len(frame)]), 0xff, markEOI), "is in no scan", false},
		{"two frames", append(bytes.Clone(good[:at+len(frame)]), good[at:]...), "more than one frame", false},
		{"large", change(5, 0xff, 0xff, 0xff, 0xff), "of 65535 x 65535 pixels", false},
		{"too large for its bytes", change(5, 0x80, 0, 0x80, 0), "too short for 32768 x 32768", false},
		{"no width", change(7, 0, 0), "of 0 x 9 pixels", false},
		{"no height", change(5, 0, 0), "height after the first scan", true},
		{"12 bits", change(4, 12), "samples of 12 bits", true},
		{"lossless", change(1, 0xc3), "process 0xc3", true},
		{"arithmetic", change(1, 0xc9), "process 0xc9", true},
		{"sampling", change(11, 0x51), "sampling 5 x 1", false},
		{"segment", append(bytes.Clone(good[:2]), 0xff, markDQT, 0xff, 0xff), "has 65535 bytes", false},
		{"quantization", append(bytes.Clone(good[:2]), 0xff, markDQT, 0, 3, 0), "quantization table 0", false},
		{"Huffman", append(bytes.Clone(good[:2]), 0xff, markDHT, 0, 3, 0), "Huffman table", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Decode(c.b, 1<<30)
			require.ErrorContains(t, err, c.want)
			var u UnsupportedError
			require.Equal(t, c.unsupported, errors.As(err, &u))
		})
	}
	b, err := os.ReadFile("testdata/420_restart.jpg")
	require.NoError(t, err)
	i := bytes.Index(b, []byte{0xff, markRST0 + 1})
	b[i+1] = markRST0 + 5
	_, err = Decode(b, 1<<16)
	require.ErrorContains(t, err, "want the restart marker 0xd1")
	_, err = newHuffmanOf(3)
	require.ErrorContains(t, err, "too many codes of 1 bits")
}

// newHuffmanOf builds a table of n codes of one bit.
func newHuffmanOf(n byte) (*huffman, error) {
	h, _, err := newHuffman(append([]byte{n}, make([]byte, 15+int(n))...))
	return h, err
}

// Every prefix and every changed byte of an image must give pixels or an error.
func TestDamaged(t *testing.T) {
	files, err := filepath.Glob("testdata/*.jpg")
	require.NoError(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		for i := range b {
			_, _ = Decode(b[:i], 1<<16)
			for _, x := range []byte{1, 0x80, 0xff} {
				b[i] ^= x
				_, _ = Decode(b, 1<<16)
				b[i] ^= x
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.jpg")
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
