package main

import (
	"encoding/xml"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"strconv"
	"strings"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// pngScale is how many pixels of a PNG make one of a figure's units.
const pngScale = 2

// writePNG draws a figure of this package, which is SVG, as PNG: its lines, polylines, circles,
// rectangles and texts, on white.
func writePNG(w io.Writer, svg string) error {
	var root struct {
		Width  float64   `xml:"width,attr"`
		Height float64   `xml:"height,attr"`
		Shapes []svgPart `xml:",any"`
	}
	if err := xml.Unmarshal([]byte(svg), &root); err != nil {
		return err
	}
	if !(root.Width >= 1 && root.Width <= 4096 && root.Height >= 1 && root.Height <= 4096) {
		return fmt.Errorf("a figure of %g×%g", root.Width, root.Height)
	}
	p := painter{image.NewRGBA(image.Rect(0, 0, int(root.Width*pngScale+0.5), int(root.Height*pngScale+0.5)))}
	draw.Draw(p.img, p.img.Bounds(), image.White, image.Point{}, draw.Src)
	for i := range root.Shapes {
		if err := p.draw(&root.Shapes[i]); err != nil {
			return err
		}
	}
	return png.Encode(w, p.img)
}

// svgPart is an element of a figure.
type svgPart struct {
	XMLName xml.Name
	Attrs   []xml.Attr `xml:",any,attr"`
	Text    string     `xml:",chardata"`
}

func (s *svgPart) attr(name string) string {
	for _, a := range s.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// number is an attribute in pixels, 0 where it is absent.
func (s *svgPart) number(name string) float64 {
	v, err := strconv.ParseFloat(s.attr(name), 64)
	if err != nil {
		return 0
	}
	return v * pngScale
}

// colour is that of a fill or stroke, with its opacity, and transparent where there is none.
func (s *svgPart) colour(name string) color.Color {
	text := s.attr(name)
	v, err := strconv.ParseUint(strings.TrimPrefix(text, "#"), 16, 32)
	if len(text) != 7 || err != nil {
		return color.Transparent
	}
	opacity := 1.0
	if o, err := strconv.ParseFloat(s.attr(name+"-opacity"), 64); err == nil {
		opacity = min(max(o, 0), 1)
	}
	return color.NRGBA{uint8(v >> 16), uint8(v >> 8), uint8(v), uint8(opacity*255 + 0.5)}
}

type painter struct{ img *image.RGBA }

func (p painter) draw(s *svgPart) error {
	switch s.XMLName.Local {
	case "line":
		p.stroke(s, [][2]float64{{s.number("x1"), s.number("y1")}, {s.number("x2"), s.number("y2")}})
	case "polyline":
		var points [][2]float64
		for _, f := range strings.Fields(s.attr("points")) {
			x, y, _ := strings.Cut(f, ",")
			px, err := strconv.ParseFloat(x, 64)
			if err != nil {
				return fmt.Errorf("point %q: %w", f, err)
			}
			py, err := strconv.ParseFloat(y, 64)
			if err != nil {
				return fmt.Errorf("point %q: %w", f, err)
			}
			points = append(points, [2]float64{px * pngScale, py * pngScale})
		}
		p.stroke(s, points)
	case "circle":
		p.fill(s.colour("fill"), func(r *vector.Rasterizer) { disc(r, s.number("cx"), s.number("cy"), s.number("r")) })
	case "rect":
		x, y, w, h := s.number("x"), s.number("y"), s.number("width"), s.number("height")
		p.fill(s.colour("fill"), func(r *vector.Rasterizer) { polygon(r, [][2]float64{{x, y}, {x + w, y}, {x + w, y + h}, {x, y + h}}) })
		p.stroke(s, [][2]float64{{x, y}, {x + w, y}, {x + w, y + h}, {x, y + h}, {x, y}})
	case "text":
		p.text(s)
	}
	return nil
}

// fill paints the shape that add adds, with smooth edges.
func (p painter) fill(c color.Color, add func(r *vector.Rasterizer)) {
	if c == color.Transparent {
		return
	}
	r := vector.NewRasterizer(p.img.Bounds().Dx(), p.img.Bounds().Dy())
	add(r)
	r.Draw(p.img, p.img.Bounds(), image.NewUniform(c), image.Point{})
}

// stroke paints a line with round joints, each place once.
func (p painter) stroke(s *svgPart, points [][2]float64) {
	half := s.number("stroke-width") / 2
	if half == 0 {
		half = pngScale / 2.
	}
	p.fill(s.colour("stroke"), func(r *vector.Rasterizer) {
		for i := 1; i < len(points); i++ {
			a, b := points[i-1], points[i]
			dx, dy := b[0]-a[0], b[1]-a[1]
			n := math.Hypot(dx, dy)
			if n == 0 {
				continue
			}
			ox, oy := -dy/n*half, dx/n*half
			polygon(r, [][2]float64{{a[0] + ox, a[1] + oy}, {a[0] - ox, a[1] - oy}, {b[0] - ox, b[1] - oy}, {b[0] + ox, b[1] + oy}})
			if i > 1 && half > 1 {
				disc(r, a[0], a[1], half)
			}
		}
	})
}

// polygon adds a closed shape, always in one direction of turning, so that overlapping ones add up.
func polygon(r *vector.Rasterizer, points [][2]float64) {
	area := 0.0
	for i, a := range points {
		b := points[(i+1)%len(points)]
		area += a[0]*b[1] - a[1]*b[0]
	}
	at := func(i int) (float32, float32) {
		if area < 0 {
			i = len(points) - 1 - i
		}
		return float32(points[i][0]), float32(points[i][1])
	}
	r.MoveTo(at(0))
	for i := 1; i < len(points); i++ {
		r.LineTo(at(i))
	}
	r.ClosePath()
}

func disc(r *vector.Rasterizer, x, y, radius float64) {
	points := make([][2]float64, 24)
	for i := range points {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / float64(len(points)))
		points[i] = [2]float64{x + radius*cos, y + radius*sin}
	}
	polygon(r, points)
}

// text writes a text, or one that is turned by -90 degrees about its place.
func (p painter) text(s *svgPart) {
	face := basicfont.Face7x13
	runes := []rune(s.Text)
	width, height := len(runes)*face.Advance, face.Height
	if width == 0 || width > 4096 {
		return
	}
	small := image.NewRGBA(image.Rect(0, 0, width, height))
	ink := s.colour("fill")
	if ink == color.Transparent {
		ink = color.Black
	}
	d := font.Drawer{Dst: small, Src: image.NewUniform(ink), Face: face, Dot: fixed.P(0, face.Ascent)}
	d.DrawString(s.Text)
	x, y := s.number("x"), s.number("y")
	turned := false
	if _, err := fmt.Sscanf(s.attr("transform"), "translate(%f %f) rotate(-90)", &x, &y); err == nil {
		x, y, turned = x*pngScale, y*pngScale, true
	}
	// The font's pixels are a little large beside the other sizes of a figure.
	const size = pngScale * 11. / 13
	w, h, up := int(float64(width)*size), int(float64(height)*size), float64(face.Ascent)*size
	shift := 0.0
	switch s.attr("text-anchor") {
	case "middle":
		shift = float64(w) / 2
	case "end":
		shift = float64(w)
	}
	if !turned {
		at := image.Pt(int(x-shift), int(y-up))
		draw.CatmullRom.Scale(p.img, image.Rectangle{at, at.Add(image.Pt(w, h))}, small, small.Bounds(), draw.Over, nil)
		return
	}
	up90 := image.NewRGBA(image.Rect(0, 0, height, width))
	for i := range width {
		for j := range height {
			up90.Set(j, width-1-i, small.At(i, j))
		}
	}
	at := image.Pt(int(x-up), int(y+shift)-w)
	draw.CatmullRom.Scale(p.img, image.Rectangle{at, at.Add(image.Pt(h, w))}, up90, up90.Bounds(), draw.Over, nil)
}
