package main

import (
	"image"
	"image/color"
	"testing"

	"github.com/stretchr/testify/require"
)

var one = [3]float32{1, 1, 1}

func TestSizes(t *testing.T) {
	for _, c := range []struct{ w, h, cw, ch, rw, rh int }{
		{640, 480, 224, 224, 341, 256},
		{480, 640, 224, 224, 256, 341},
		{100, 100, 224, 224, 256, 256},
		{1, 1000, 224, 224, 256, 256000},
		{300, 200, 299, 299, 511, 341},
		{200, 200, 112, 56, 128, 128},
		{400, 100, 56, 112, 512, 128},
	} {
		w, h := resized(c.w, c.h, c.cw, c.ch)
		require.Equal(t, [2]int{c.rw, c.rh}, [2]int{w, h}, c)
	}
	require.Equal(t, 16, middle(256, 224))
	require.Equal(t, 58, middle(341, 224)) // 58.5 to the even neighbour
}

func TestFilter(t *testing.T) {
	require.Equal(t, []taps{{0, []float32{1}}, {1, []float32{1}}}, filter(3, 3, 0, 2)) // same size
	// Twice as large: centres at 0.25, 0.75, 1.25, 1.75 of pixels at 0.5, 1.5.
	require.Equal(t, []taps{{0, []float32{1}}, {0, []float32{0.75, 0.25}}, {0, []float32{0.25, 0.75}}, {1, []float32{1}}}, filter(2, 4, 0, 4))
	// Half as large: the second centre is at 3 and the triangle reaches 2 to each side.
	require.Equal(t, taps{1, []float32{0.125, 0.375, 0.375, 0.125}}, filter(6, 3, 1, 1)[0])
	for n := 1; n < 40; n++ {
		for size := 1; size < 40; size++ {
			for _, f := range filter(n, size, 0, size) {
				sum := float32(0)
				for _, w := range f.weights {
					sum += w
				}
				require.InDelta(t, 1, sum, 1e-5)
				require.True(t, f.first >= 0 && f.first+len(f.weights) <= n)
			}
		}
	}
}

func TestPrepareKeepsPixels(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 256, 256))
	for y := range 256 {
		for x := range 256 {
			m.SetNRGBA(x, y, color.NRGBA{uint8(x), uint8(y), uint8(x * y), uint8(1 + x/2)})
		}
	}
	x := make([]float32, 3*224*224)
	prepare(x, m, 224, 224, [3]float32{0.5, 0, 0}, [3]float32{2, 1, 1})
	for _, p := range [][2]int{{0, 0}, {223, 223}, {17, 200}} {
		i := p[1]*224 + p[0]
		px, py := p[0]+16, p[1]+16
		require.InDelta(t, (float64(px)/255-0.5)/2, x[i], 1e-6)
		require.InDelta(t, float64(py)/255, x[224*224+i], 1e-6)
		require.InDelta(t, float64(uint8(px*py))/255, x[2*224*224+i], 1e-6)
	}
}

// TestPrepareTypes gives the same picture as every type that the decoders make.
func TestPrepareTypes(t *testing.T) {
	at := func(x, y int) uint8 { return uint8(x*5 + y*3) }
	r := image.Rect(-3, 7, 27, 28) // bounds need not begin at 0
	gray := image.NewGray(r)
	images := map[string]interface {
		image.Image
		Set(x, y int, c color.Color)
	}{
		"gray": gray, "rgba": image.NewRGBA(r), "nrgba": image.NewNRGBA(r), "gray16": image.NewGray16(r),
		"rgba64": image.NewRGBA64(r), "nrgba64": image.NewNRGBA64(r), "cmyk": image.NewCMYK(r),
	}
	ycc := image.NewYCbCr(r, image.YCbCrSubsampleRatio444)
	for i := range ycc.Cb {
		ycc.Cb[i], ycc.Cr[i] = 128, 128
	}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			for _, m := range images {
				m.Set(x, y, color.Gray{at(x, y)})
			}
			ycc.Y[ycc.YOffset(x, y)] = at(x, y)
		}
	}
	want := make([]float32, 3*16*24)
	prepare(want, gray, 16, 24, [3]float32{}, one)
	got := make([]float32, len(want))
	for name, m := range images {
		prepare(got, m, 16, 24, [3]float32{}, one)
		require.InDeltaSlice(t, want, got, 1e-6, name)
	}
	prepare(got, ycc, 16, 24, [3]float32{}, one)
	require.InDeltaSlice(t, want, got, 1e-6)
}

// TestPrepareExtremes has sizes at which a careless resize takes all memory.
func TestPrepareExtremes(t *testing.T) {
	x := make([]float32, 3*224*224)
	for _, s := range [][2]int{{1, 1}, {1, 1_000_000}, {1_000_000, 1}, {2, 3}} {
		m := image.NewGray(image.Rect(0, 0, s[0], s[1]))
		for i := range m.Pix {
			m.Pix[i] = 51
		}
		prepare(x, m, 224, 224, [3]float32{}, one)
		for _, v := range x {
			require.InDelta(t, 0.2, v, 1e-5)
		}
	}
}
