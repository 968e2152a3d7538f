package main

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"slices"
	"strings"
)

// The colours of plots: those of what is drawn, of a second kind, and of marks.
const (
	plotInk, plotOther, plotMark, plotAxis = "#1b6ca8", "#d1495b", "#444444", "#dddddd"
)

// figure is a drawing area in SVG with axes.
type figure struct {
	b                        strings.Builder
	width, height            float64
	x0, x1, y0, y1           float64 // what the axes span
	left, right, top, bottom float64
	whole                    bool // x has whole numbers
}

func newFigure(width, height, x0, x1, y0, y1 float64) *figure {
	if !(x1 > x0) {
		x0, x1 = x0-0.5, x0+0.5
	}
	if !(y1 > y0) {
		y0, y1 = y0-0.5, y0+0.5
	}
	f := &figure{width: width, height: height, x0: x0, x1: x1, y0: y0, y1: y1, left: 52, right: 14, top: 10, bottom: 34}
	f.p(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" font-family="sans-serif" font-size="11">`, width, height, width, height)
	return f
}

func (f *figure) p(format string, v ...any) { fmt.Fprintf(&f.b, format+"\n", v...) }

func (f *figure) x(v float64) float64 {
	t := (v - f.x0) / (f.x1 - f.x0)
	return f.left + min(max(t, 0), 1)*(f.width-f.left-f.right)
}

func (f *figure) y(v float64) float64 {
	t := (v - f.y0) / (f.y1 - f.y0)
	return f.height - f.bottom - min(max(t, 0), 1)*(f.height-f.top-f.bottom)
}

// axes draws lines and labels at round values.
func (f *figure) axes(xName, yName string) {
	for _, v := range ticks(f.y0, f.y1, 5) {
		f.p(`<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s"/><text x="%.1f" y="%.1f" text-anchor="end">%s</text>`,
			f.left, f.width-f.right, f.y(v), f.y(v), plotAxis, f.left-5, f.y(v)+4, tickText(v))
	}
	xs := ticks(f.x0, f.x1, 6)
	for _, v := range xs {
		if f.whole && v != math.Round(v) {
			continue
		}
		f.p(`<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`,
			f.x(v), f.x(v), f.height-f.bottom, f.height-f.bottom+4, plotMark, f.x(v), f.height-f.bottom+15, tickText(v))
	}
	f.p(`<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s"/>`, f.left, f.width-f.right, f.height-f.bottom, f.height-f.bottom, plotMark)
	f.p(`<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, (f.left+f.width-f.right)/2, f.height-5, html.EscapeString(xName))
	f.p(`<text transform="translate(12 %.1f) rotate(-90)" text-anchor="middle">%s</text>`, (f.top+f.height-f.bottom)/2, html.EscapeString(yName))
}

func (f *figure) done() template.HTML {
	f.p(`</svg>`)
	return template.HTML(f.b.String()) //nolint:gosec // text in it is escaped
}

// ticks returns about n round values in [lo, hi].
func ticks(lo, hi float64, n int) []float64 {
	if !(hi > lo) || math.IsInf(hi-lo, 0) {
		return nil
	}
	raw := (hi - lo) / float64(n)
	step := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5, 10} {
		if step*m >= raw {
			step *= m
			break
		}
	}
	var out []float64
	for i := math.Ceil(lo / step); i*step <= hi && len(out) < 4*n; i++ {
		out = append(out, i*step)
	}
	return out
}

func tickText(v float64) string {
	if math.Abs(v) < 1e-12 {
		return "0"
	}
	if a := math.Abs(v); a >= 1e4 && a < 1e6 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.4g", v)
}

// bars draws a histogram: counts of equal bins over [lo, hi], on a scale of
// square roots so that tails are seen, with the clipping range marked.
func bars(counts []float64, lo, hi float64, clip [2]float64, name string) template.HTML {
	low, high := min(lo, clip[0]), max(hi, clip[1])
	pad := (high - low) * 0.03
	most := 0.0
	if len(counts) > 0 {
		most = math.Sqrt(slices.Max(counts))
	}
	f := newFigure(360, 170, low-pad, high+pad, 0, most*1.05)
	f.axes(name, "√count")
	for i, c := range counts {
		if c <= 0 {
			continue
		}
		a := lo + (hi-lo)*float64(i)/float64(len(counts))
		b := lo + (hi-lo)*float64(i+1)/float64(len(counts))
		f.p(`<rect x="%.2f" y="%.2f" width="%.2f" height="%.2f" fill="%s"/>`, f.x(a), f.y(math.Sqrt(c)), max(f.x(b)-f.x(a), 0.6), f.y(0)-f.y(math.Sqrt(c)), plotInk)
	}
	for _, c := range clip {
		f.p(`<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s" stroke-width="1.5" stroke-dasharray="4 3"/>`, f.x(c), f.x(c), f.top, f.height-f.bottom, plotOther)
	}
	return f.done()
}

// point is a dot of a scatter plot.
type point struct {
	x, y  float64
	name  string
	front bool // on the line of the best
}

// scatter draws points; those of the front are joined.
func scatter(points []point, xName, yName string) template.HTML {
	var xs, ys []float64
	for _, p := range points {
		xs, ys = append(xs, p.x), append(ys, p.y)
	}
	if len(points) == 0 {
		return ""
	}
	x0, x1, y0, y1 := slices.Min(xs), slices.Max(xs), slices.Min(ys), slices.Max(ys)
	dx, dy := max(x1-x0, math.Abs(x1)*0.05, 1e-9)*0.08, max(y1-y0, math.Abs(y1)*0.01, 1e-9)*0.08
	f := newFigure(560, 320, x0-dx, x1+dx, y0-dy, y1+dy)
	f.axes(xName, yName)
	front := slices.DeleteFunc(slices.Clone(points), func(p point) bool { return !p.front })
	slices.SortFunc(front, func(a, b point) int { return int(math.Copysign(1, a.x-b.x)) })
	var path []string
	for _, p := range front {
		path = append(path, fmt.Sprintf("%.1f,%.1f", f.x(p.x), f.y(p.y)))
	}
	f.p(`<polyline points="%s" fill="none" stroke="%s"/>`, strings.Join(path, " "), plotOther)
	for _, p := range points {
		colour := plotInk
		if p.front {
			colour = plotOther
		}
		f.p(`<circle cx="%.1f" cy="%.1f" r="4.5" fill="%s" fill-opacity="0.85"><title>%s</title></circle>`, f.x(p.x), f.y(p.y), colour, html.EscapeString(p.name))
	}
	return f.done()
}

// levels draws one bar for each of up to 60 rows, named on the left.
func levels(names []string, values []float64, unit string) template.HTML {
	if len(values) == 0 {
		return ""
	}
	const step = 16
	f := newFigure(720, float64(len(values)*step)+48, min(0, slices.Min(values)), slices.Max(values)*1.05, 0, 1)
	f.left = 300
	for _, v := range ticks(f.x0, f.x1, 6) {
		f.p(`<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`,
			f.x(v), f.x(v), f.top, f.height-f.bottom, plotAxis, f.x(v), f.height-f.bottom+15, tickText(v))
	}
	for i, v := range values {
		y := f.top + float64(i*step)
		f.p(`<text x="%.1f" y="%.1f" text-anchor="end">%s</text>`, f.left-6, y+12, html.EscapeString(clip(names[i], 48)))
		f.p(`<rect x="%.1f" y="%.1f" width="%.1f" height="%d" fill="%s"/>`, min(f.x(0), f.x(v)), y+2, math.Abs(f.x(v)-f.x(0)), step-4, plotInk)
	}
	f.p(`<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, (f.left+f.width-f.right)/2, f.height-4, html.EscapeString(unit))
	return f.done()
}
