package tensor

import (
	"fmt"
	"strconv"
	"strings"
)

// String returns element type and shape, e.g. "float32 [1 3 224 224]".
func (t *Tensor) String() string { return fmt.Sprint(t.dtype, " ", t.shape) }

// edgeItems is how many elements a shortened print shows on each side.
const edgeItems = 3

// Format returns the elements as NumPy prints them, a line per row of the last
// dimension. If there are more than maxElems, only the first and last three
// along each dimension are shown. Floats have up to 8 digits.
func (t *Tensor) Format(maxElems int) string {
	if t.Rank() == 0 {
		return t.element(0)
	}
	if t.n == 0 {
		return "[]"
	}
	p := printer{t: t, strides: Strides(t.shape), short: t.n > maxElems, texts: map[int]string{}}
	p.walk(0, 0, func(i int) {
		s := t.element(i)
		p.texts[i] = s
		p.width = max(p.width, len([]rune(s)))
	}, nil)
	last := t.Rank() - 1
	p.walk(0, 0, func(i int) {
		s := p.texts[i]
		p.b.WriteString(strings.Repeat(" ", p.width-len([]rune(s))))
		p.b.WriteString(s)
	}, func(dim int, what layout) {
		switch {
		case what == opening:
			p.b.WriteByte('[')
		case what == closing:
			p.b.WriteByte(']')
		case what == gap:
			p.b.WriteString("...")
		case dim == last:
			p.b.WriteByte(' ')
		default: // rows are apart by a line, planes by an empty one
			p.b.WriteString(strings.Repeat("\n", last-dim))
			p.b.WriteString(strings.Repeat(" ", dim+1))
		}
	})
	return p.b.String()
}

type layout uint8

const (
	opening layout = iota
	between        // two neighbours
	gap            // what is left out
	closing
)

type printer struct {
	t       *Tensor
	strides []int
	short   bool
	texts   map[int]string
	width   int
	b       strings.Builder
}

// walk visits the elements that are shown, from element off on, and what
// stands around them.
func (p *printer) walk(dim, off int, elem func(int), around func(int, layout)) {
	if dim == p.t.Rank() {
		elem(off)
		return
	}
	if around == nil {
		around = func(int, layout) {}
	}
	around(dim, opening)
	n := p.t.shape[dim]
	for i := 0; i < n; i++ {
		if p.short && n > 2*edgeItems && i == edgeItems {
			around(dim, between)
			around(dim, gap)
			around(dim, between)
			i = n - edgeItems
		} else if i > 0 {
			around(dim, between)
		}
		p.walk(dim+1, off+i*p.strides[dim], elem, around)
	}
	around(dim, closing)
}

// element returns element i as text.
func (t *Tensor) element(i int) string {
	switch v := t.At(i).(type) {
	case float32:
		return strconv.FormatFloat(float64(v), 'g', 8, 64)
	case float64:
		return strconv.FormatFloat(v, 'g', 8, 64)
	case complex64:
		return strconv.FormatComplex(complex128(v), 'g', 8, 128)
	case complex128:
		return strconv.FormatComplex(v, 'g', 8, 128)
	case string:
		return strconv.Quote(v)
	default:
		return fmt.Sprint(v)
	}
}
