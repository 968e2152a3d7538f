package nhwc

// A box holds positions of a view that see the same taps, for these alone are
// its products. It is a view of its own.
type box struct {
	view
	pixels int // of all images
	blocks int // of positions, in this box and those before it
	rows   int // of a block
}

const (
	boxGain = 0.06 // the share of the work that boxes must save
	mostBox = 27
)

// cut cuts the positions of r.v into boxes. It reports whether that saves work:
// where the images are small, or taps lie far apart, many of them see padding.
func (r *dense[T]) cut() bool {
	v := &r.v
	r.boxes = r.boxes[:0]
	if r.segs < 2 || r.cg < 8 {
		return false
	}
	var ends [3][mostBox]int
	var runs [3]int
	all := 1
	for d := range 3 {
		n := 0
		for i := 0; i < v.count[d]; n++ {
			if n == mostBox {
				return false
			}
			i = r.same(d, i)
			ends[d][n] = i
		}
		runs[d] = n
		all *= n
	}
	if all < 2 || all > mostBox {
		return false
	}
	least := max(3, r.mr/3) // rows of a tile below which it takes no less time
	work := func(pixels, taps int) int {
		tiles := (pixels + r.mr - 1) / r.mr
		return max(pixels, tiles*least) * taps
	}
	cost := 0
	var lo [3]int
	for z := range runs[0] {
		for y := range runs[1] {
			for x := range runs[2] {
				b := box{view: *v, pixels: r.n}
				taps := 1
				for d, i := range [3]int{z, y, x} {
					lo[d] = 0
					if i > 0 {
						lo[d] = ends[d][i-1]
					}
					b.first[d] += lo[d] * v.step[d]
					b.at[d] += lo[d] * v.stepIn[d]
					b.count[d] = ends[d][i] - lo[d]
					b.pixels *= b.count[d]
					taps *= r.taps(d, lo[d])
				}
				cost += work(b.pixels, taps)
				r.boxes = append(r.boxes, b)
			}
		}
	}
	return float64(cost) < (1-boxGain)*float64(work(r.pixels, r.segs))
}

// sees reports whether position i sees a pixel by the tap at off along dimension d.
func (r *dense[T]) sees(d, i, off int) bool { return uint(i*r.v.stepIn[d]+off) < uint(r.x3[d]) }

// taps returns the number of taps by which position i sees pixels along dimension d.
func (r *dense[T]) taps(d, i int) int {
	n := 0
	for _, off := range r.v.off[d] {
		if r.sees(d, i, off) {
			n++
		}
	}
	return n
}

// same returns the end of the positions from i on that see by the same taps along
// dimension d.
func (r *dense[T]) same(d, i int) int {
	end := i + 1
	for ; end < r.v.count[d]; end++ {
		for _, off := range r.v.off[d] {
			if r.sees(d, i, off) != r.sees(d, end, off) {
				return end
			}
		}
	}
	return end
}

// share cuts the boxes into blocks and returns their number.
func (r *dense[T]) share() int {
	n := 0
	for i := range r.boxes {
		b := &r.boxes[i]
		parts := (b.pixels + r.rows - 1) / r.rows
		b.rows = (b.pixels + parts - 1) / parts
		n += (b.pixels + b.rows - 1) / b.rows
		b.blocks = n
	}
	return n
}
