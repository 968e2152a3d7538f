package main

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"slices"
	"strings"
)

// curve is a line of a plot. Its points are in the order of x.
type curve struct {
	name  string
	x, y  []float64
	faint bool // behind others
}

// curveColours are those of curves, in their order.
var curveColours = []string{plotInk, plotOther, "#2a8f5b", "#8a5a9e", "#c98a1b", "#5b6770"}

// most points of a curve that are drawn; of more, bins' lowest and highest are.
const curvePoints = 600

// curves draws lines over one scale, x being counts, with a legend above. It is empty if no curve has points.
func curves(list []curve, xName, yName string) template.HTML {
	var xs, ys []float64
	shown := 0
	for i := range list {
		c := &list[i]
		c.x, c.y = thin(c.x, c.y)
		xs, ys = append(xs, c.x...), append(ys, c.y...)
		if len(c.x) > 0 {
			shown++
		}
	}
	if shown == 0 {
		return ""
	}
	x0, x1, y0, y1 := slices.Min(xs), slices.Max(xs), slices.Min(ys), slices.Max(ys)
	pad := (y1 - y0) * 0.05
	if pad <= math.Abs(y1)*1e-6 { // a constant
		pad = max(math.Abs(y1)*0.2, 1e-9)
	}
	low := y0 - pad
	if y0 >= 0 {
		low = max(low, 0)
	}
	f := newFigure(470, 290, x0, x1, low, y1+pad)
	f.whole = true
	if f.left = 60; shown > 1 {
		f.top = 26
	}
	f.axes(xName, yName)
	at := f.left
	for i, c := range list {
		if len(c.x) == 0 {
			continue
		}
		colour, opacity := curveColours[i%len(curveColours)], 1.0
		if c.faint {
			opacity = 0.35
		}
		points := make([]string, len(c.x))
		for k := range c.x {
			points[k] = fmt.Sprintf("%.1f,%.1f", f.x(c.x[k]), f.y(c.y[k]))
		}
		f.p(`<polyline points="%s" fill="none" stroke="%s" stroke-opacity="%g" stroke-width="1.6" stroke-linejoin="round"/>`, strings.Join(points, " "), colour, opacity)
		if len(c.x) <= 40 {
			for k := range c.x {
				f.p(`<circle cx="%.1f" cy="%.1f" r="2.4" fill="%s" fill-opacity="%g"><title>%s</title></circle>`, f.x(c.x[k]), f.y(c.y[k]), colour, opacity,
					html.EscapeString(fmt.Sprintf("%s, %s %g: %.5g", c.name, xName, c.x[k], c.y[k])))
			}
		}
		if shown > 1 {
			name := clip(c.name, 24)
			f.p(`<line x1="%.1f" x2="%.1f" y1="12" y2="12" stroke="%s" stroke-opacity="%g" stroke-width="2.5"/><text x="%.1f" y="16">%s</text>`,
				at, at+16, colour, opacity, at+20, html.EscapeString(name))
			at += 34 + 6.3*float64(len([]rune(name)))
		}
	}
	return f.done()
}

// thin leaves out what is not finite, and of many points all but the lowest and highest of each bin.
func thin(x, y []float64) (px, py []float64) {
	for i, v := range y {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			px, py = append(px, x[i]), append(py, v)
		}
	}
	if len(px) <= curvePoints {
		return px, py
	}
	x, y = px, py
	px, py = nil, nil
	bins := curvePoints / 2
	for b := range bins {
		from, to := b*len(x)/bins, (b+1)*len(x)/bins
		lo, hi := from, from
		for i := from; i < to; i++ {
			if y[i] < y[lo] {
				lo = i
			}
			if y[i] > y[hi] {
				hi = i
			}
		}
		px, py = append(px, x[min(lo, hi)]), append(py, y[min(lo, hi)])
		if lo != hi {
			px, py = append(px, x[max(lo, hi)]), append(py, y[max(lo, hi)])
		}
	}
	return px, py
}

// matrix draws counts of a confusion matrix, rows of true classes, shaded by their
// share of the row. name says what a class is called.
func matrix(m [][]int, name func(class int) string) template.HTML {
	n := len(m)
	if n == 0 {
		return ""
	}
	cell := min(44, max(18, 560/float64(n)))
	const left, top = 58, 40
	size := cell * float64(n)
	f := &figure{}
	f.p(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" font-family="sans-serif" font-size="11">`, left+size+6, top+size+6, left+size+6, top+size+6)
	f.p(`<text x="%g" y="12" text-anchor="middle">predicted class</text>`, left+size/2)
	f.p(`<text transform="translate(12 %g) rotate(-90)" text-anchor="middle">true class</text>`, top+size/2)
	for i, row := range m {
		all := 0
		for _, v := range row {
			all += v
		}
		mid := float64(i)*cell + cell/2
		f.p(`<text x="%g" y="%g" text-anchor="end">%d</text><text x="%g" y="%d" text-anchor="middle">%d</text>`, float64(left)-6, top+mid+4, i, left+mid, top-6, i)
		for k, v := range row {
			share := 0.0
			if all > 0 {
				share = float64(v) / float64(all)
			}
			colour, text := plotOther, "#222222"
			if i == k {
				colour = plotInk
			}
			if share > 0.55 {
				text = "#ffffff"
			}
			x, y := left+float64(k)*cell, top+float64(i)*cell
			f.p(`<rect x="%g" y="%g" width="%g" height="%g" fill="%s" fill-opacity="%.3f" stroke="%s"><title>%d of %d of class %s taken for %s</title></rect>`,
				x, y, cell, cell, colour, math.Sqrt(share), plotAxis, v, all, template.HTMLEscapeString(name(i)), template.HTMLEscapeString(name(k)))
			if v > 0 && cell >= 6.2*float64(len(fmt.Sprint(v)))+2 {
				f.p(`<text x="%g" y="%g" text-anchor="middle" fill="%s" pointer-events="none">%d</text>`, x+cell/2, y+cell/2+4, text, v)
			}
		}
	}
	return f.done()
}
