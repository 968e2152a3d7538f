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

// finish does what comes after the sums of a piece of row i from column j on.
func (e *Epilogue[T]) finish(t *Table, row []T, i, j int) {
	if f, ok := any(e).(*Epilogue[float32]); ok && t != nil && t.Finish32 != nil {
		f.finish32(t, any(row).([]float32), i, j)
		if e.Act != nil {
			e.Act(row)
		}
		return
	}
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
		for x, v := range e.Col[j:][:len(row)] {
			row[x] += v
		}
	}
	if e.Add != nil {
		for x, v := range e.Add[i*e.LDAdd+j:][:len(row)] {
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
	if e.Act != nil {
		e.Act(row)
	}
}

func (e *Epilogue[T]) finish32(t *Table, row []float32, i, j int) {
	f := any(e).(*Epilogue[float32])
	scale, term, lo, hi := float32(1), float32(0), float32(math.Inf(-1)), float32(math.Inf(1))
	plain := f.Row == nil && f.Col == nil && f.Add == nil && !f.Clip
	if f.Scale != 0 {
		scale = f.Scale
		plain = plain && scale == 1
	}
	if plain {
		return
	}
	if f.Row != nil {
		term = f.Row[i]
	} else {
		term = float32(math.Copysign(0, -1)) // x + -0 is x, even for x = -0
	}
	var col, z unsafe.Pointer
	if f.Col != nil {
		col = unsafe.Pointer(unsafe.SliceData(f.Col[j:][:len(row)]))
	}
	if f.Add != nil {
		z = unsafe.Pointer(unsafe.SliceData(f.Add[i*f.LDAdd+j:][:len(row)]))
	}
	if f.Clip {
		lo, hi = f.Lo, f.Hi
	}
	const piece = 8192 // a bound on the length of one call
	for n := len(row); n > 0; n -= piece {
		t.Finish32(min(n, piece), unsafe.Pointer(&row[len(row)-n]), col, z, scale, term, lo, hi)
		if col != nil && n > piece {
			col = unsafe.Add(col, piece*4)
		}
		if z != nil && n > piece {
			z = unsafe.Add(z, piece*4)
		}
	}
}
