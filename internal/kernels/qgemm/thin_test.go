package qgemm

import (
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/internal/par"
)

// mildBytes returns a k by n matrix of which few pairs of bytes in a column, but
// some, are too large for narrow panels.
func mildBytes(rng *rand.Rand, k, n int, signed bool) []byte {
	b := make([]byte, k*n)
	for i := range b {
		b[i] = byte(rng.IntN(121) - 60)
	}
	for range k * n / (4 * pairsPerFix) {
		j, p := rng.IntN(n), rng.IntN(max(k/2, 1))*2
		v := []int{127, -128, 66, -66, 100, -3}[rng.IntN(6)]
		b[p*n+j] = byte(v)
		if p+1 < k {
			b[(p+1)*n+j] = byte(v + rng.IntN(3) - 1)
		}
	}
	if !signed {
		flip(b)
	}
	return b
}

// TestNarrow has pairs of bytes at the bounds, and rows that make the most of them.
func TestNarrow(t *testing.T) {
	pairs := [][2]int{{127, 1}, {64, 64}, {-128, 0}, {-64, -64}, {-1, -127}, {127, -128}, {127, 2}, {127, 127}, {-128, -128}, {-65, -64}, {1, 127}, {0, 0}}
	eachTable(t, func(t *testing.T) {
		const m, k, n = 13, 768, 100
		rng := rand.New(rand.NewPCG(3, 3))
		w := make([]byte, k*n)
		for j, v := range pairs {
			p := rng.IntN(k/2) * 2
			w[p*n+8*j], w[(p+1)*n+8*j] = byte(v[0]), byte(v[1])
		}
		b := Pack(par.P{}, w, k, n, n, 1, true).Narrow()
		if want := Best().Thin != nil; b.narrow != want {
			t.Fatalf("narrow is %v", b.narrow)
		} else if want {
			fixed := 0
			for _, l := range b.fixes {
				fixed += len(l.list)
			}
			if fixed != 4 {
				t.Errorf("%d pairs were changed, want 4", fixed)
			}
		}
		a := make([]byte, m*k)
		for i := range a {
			a[i] = 255
		}
		f := &Finish{}
		f.SetZeros(b, k, 0, nil, nil)
		got := make([]int32, m*n)
		f.Product(par.P{}, Left{M: m, K: k, Data: a}, b, nil, nil, got)
		for i, v := range got {
			want := int32(0)
			if j := i % n; j%8 == 0 && j/8 < len(pairs) {
				want = int32(255 * (pairs[j/8][0] + pairs[j/8][1]))
			}
			if v != want {
				t.Fatalf("column %d: %d, want %d", i%n, v, want)
			}
		}
	})
}

// TestNotNarrow has more large bytes than are worth it: nothing may be changed.
func TestNotNarrow(t *testing.T) {
	const k, n = 64, 64
	rng := rand.New(rand.NewPCG(4, 4))
	w := randomBytes(rng, k*n)
	r := &Right{K: k, N: n, Signed: true, Data: make([]byte, PanelBytes(k, n)), Sums: make([]int32, n)}
	r.Fill(par.P{}, w, n, 1)
	want := string(r.Data)
	r.Narrow()
	if r.narrow || r.fixes != nil || string(r.Data) != want {
		t.Fatal("the matrix was changed")
	}
}
