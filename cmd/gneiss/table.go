package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table prints rows with columns of equal width. A column whose name begins
// with ">" is set flush right.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = fmt.Sprint(c)
	}
	t.rows = append(t.rows, row)
}

// print writes the table; on a terminal lines end where it does.
func (t *table) print(w io.Writer) {
	width := make([]int, len(t.head))
	right := make([]bool, len(t.head))
	head := make([]string, len(t.head))
	for i, h := range t.head {
		head[i], right[i] = strings.CutPrefix(h, ">")
		width[i] = utf8.RuneCountInString(head[i])
		for _, r := range t.rows {
			width[i] = max(width[i], utf8.RuneCountInString(r[i]))
		}
	}
	columns := terminalWidth(w)
	line := func(cells []string) {
		var b strings.Builder
		for i, c := range cells {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			if i > 0 {
				b.WriteString("  ")
			}
			if right[i] {
				b.WriteString(pad + c)
			} else {
				b.WriteString(c + pad)
			}
		}
		text := strings.TrimRight(b.String(), " ")
		if columns > 0 {
			text = clip(text, columns)
		}
		fmt.Fprintln(w, text)
	}
	line(head)
	for _, r := range t.rows {
		line(r)
	}
}

// bytesText writes a size for people: "1.5 MB".
func bytesText(n int64) string { return scaled(float64(n), "B") }

// countText writes a count for people: "25.6 M".
func countText(n int64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return strings.TrimSpace(scaled(float64(n), ""))
}

func scaled(x float64, unit string) string {
	for _, p := range []string{"", "k", "M", "G", "T"} {
		if x < 1000 || p == "T" {
			if p == "" {
				return fmt.Sprintf("%.0f %s", x, unit)
			}
			return fmt.Sprintf("%.3g %s%s", x, p, unit)
		}
		x /= 1000
	}
	return ""
}
