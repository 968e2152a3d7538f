package gemm

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/frozen"
)

func init() {
	frozen.Register(kindOf[float32](), thaw[float32])
	frozen.Register(kindOf[float64](), thaw[float64])
}

func kindOf[T Number]() string { return fmt.Sprintf("gemm %T", *new(T)) }

// Freeze implements frozen.Freezer.
func (q *Packed[T]) Freeze() (frozen.Form, bool) {
	return frozen.Form{Kind: kindOf[T](), Header: []int{q.K, q.N}, Blocks: [][]byte{frozen.Bytes(q.Data)}}, true
}

func thaw[T Number](f frozen.Form) (any, error) {
	if err := f.Expect(2, 1); err != nil {
		return nil, err
	}
	q := &Packed[T]{K: f.Header[0], N: f.Header[1]}
	n, err := frozen.Product(q.K, Panels(q.N), Panel)
	if err == nil {
		q.Data, err = frozen.Numbers[T](f, 0, n)
	}
	return q, err
}

// Sizes returns the number of rows and columns.
func (q *Packed[T]) Sizes() (k, n int) { return q.K, q.N }
