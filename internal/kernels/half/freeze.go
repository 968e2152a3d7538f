package half

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/frozen"
	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
)

const kind, pairsKind = "half", "half/pairs"

func init() {
	frozen.Register(kind, thaw)
	frozen.Register(pairsKind, thawPairs)
}

// Freeze implements frozen.Freezer.
func (w *Weights) Freeze() (frozen.Form, bool) {
	return frozen.Form{Kind: kind, Header: []int{int(w.Kind), w.K, w.N}, Blocks: [][]byte{frozen.Bytes(w.Data)}}, true
}

func thaw(f frozen.Form) (any, error) {
	if err := f.Expect(3, 1); err != nil {
		return nil, err
	}
	w := &Weights{Kind: Kind(f.Header[0]), K: f.Header[1], N: f.Header[2]}
	if w.Kind != Float16 && w.Kind != BFloat16 {
		return nil, fmt.Errorf("half: kind %d", f.Header[0])
	}
	n, err := frozen.Product(w.K, gemm.Panels(w.N), gemm.Panel)
	if err == nil {
		w.Data, err = frozen.Numbers[uint16](f, 0, n)
	}
	return w, err
}

// Sizes returns the number of rows and columns.
func (w *Weights) Sizes() (k, n int) { return w.K, w.N }

// Freeze implements frozen.Freezer.
func (w *Pairs) Freeze() (frozen.Form, bool) {
	return frozen.Form{Kind: pairsKind, Header: []int{w.K, w.N}, Blocks: [][]byte{frozen.Bytes(w.Data)}}, true
}

func thawPairs(f frozen.Form) (any, error) {
	if err := f.Expect(2, 1); err != nil {
		return nil, err
	}
	w := &Pairs{K: f.Header[0], N: f.Header[1]}
	n, err := frozen.Product(w.K/2+w.K%2, gemm.Panels(w.N), gemm.Panel)
	if err == nil {
		w.Data, err = frozen.Numbers[uint32](f, 0, n)
	}
	return w, err
}

// Sizes returns the number of rows and columns.
func (w *Pairs) Sizes() (k, n int) { return w.K, w.N }
