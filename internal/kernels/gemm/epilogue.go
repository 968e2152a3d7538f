package gemm

import (
	"math"
	"unsafe"
)

// Epilogue is what happens to C beside the product:
//
//	C = Act(clip(Scale·A·B + Row + Col + Add))
//
// The zero Epilogue is nothing.
type Epilogue[T Number] struct {
	Acc bool // C += A·B, without Scale; then the rest
	Row []T  // M values, of which Row[i] is added to row i
	Col []T  // N values, of which Col[j] is added to column j
	// Scale multiplies A·B; 0 stands for 1.
	Scale T
	// Add, if not nil, is an M x N matrix with rows LDAdd apart.
	Add   []T
	LDAdd int
	// Clip limits the sums to [Lo, Hi]; NaN stays NaN.
	Clip   bool
	Lo, Hi T
	// Act is called for pieces of rows whose sums are complete, and changes them
	// in place.
	Act func(c []T)
}

// late reports whether there is something to do when the sums are complete.
func (e *Epilogue[T]) late() bool {
	return e.Row != nil || e.Col != nil || e.Add != nil || e.Clip || e.Act != nil || e.Scale != 0 && e.Scale != 1
}

// Finish does what comes after the sums of rows [i0, i1) from column j0 to before j1: c
// begins with the first of them, its rows ldc apart.
func (e *Epilogue[T]) Finish(t *Table, c []T, ldc, i0, i1, j0, j1 int) {
	if f, ok := any(e).(*Epilogue[float32]); ok && t != nil && t.Finish32 != nil {
		f.finish32(t, any(c).([]float32), ldc, i0, i1, j0, j1)
		return
	}
	dense := ldc == j1-j0 // rows follow each other
	for i := i0; i < i1; i++ {
		row := c[(i-i0)*ldc:][:j1-j0]
		if e.Scale != 0 && e.Scale != 1 {
			for x := range row {
				row[x] *= e.Scale
			}
		}
		if e.Row != nil {
			v := e.Row[i]
			for x := range row {
				row[x] += v
			}
		}
		if e.Col != nil {
			for x, v := range e.Col[j0:j1] {
				row[x] += v
			}
		}
		if e.Add != nil {
			for x, v := range e.Add[i*e.LDAdd+j0:][:len(row)] {
				row[x] += v
			}
		}
		if e.Clip {
			for x, v := range row {
				if v < e.Lo {
					row[x] = e.Lo
				} else if v > e.Hi {
					row[x] = e.Hi
				}
			}
		}
		if e.Act != nil && !dense {
			e.Act(row)
		}
	}
	if e.Act != nil && dense {
		e.Act(c[:(i1-i0)*ldc])
	}
}

func (e *Epilogue[T]) finish32(t *Table, c []float32, ldc, i0, i1, j0, j1 int) {
	f := any(e).(*Epilogue[float32])
	scale, lo, hi := float32(1), float32(math.Inf(-1)), float32(math.Inf(1))
	plain := f.Row == nil && f.Col == nil && f.Add == nil && !f.Clip
	if f.Scale != 0 {
		scale = f.Scale
		plain = plain && scale == 1
	}
	if f.Clip {
		lo, hi = f.Lo, f.Hi
	}
	const piece = 8192 // a bound on the length of one call
	if n := j1 - j0; n > 0 && t.AddCol32 != nil && f.Col != nil && f.Row == nil && f.Add == nil && !f.Clip && scale == 1 && n <= piece {
		for i := i0; i < i1; {
			m := min(i1-i, piece/n)
			block := c[(i-i0)*ldc:][:(m-1)*ldc+n]
			addCol(t, block, m, n, ldc, f.Col[j0:j1])
			if f.Act != nil && ldc == n {
				f.Act(block)
				block = nil
			}
			for ; f.Act != nil && len(block) > 0; block = block[min(ldc, len(block)):] {
				f.Act(block[:n])
			}
			i += m
		}
		return
	}
	term := float32(math.Copysign(0, -1)) // x + -0 is x, even for x = -0
	for i := i0; i < i1; i++ {
		row := c[(i-i0)*ldc:][:j1-j0]
		if f.Row != nil {
			term = f.Row[i]
		}
		for j := j0; j < j1 && !plain; j += piece {
			var col, z unsafe.Pointer
			n := min(j1-j, piece)
			if f.Col != nil {
				col = unsafe.Pointer(&f.Col[j : j+n][0])
			}
			if f.Add != nil {
				z = unsafe.Pointer(&f.Add[i*f.LDAdd+j:][:n][0])
			}
			t.Finish32(n, unsafe.Pointer(&row[j-j0]), col, z, scale, term, lo, hi)
		}
		if f.Act != nil {
			f.Act(row)
		}
	}
}

// addCol adds col to rows of n elements, ldc apart. Short rows that follow each other are taken together: col
// is repeated for them.
func addCol(t *Table, c []float32, rows, n, ldc int, col []float32) {
	const long = 128
	if again := long / n; again >= 4 && ldc == n && rows >= 2*again {
		buf := getBuf[float32](again * n)
		for i := range again {
			copy(buf.s[i*n:(i+1)*n], col)
		}
		whole := rows / again
		t.AddCol32(whole, again*n, unsafe.Pointer(&c[0]), again*n*4, unsafe.Pointer(&buf.s[0]))
		putBuf(buf)
		if rows -= whole * again; rows == 0 {
			return
		}
		c = c[whole*again*n:]
	}
	t.AddCol32(rows, n, unsafe.Pointer(&c[0]), ldc*4, unsafe.Pointer(&col[0]))
}
