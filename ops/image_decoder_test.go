package ops_test

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestImageDecoder(t *testing.T) {
	// Two pixels: red-ish, and a mixed one.
	want := []uint8{200, 10, 30, 1, 2, 250}
	img := image.NewNRGBA(image.Rect(0, 0, 2, 1))
	for i := range 2 {
		img.Set(i, 0, color.NRGBA{want[3*i], want[3*i+1], want[3*i+2], 255})
	}
	var buf bytes.Buffer
	if err := png.Encode(&buf, img); err != nil {
		t.Fatal(err)
	}
	in := func(b []byte) []tensor.Value { return Vals(tensor.Of(b)) }
	bmp := append([]byte("BM"), make([]byte, 52)...)
	bmp[10], bmp[14], bmp[18], bmp[22], bmp[28] = 54, 40, 2, 1, 24
	bmp = append(bmp, 30, 10, 200, 250, 2, 1, 0, 0)
	pnm := append([]byte("P6\n# comment\n2 1\n255\n"), want...)
	tif := append([]byte("II*\x00\x10\x00\x00\x00xx"), want...) // the pixels at 10
	for _, v := range []uint16{
		0, 256, 3, 1, 0, 2, 0, 257, 3, 1, 0, 1, 0, 258, 3, 1, 0, 8, 0, 262, 3, 1, 0, 2, 0,
		273, 3, 1, 0, 10, 0, 277, 3, 1, 0, 3, 0, 279, 3, 1, 0, 6, 0,
	} {
		tif = append(tif, byte(v), byte(v>>8))
	}
	tif[16] = 7 // entries
	cmyk := bytes.Clone(tif)
	cmyk[18+3*12+8] = 5
	rgb := Vals(Of([]int{1, 2, 3}, want...))
	Run(t, []Case{
		{Name: "png", Op: "ImageDecoder", In: in(buf.Bytes()), Want: rgb},
		{Name: "bmp", Op: "ImageDecoder", In: in(bmp), Want: rgb},
		{Name: "pnm", Op: "ImageDecoder", In: in(pnm), Want: rgb},
		{Name: "tiff", Op: "ImageDecoder", In: in(tif), Want: rgb},
		{Op: "ImageDecoder", In: in(cmyk), Want: Vals(nil), Err: "not supported: TIFF of photometric interpretation 5"},
		{Op: "ImageDecoder", In: in(tif[:60]), Want: Vals(nil), Err: "TIFF directory of 7 entries"},
		{Name: "bgr", Op: "ImageDecoder", Attrs: onnx.NewAttrs("pixel_format", "BGR"), In: in(pnm), Want: Vals(Of[uint8]([]int{1, 2, 3}, 30, 10, 200, 250, 2, 1))},
		{Name: "gray", Op: "ImageDecoder", Attrs: onnx.NewAttrs("pixel_format", "Grayscale"), In: in(pnm), Want: Vals(Of[uint8]([]int{1, 2, 1}, 69, 30))},
		{Op: "ImageDecoder", In: in([]byte("RIFFxxxxWEBP")), Want: Vals(nil), Err: "image format"},
		{Op: "ImageDecoder", In: in(bmp[:56]), Want: Vals(nil), Err: "too short for 2 x 1"},
		{Op: "ImageDecoder", In: in([]byte("P6 2 9 255 x")), Want: Vals(nil), Err: "too short for 2 x 9"},
		{Op: "ImageDecoder", In: in([]byte("P6 999999999 999999999 255 ")), Want: Vals(nil), Err: "image of"},
		{Op: "ImageDecoder", In: in([]byte("\xff\xd8\xffno")), Want: Vals(nil), Err: "segment 0x6e has no length"},
		{Op: "ImageDecoder", In: in([]byte("\xff\xd8\xff\xc9\x00\x02")), Want: Vals(nil), Err: "not supported: JPEG of process 0xc9"},
		{Op: "ImageDecoder", In: Vals(F32([]int{1}, 1)), Want: Vals(nil), Err: "want uint8 of 1 dimension"},
	})
}

// A smooth picture must survive JPEG, whose chroma has half the resolution.
func TestImageDecoderJPEG(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 17, 15))
	for i := range 15 {
		for j := range 17 {
			img.Set(j, i, color.NRGBA{uint8(4 * i), uint8(4 * j), uint8(200 - 2*i - 2*j), 255})
		}
	}
	var buf bytes.Buffer
	if err := jpeg.Encode(&buf, img, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	n := Node(Case{Op: "ImageDecoder", In: Vals(tensor.Of(buf.Bytes())), Want: Vals(nil), Err: "x"}, nil)
	got, err := ops.Eval(par.P{}, n, Vals(tensor.Of(buf.Bytes())), ops.BuildEnv{})
	if err != nil {
		t.Fatal(err)
	}
	y := tensor.Data[uint8](got[0].(*tensor.Tensor))
	for i := range 15 {
		for j := range 17 {
			p := img.NRGBAAt(j, i)
			for k, want := range [3]uint8{p.R, p.G, p.B} {
				if d := int(y[(i*17+j)*3+k]) - int(want); d < -8 || d > 8 {
					t.Fatalf("pixel %d %d, channel %d: %d, want about %d", i, j, k, int(want)+d, want)
				}
			}
		}
	}
}
