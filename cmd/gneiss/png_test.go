package main

import (
	"bytes"
	"image/color"
	"image/png"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWritePNG(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, writePNG(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 30" width="40" height="30">
<rect x="2" y="2" width="10" height="10" fill="#ff0000" fill-opacity="0.5"/>
<line x1="20" x2="38" y1="5" y2="5" stroke="#0000ff" stroke-width="2"/>
<circle cx="10" cy="22" r="5" fill="#00ff00"><title>a point</title></circle>
<polyline points="20,10 25,25 30,10" fill="none" stroke="#000000" stroke-width="3"/>
<text x="38" y="28" text-anchor="end">H</text></svg>`))
	img, err := png.Decode(&b)
	require.NoError(t, err)
	require.Equal(t, 80, img.Bounds().Dx())
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(img.At(x, y)).(color.RGBA) }
	require.Equal(t, color.RGBA{255, 255, 255, 255}, at(1, 1))
	require.InDelta(t, 127, at(14, 14).G, 2)
	require.Equal(t, color.RGBA{0, 0, 255, 255}, at(60, 10))
	require.Equal(t, color.RGBA{0, 255, 0, 255}, at(20, 44))
	require.Equal(t, color.RGBA{255, 255, 255, 255}, at(29, 36), "outside of the circle")
	require.Equal(t, color.RGBA{0, 0, 0, 255}, at(50, 48), "where the lines meet")
	require.Equal(t, color.RGBA{255, 255, 255, 255}, at(50, 24), "between them")
	dark := 0
	for x := 64; x < 77; x++ {
		for y := 34; y < 58; y++ {
			if at(x, y).R < 100 {
				dark++
			}
		}
	}
	require.Greater(t, dark, 20, "the letter")

	require.Error(t, writePNG(&b, "<svg"))
	require.ErrorContains(t, writePNG(&b, `<svg width="1e9" height="3"/>`), "a figure of")
	require.ErrorContains(t, writePNG(&b, `<svg width="9" height="3"><polyline points="1,a"/></svg>`), `point "1,a"`)
}
