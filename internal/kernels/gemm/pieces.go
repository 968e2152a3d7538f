package gemm

import "unsafe"

// Piece is a stretch of K products: columns A… of A and rows B… of B.
type Piece struct{ A, B, K int }

// Pieces adds up products of pieces of A [m, …], whose rows lie ars apart, with pieces
// of one panel of packed B:
//
//	C[:, :w] = Σ A[:, p.A:p.A+p.K] · B[p.B:p.B+p.K, :w]
//
// or adds them to C if acc is set. w is at most Panel. Without pieces C is 0, or stays.
// The pieces and their products are added in order.
func Pieces[T Number](t *Table, c []T, ldc, m, w int, a []T, ars int, b []T, pieces []Piece, acc bool) {
	if m <= 0 || w <= 0 {
		return
	}
	if !acc && len(pieces) == 0 {
		for i := range m {
			clear(c[i*ldc : i*ldc+w])
		}
		return
	}
	if w > Panel || len(c) < (m-1)*ldc+w {
		panic("gemm: C is too short")
	}
	kern := kernelOf[T](t)
	mr := tileRows[T](kern.mr, ars)
	tiles := (m + mr - 1) / mr
	for _, p := range pieces {
		if p.K <= 0 || p.A < 0 || p.B < 0 || len(a) < (m-1)*ars+p.A+p.K || len(b) < (p.B+p.K)*Panel {
			panic("gemm: a piece does not fit")
		}
		kb := kBlock[T](p.K)
		for k := 0; k < p.K; k += kb {
			kc := min(kb, p.K-k)
			bp := unsafe.Pointer(&b[(p.B+k)*Panel])
			for t, i := 0, 0; t < tiles; t++ {
				r := (m - i) / (tiles - t)
				kern.tile(r, kc, unsafe.Pointer(&a[i*ars+p.A+k]), ars, bp, Panel, unsafe.Pointer(&c[i*ldc]), ldc, w, acc)
				i += r
			}
			acc = true
		}
	}
}
