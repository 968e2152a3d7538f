package gemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/par"
)

func random[T Number](r *rand.Rand, n int) []T {
	s := make([]T, n)
	for i := range s {
		switch any(s[i]).(type) {
		case float32, float64:
			s[i] = T(float64(r.IntN(2001)-1000) / 1000)
		default:
			s[i] = T(r.IntN(100))
		}
	}
	return s
}

// naive is the definition.
func naive[T Number](g *Args[T], c []T) {
	for i := range g.M {
		for j := range g.N {
			var sum float64
			var exact T
			for k := range g.K {
				a, b := g.A[i*g.ARS+k*g.ACS], g.B[k*g.BRS+j*g.BCS]
				sum += float64(a) * float64(b)
				exact += a * b
			}
			switch any(exact).(type) {
			case float32, float64:
				exact = T(sum)
			}
			p := &c[i*g.LDC+j]
			if g.Scale != 0 {
				exact *= g.Scale
			}
			if g.Add != nil {
				exact += g.Add[i*g.LDAdd+j]
			}
			if g.Acc && g.Scale != 0 {
				exact += *p * g.Scale
			} else if g.Acc {
				exact += *p
			}
			if g.Row != nil {
				exact += g.Row[i]
			}
			if g.Col != nil {
				exact += g.Col[j]
			}
			if g.Clip {
				exact = min(max(exact, g.Lo), g.Hi)
			}
			*p = exact
		}
	}
	if g.Act != nil {
		for i := range g.M {
			g.Act(c[i*g.LDC : i*g.LDC+g.N])
		}
	}
}

// guarded returns n elements with canaries on both sides and a check of them.
func guarded[T Number](src []T) ([]T, func() bool) {
	const pad = 67
	all := make([]T, len(src)+2*pad)
	for i := range all {
		all[i] = 99
	}
	copy(all[pad:], src)
	return all[pad : pad+len(src) : pad+len(src)], func() bool {
		for i := range pad {
			if all[i] != 99 || all[len(all)-1-i] != 99 {
				return false
			}
		}
		return true
	}
}

func near[T Number](a, b T, k int) bool {
	eps := 0.0
	switch any(a).(type) {
	case float32:
		eps = 1e-6
	case float64:
		eps = 1e-14
	}
	d := float64(a) - float64(b)
	return math.Abs(d) <= eps*float64(k+4) || a == b
}

func compare[T Number](t *testing.T, g Args[T], name string) {
	t.Helper()
	want := append([]T(nil), g.C...)
	naive(&g, want)
	var serial []T
	for _, threads := range []int{1, 3} {
		h := g
		var ok func() bool
		h.C, ok = guarded(g.C)
		Run(par.P{Threads: threads}, &h)
		if !ok() {
			t.Fatalf("%s: wrote outside of C", name)
		}
		for i := range want {
			if !near(h.C[i], want[i], g.K) {
				t.Fatalf("%s, %d threads: element %d is %v, want %v", name, threads, i, h.C[i], want[i])
			}
			if serial != nil && h.C[i] != serial[i] {
				t.Fatalf("%s: element %d depends on the number of threads", name, i)
			}
		}
		serial = h.C
	}
}

func args[T Number](r *rand.Rand, m, n, k int, ta, tb bool) Args[T] {
	g := Args[T]{M: m, N: n, K: k, A: random[T](r, m*k), B: random[T](r, k*n), ARS: k, ACS: 1, BRS: n, BCS: 1, C: random[T](r, m*n), LDC: n}
	if ta {
		g.ARS, g.ACS = 1, m
	}
	if tb {
		g.BRS, g.BCS = 1, k
	}
	return g
}

func testType[T Number](t *testing.T, tab *Table, sizes []int, ks []int) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, m := range sizes {
		for _, n := range sizes {
			for _, k := range ks {
				ta, tb := r.IntN(2) == 0, r.IntN(2) == 0
				g := args[T](r, m, n, k, ta, tb)
				g.Table = tab
				some(r, &g)
				name := fmt.Sprintf("%dx%dx%d transposed %v %v", m, n, k, ta, tb)
				compare(t, g, name)
				g.Packed = Pack(par.P{}, g.B, k, n, g.BRS, g.BCS)
				compare(t, g, name+" packed")
			}
		}
	}
}

// some asks for a random epilogue.
func some[T Number](r *rand.Rand, g *Args[T]) {
	if r.IntN(2) == 0 {
		g.LDAdd = g.N + r.IntN(2)
		g.Add = random[T](r, g.M*g.LDAdd)
	}
	if g.Clip = r.IntN(3) == 0; g.Clip {
		g.Lo, g.Hi = 1, 2
	}
	switch r.IntN(5) {
	case 4:
		g.Scale, g.Col = 2, random[T](r, g.N)
	case 0:
		g.Acc = true
	case 1:
		g.Row = random[T](r, g.M)
	case 2:
		g.Col = random[T](r, g.N)
	case 3:
		g.Row, g.Col = random[T](r, g.M), random[T](r, g.N)
		g.Act = func(c []T) {
			for i := range c {
				c[i] = max(c[i], 1)
			}
		}
	}
}

// Few rows against several whole panels and what is left of one.
func TestFew(t *testing.T) {
	defer par.Stop()
	r := rand.New(rand.NewPCG(9, 9))
	for _, tab := range Tables {
		for m := 1; m <= 8; m++ {
			for _, n := range []int{128, 160, 300, 512} {
				for _, k := range []int{1, 2, 4, 5, 384, 390, 900} {
					g := args[float32](r, m, n, k, false, false)
					g.ARS, g.A = k+3, random[float32](r, m*(k+3))
					g.Table = tab
					some(r, &g)
					g.Packed = Pack(par.P{}, g.B, k, n, g.BRS, g.BCS)
					compare(t, g, fmt.Sprintf("%s %dx%dx%d", tab.Name, m, n, k))
				}
			}
		}
	}
}

// Equal columns of B give equal columns of C, wherever they lie.
func TestEqualColumns(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for _, tab := range Tables {
		for _, m := range []int{1, 2, 3, 4, 6, 7, 20} {
			const n, k = 330, 1000
			g := args[float32](r, m, n, k, false, false)
			for i := range g.B {
				g.B[i] = g.B[i/n*n]
			}
			g.Packed = Pack(par.P{}, g.B, k, n, n, 1)
			g.Table = tab
			Run(par.P{}, &g)
			for i, v := range g.C {
				if v != g.C[i/n*n] {
					t.Fatalf("%s, %d rows: element %d is %v, element %d is %v", tab.Name, m, i, v, i/n*n, g.C[i/n*n])
				}
			}
		}
	}
}

// Finish32 against the loop: all lengths, with and without each term.
func TestFinish(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	nan := float32(math.NaN())
	for _, tab := range Tables {
		if tab.Finish32 == nil {
			continue
		}
		for n := range 70 {
			for mask := range 16 {
				e := Epilogue[float32]{}
				if mask&1 != 0 {
					e.Col = random[float32](r, n+2)
				}
				if mask&2 != 0 {
					e.Add, e.LDAdd = random[float32](r, 4*(n+3)), n+3
				}
				if mask&4 != 0 {
					e.Row, e.Scale = []float32{9, 2, -3, 4}, 3
				}
				if mask&8 != 0 {
					e.Clip, e.Lo, e.Hi = true, 0, 0.5
				}
				const rows = 3
				ldc := n + mask%4
				c := random[float32](r, (rows-1)*ldc+n)
				if n > 5 {
					c[3], c[n-1] = nan, float32(math.Copysign(0, -1))
				}
				want := append([]float32(nil), c...)
				e.Finish(nil, want, ldc, 1, 1+rows, 2, 2+n)
				got, ok := guarded(c)
				e.Finish(tab, got, ldc, 1, 1+rows, 2, 2+n)
				if !ok() {
					t.Fatalf("%s, %d elements: wrote outside", tab.Name, n)
				}
				for i := range want {
					if math.Float32bits(got[i]) != math.Float32bits(want[i]) && !(got[i] != got[i] && want[i] != want[i]) {
						t.Fatalf("%s, %d elements, terms %b: element %d is %v, want %v", tab.Name, n, mask, i, got[i], want[i])
					}
				}
			}
		}
	}
}

func TestTables(t *testing.T) {
	defer par.Stop()
	sizes := []int{1, 2, 3, 4, 5, 7, 13, 14, 15, 16, 17, 29, 31, 32, 33, 63, 65, 97}
	for _, tab := range Tables {
		t.Run(tab.Name, func(t *testing.T) {
			testType[float32](t, tab, sizes, []int{0, 1, 2, 3, 4, 5, 8, 17, 48, 49, 193})
			testType[float64](t, tab, []int{1, 2, 5, 6, 7, 8, 9, 15, 16, 17, 25, 32, 33, 65}, []int{0, 1, 3, 4, 7, 25, 50})
			testType[float32](t, tab, []int{1, 3, 30, 300}, []int{769, 1537})
			testType[float64](t, tab, []int{1, 40}, []int{400})
		})
	}
	testType[int32](t, nil, []int{1, 2, 5, 33}, []int{0, 1, 7})
	testType[uint64](t, nil, []int{1, 2, 5, 33}, []int{3})
	testType[int8](t, nil, []int{1, 5}, []int{9})
}

// Every tile of every table against the one in Go: all rows, widths, strides.
func TestTiles(t *testing.T) {
	for _, tab := range Tables {
		testTile[float32](t, tab.Name, tab.MR32, tab.Tile32)
		testTile[float64](t, tab.Name, tab.MR64, tab.Tile64)
	}
}

func testTile[T Number](t *testing.T, name string, mr int, tile Tile) {
	r := rand.New(rand.NewPCG(3, 4))
	ptr := func(s []T) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(s)) }
	for rows := 1; rows <= mr; rows++ {
		for w := 1; w <= Panel; w++ {
			kc := 1 + r.IntN(9)
			lda, ldb, ldc := kc+r.IntN(3), Panel+r.IntN(2)*5, w+r.IntN(4)
			a, b, c := random[T](r, rows*lda+1), random[T](r, kc*ldb+1), random[T](r, rows*ldc+1)
			for _, acc := range []bool{false, true} {
				want := append([]T(nil), c[1:]...)
				tileGo[T](rows, kc, ptr(a[1:]), lda, ptr(b[1:]), ldb, ptr(want), ldc, w, acc)
				got, ok := guarded(c[1:])
				tile(rows, kc, ptr(a[1:]), lda, ptr(b[1:]), ldb, ptr(got), ldc, w, acc)
				if !ok() {
					t.Fatalf("%s %dx%d: wrote outside", name, rows, w)
				}
				for i := range want {
					if !near(got[i], want[i], kc) {
						t.Fatalf("%s %dx%d, k %d, acc %v: element %d is %v, want %v", name, rows, w, kc, acc, i, got[i], want[i])
					}
				}
			}
		}
	}
}

func TestSpecialValues(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, tab := range Tables {
		for _, v := range []struct{ a, b, want float32 }{{inf, 1, inf}, {inf, 0, nan}, {-inf, 2, -inf}, {nan, 0, nan}, {1e-40, 1, 1e-40}} {
			for _, n := range []int{1, 31, 33, 300} {
				for _, m := range []int{1, 2, 20} {
					g := args[float32](rand.New(rand.NewPCG(1, 1)), m, n, 7, false, false)
					clear(g.A)
					clear(g.B)
					g.A[(m-1)*7+3] = v.a
					g.B[3*n+n-1] = v.b
					g.Table = tab
					Run(par.P{}, &g)
					got := g.C[m*n-1]
					if got != v.want && !(got != got && v.want != v.want) {
						t.Errorf("%s: %v·%v is %v, want %v", tab.Name, v.a, v.b, got, v.want)
					}
				}
			}
		}
	}
}

func TestDot(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, tab := range Tables {
		for n := range 200 {
			x, y := random[float32](r, n+1), random[float32](r, n+1)
			want := 0.0
			for i := range n {
				want += float64(x[i]) * float64(y[i])
			}
			if got := tab.Dot32(n, unsafe.Pointer(&x[0]), unsafe.Pointer(&y[0])); !near(got, float32(want), n) {
				t.Fatalf("%s: %d elements: %v, want %v", tab.Name, n, got, want)
			}
		}
	}
}

func TestBatch(t *testing.T) {
	defer par.Stop()
	r := rand.New(rand.NewPCG(7, 8))
	a, b := random[float32](r, 6*10*20), random[float32](r, 6*20*30)
	c, want := make([]float32, 6*10*30), make([]float32, 6*10*30)
	arg := func(i int) Args[float32] {
		return Args[float32]{M: 10, N: 30, K: 20, A: a[i*200:], ARS: 20, ACS: 1, B: b[i*600:], BRS: 30, BCS: 1, C: c[i*300:], LDC: 30}
	}
	stack := Batch[float32]{Args: arg(0), AO: []int{0, 200, 400, 600, 800, 1000}, BO: []int{0, 600, 1200, 1800, 2400, 3000}, CO: 300}
	stack.Run(par.P{Threads: 3}, 6)
	for i := range 6 {
		g := arg(i)
		naive(&g, want[i*300:])
	}
	for i := range want {
		if !near(c[i], want[i], 20) {
			t.Fatalf("element %d is %v, want %v", i, c[i], want[i])
		}
	}
}

func TestBest(t *testing.T) {
	for _, tab := range Tables {
		restore, err := cpu.Force(tab.Name)
		if err != nil {
			t.Fatal(err)
		}
		if Best() != tab {
			t.Errorf("%s is not the best at its own level", tab.Name)
		}
		restore()
	}
}

func TestChecks(t *testing.T) {
	for name, g := range map[string]Args[float32]{
		"A is too short": {M: 2, N: 1, K: 2, A: make([]float32, 3), ARS: 2, ACS: 1, B: make([]float32, 2), BRS: 1, BCS: 1, C: make([]float32, 2), LDC: 1},
		"C is too short": {M: 2, N: 1, K: 2, A: make([]float32, 4), ARS: 2, ACS: 1, B: make([]float32, 2), BRS: 1, BCS: 1, C: make([]float32, 1), LDC: 1},
	} {
		func() {
			defer func() {
				if r := recover(); r != "gemm: "+name {
					t.Errorf("recovered %v", r)
				}
			}()
			Run(par.P{}, &g)
		}()
	}
}
