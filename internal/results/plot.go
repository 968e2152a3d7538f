package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// colours of one, two and more threads.
var colours = []string{"#1b6ca8", "#d1495b", "#66a182"}

// plot draws the ratios of a run, a line for each model, on a logarithmic axis.
func plot(r run) string {
	rows := sorted(r.Rows)
	var models []string
	for _, x := range rows {
		if len(models) == 0 || models[len(models)-1] != x.Model {
			models = append(models, x.Model)
		}
	}
	const left, right, top, step, width = 260, 30, 46, 15, 620
	low, high := 0.5, 1.5
	for _, x := range rows {
		low, high = min(low, x.Ratio/1.1), max(high, x.Ratio*1.1)
	}
	at := func(ratio float64) float64 {
		return left + width*math.Log(ratio/low)/math.Log(high/low)
	}
	bottom := top + step*len(models)
	var b strings.Builder
	p := func(format string, v ...any) { fmt.Fprintf(&b, format+"\n", v...) }
	p(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`, left+width+right, bottom+34)
	p(`<rect width="100%%" height="100%%" fill="#ffffff"/>`)
	for i := range models {
		y := top + step*i + step/2
		p(`<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="#f3f3f3"/>`, left, y, left+width, y)
	}
	for _, tick := range []float64{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.3, 2, 3, 5, 10} {
		if tick < low || tick > high {
			continue
		}
		colour := "#e4e4e4"
		if tick == 1 {
			colour = "#333333"
		}
		p(`<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s"/>`, at(tick), top-6, at(tick), bottom, colour)
		p(`<text x="%.1f" y="%d" text-anchor="middle">%g</text>`, at(tick), bottom+14, tick)
	}
	p(`<text x="%d" y="%d" text-anchor="middle">latency by ONNX Runtime's (left of 1: Gneiss is faster)</text>`, left+width/2, bottom+29)
	for i, m := range models {
		y := top + step*i + step/2
		p(`<text x="%d" y="%d" text-anchor="end">%s</text>`, left-8, y+4, html.EscapeString(m))
		for _, x := range rows {
			if x.Model == m {
				p(`<circle cx="%.1f" cy="%d" r="4" fill="%s" fill-opacity="0.85"/>`, at(x.Ratio), y, colour(r, x.Threads))
			}
		}
	}
	for i, th := range threadsOf(r.Rows) {
		p(`<circle cx="%d" cy="20" r="4" fill="%s"/><text x="%d" y="24">%s</text>`, left+i*110, colour(r, th), left+8+i*110, counted(th))
	}
	p(`</svg>`)
	return b.String()
}

func colour(r run, threads int) string {
	for i, th := range threadsOf(r.Rows) {
		if th == threads {
			return colours[min(i, len(colours)-1)]
		}
	}
	return "#000000"
}

func counted(threads int) string {
	if threads == 1 {
		return "1 thread"
	}
	return fmt.Sprint(threads, " threads")
}
