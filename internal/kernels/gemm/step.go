package gemm

import "unsafe"

// Step computes panels [from, to) of C = A·B for m rows and packed B on the
// caller alone. It is for products that are repeated step by step: it allocates
// nothing and looks nothing up. Rows of C have room for whole panels: what lies
// behind column N is overwritten.
//
// With down set, the panels are taken from the last to the first. A product
// that is repeated with alternating directions finds in the cache what the one
// before it read last, even where the whole of B does not fit.
func Step(t *Table, b *Packed[float32], m int, a []float32, lda int, c []float32, ldc, from, to int, down bool) {
	if m <= 0 || from >= to {
		return
	}
	k := b.K
	c = c[:(m-1)*ldc+to*Panel]
	if k == 0 {
		for i := range m {
			clear(c[i*ldc+from*Panel : i*ldc+to*Panel])
		}
		return
	}
	a = a[:(m-1)*lda+k]
	data := b.Data[:to*k*Panel]
	if m >= len(t.Few32) || t.Few32[m] == nil {
		mr := tileRows[float32](t.MR32, lda)
		tiles := (m + mr - 1) / mr
		mr = (m + tiles - 1) / tiles // 16 rows are 8 and 8 rather than 14 and 2
		kb := kBlock[float32](k)
		for s := from; s < to; s++ {
			j := s
			if down {
				j = from + to - 1 - s
			}
			for k0 := 0; k0 < k; k0 += kb {
				for i := 0; i < m; i += mr {
					t.Tile32(min(mr, m-i), min(kb, k-k0), unsafe.Pointer(&a[i*lda+k0]), lda, unsafe.Pointer(&data[(j*k+k0)*Panel]), Panel,
						unsafe.Pointer(&c[i*ldc+j*Panel]), ldc, Panel, k0 > 0)
				}
			}
		}
		return
	}
	several, one, np := t.Few32[m], t.One32[m], t.FewPanels[m]
	if size := k * Panel * 4; np*size > cacheShare && size <= cacheShare {
		np = 1 // the cache then holds whole panels of the last product
		several = one
	}
	groups := (to - from + np - 1) / np
	for s := range groups {
		if down {
			s = groups - 1 - s
		}
		j, end := from+s*np, min(from+(s+1)*np, to)
		if end-j == np {
			for k0 := 0; k0 < k; k0 += fewBlock {
				several(min(fewBlock, k-k0), unsafe.Pointer(&a[k0]), lda, unsafe.Pointer(&data[(j*k+k0)*Panel]), k*Panel, unsafe.Pointer(&c[j*Panel]), ldc, k0 > 0)
			}
			continue
		}
		for ; j < end; j++ {
			for k0 := 0; k0 < k; k0 += fewBlock {
				one(min(fewBlock, k-k0), unsafe.Pointer(&a[k0]), lda, unsafe.Pointer(&data[(j*k+k0)*Panel]), 0, unsafe.Pointer(&c[j*Panel]), ldc, k0 > 0)
			}
		}
	}
}

// cacheShare is about half of the first-level cache.
const cacheShare = 16 << 10
