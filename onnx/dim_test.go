package onnx

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestDimCanonical(t *testing.T) {
	n, h, w := Name("N"), Name("H"), Name("W")
	c := Size
	for _, x := range []struct {
		d    Dim
		want string
	}{
		{c(2).Mul(c(3)).Add(c(1)), "7"},
		{c(2).Mul(n).Add(c(1)), "2*N+1"},
		{Name("T").Mul(Name("B")), "B*T"},
		{n.Mul(n).Sub(c(3)), "N*N-3"},
		{c(3).Sub(n), "-N+3"},
		{n.Sub(n), "0"},
		{n.Add(h).Sub(h), "N"},
		{n.Mul(c(0)), "0"},
		{Dim{}.Mul(c(0)), "0"},
		{n.Add(c(1)).Mul(n.Sub(c(1))), "N*N-1"},
		{h.Add(c(1)).FloorDiv(c(2)), "floor((H+1)/2)"},
		{h.Sub(c(1)).FloorDiv(c(2)).Add(c(1)), "floor((H+1)/2)"},
		{h.FloorDiv(c(2)), "floor(H/2)"},
		{h.CeilDiv(c(2)), "floor((H+1)/2)"},
		{c(2).Mul(h).Add(c(3)).FloorDiv(c(2)), "H+1"},
		{h.Mul(c(6)).Add(c(2)).FloorDiv(c(4)), "H+floor((H+1)/2)"},
		{h.Sub(c(1)).FloorDiv(c(2)).Add(c(1)).Sub(c(1)).FloorDiv(c(2)).Add(c(1)), "floor((H+3)/4)"},
		{h.FloorDiv(c(2)).FloorDiv(c(3)), "floor(H/6)"},
		{c(0).Sub(h).FloorDiv(c(4)), "-floor((H+3)/4)"},
		{h.FloorDiv(c(-4)), "-floor((H+3)/4)"},
		{n.Mul(h).FloorDiv(n), "H"},
		{n.Mul(h).Mul(c(768)).FloorDiv(c(64).Mul(n)), "12*H"},
		{n.Mul(h).FloorDiv(n.Mul(w)), "floor(H/W)"},
		{n.Mul(h).FloorDiv(c(4).Mul(n)), "floor(H/4)"},
		{h.FloorDiv(c(2).Mul(w)), "floor(H/(2*W))"},
		{n.Mul(h.Add(c(1))).FloorDiv(h.Add(c(1))), "N"},
		{n.Mul(h.Add(c(1))).Add(c(5)).FloorDiv(h.Add(c(1))), "N+floor(5/(H+1))"},
		{c(0).FloorDiv(n), "0"},
		{n.FloorDiv(n), "1"},
		{n.FloorDiv(c(1)), "N"},
		{n.FloorDiv(c(0)), "?"},
		{n.Max(n), "N"},
		{n.Max(n.Add(c(2))), "N+2"},
		{n.Add(c(2)).Min(n), "N"},
		{n.Max(h).Max(n), "max(H,N)"},
		{n.Min(h).Min(w), "min(H,N,W)"},
		{c(4).Max(n.Max(c(3))), "max(4,N)"},
		{c(4).Max(c(7)), "7"},
		{c(4).Min(c(7)), "4"},
		{n.Max(h.Min(c(3))).Add(c(1)), "max(N,min(3,H))+1"},
		{Name("batch size").Mul(n), `"batch size"*N`},
		{Name("s0*2+1").Add(c(1)), `"s0*2+1"+1`},
		{Name("s0*2+1"), `"s0*2+1"`},
		{Name(`a"b\`), `"a\"b\\"`},
		{Name("12"), `"12"`},
		{Name("floor(a)"), `"floor(a)"`},
		{Name("a.b_1"), "a.b_1"},
		{Name(""), "?"},
		{n.Add(Dim{}), "?"}, {n.Sub(Dim{}), "?"}, {n.Mul(Dim{}), "?"}, {n.FloorDiv(Dim{}), "?"}, {n.Max(Dim{}), "?"}, {Dim{}.Min(n), "?"},
		{c(math.MaxInt).Add(c(1)), "?"},
		{c(math.MinInt).Sub(c(1)), "?"},
		{c(math.MaxInt).Mul(c(2)), "?"},
		{c(math.MinInt).Mul(c(-1)), "?"},
		{c(math.MinInt).FloorDiv(c(-1)), "?"},
		{c(math.MaxInt).Mul(n).Add(n), "?"},
		{c(math.MinInt).Mul(n), strconv.Itoa(math.MinInt) + "*N"},
		{c(0).Sub(c(math.MinInt).Mul(n)), "?"},
		{c(math.MaxInt).Mul(n).Mul(c(2)), "?"},
		{n.FloorDiv(c(math.MaxInt)).FloorDiv(c(2)), "floor(floor(N/" + strconv.Itoa(math.MaxInt) + ")/2)"},
	} {
		require.Equal(t, x.want, x.d.String())
		if x.want != "?" {
			require.Equal(t, x.d, x.d.Subst(nil), "%v", x.d)
		}
	}
	require.True(t, n.Add(h).Equal(h.Add(n)))
	require.False(t, Dim{}.Equal(Dim{}))
}

func TestDimNames(t *testing.T) {
	d := Name("batch size").Mul(Name("N")).Add(Name("H").FloorDiv(Name("s)").Max(Name("N"))))
	require.Equal(t, []string{"H", "N", "batch size", "s)"}, d.Names())
	require.Empty(t, Size(3).Names())
	for _, name := range []string{"N", "batch size", `q"\`, "1", "N+1", `\"`} {
		require.Equal(t, name, Name(name).Param())
		require.Equal(t, []string{name}, Name(name).Names())
		v, ok := Name(name).Add(Size(2)).Eval(map[string]int{name: 5})
		require.True(t, ok)
		require.Equal(t, 7, v)
	}
	require.Equal(t, `"batch size"+1`, Name("batch size").Add(Size(1)).Param())
	require.Equal(t, `"a b"*"c d"`, Name("a b").Mul(Name("c d")).Param())
	require.Empty(t, Size(3).Param())
}

func TestDimEval(t *testing.T) {
	n, h := Name("N"), Name("H")
	sizes := map[string]int{"N": 7, "H": 3, "zero": 0, "large": math.MaxInt}
	for _, x := range []struct {
		d    Dim
		want int
		ok   bool
	}{
		{Size(4), 4, true}, {Dim{}, 0, false}, {n, 7, true}, {Name("x"), 0, false},
		{n.FloorDiv(h), 2, true}, {n.CeilDiv(h), 3, true}, {n.Max(h), 7, true}, {n.Min(h), 3, true},
		{n.FloorDiv(Name("zero")), 0, false}, {Name("large").Mul(n), 0, false}, {Name("large").Add(n), 0, false},
		{Name("x").FloorDiv(h), 0, false}, {n.FloorDiv(Name("x")), 0, false},
	} {
		got, ok := x.d.Eval(sizes)
		require.Equal(t, x.ok, ok, "%v", x.d)
		require.Equal(t, x.want, got, "%v", x.d)
		got, ok = x.d.Compile()(sizes)
		require.Equal(t, x.ok, ok, "%v", x.d)
		require.Equal(t, x.want, got, "%v", x.d)
	}
}

func TestDimGrowth(t *testing.T) {
	d := Size(1)
	for i := range 60 {
		d = d.Mul(Name(strings.Repeat("x", i%7+1)).Add(Name("y")).Add(Size(i)))
	}
	require.False(t, d.Known())
	long := Name(strings.Repeat("n", 1000))
	require.True(t, long.Known())
	require.False(t, long.Add(Size(1)).Known())
	require.False(t, long.FloorDiv(Size(2)).Known())
}

// dimTree draws an expression as a Dim and as a function that computes it.
func dimTree(t *rapid.T, depth int) (Dim, func(map[string]int) (int, bool)) {
	kind := rapid.IntRange(0, 8).Draw(t, "kind")
	if depth == 0 {
		kind %= 2
	}
	switch kind {
	case 0:
		n := rapid.IntRange(-6, 12).Draw(t, "size")
		return Size(n), func(map[string]int) (int, bool) { return n, true }
	case 1:
		name := rapid.SampledFrom([]string{"A", "B", "batch size"}).Draw(t, "name")
		return Name(name), func(m map[string]int) (int, bool) { n, ok := m[name]; return n, ok }
	}
	a, f := dimTree(t, depth-1)
	b, g := dimTree(t, depth-1)
	both := func(op func(x, y int) (int, bool)) func(map[string]int) (int, bool) {
		return func(m map[string]int) (int, bool) {
			x, ok := f(m)
			y, ok2 := g(m)
			if !ok || !ok2 {
				return 0, false
			}
			return op(x, y)
		}
	}
	floor := func(x, y int) int { return int(math.Floor(float64(x) / float64(y))) } // exact: the numbers are small
	switch kind {
	case 2, 3:
		return a.Add(b), both(func(x, y int) (int, bool) { return x + y, true })
	case 4:
		return a.Sub(b), both(func(x, y int) (int, bool) { return x - y, true })
	case 5:
		return a.Mul(b), both(func(x, y int) (int, bool) { return x * y, true })
	case 6:
		return a.FloorDiv(b), both(func(x, y int) (int, bool) {
			if y == 0 {
				return 0, false
			}
			return floor(x, y), true
		})
	case 7:
		if rapid.Bool().Draw(t, "ceil") {
			return a.CeilDiv(b), both(func(x, y int) (int, bool) {
				if y == 0 {
					return 0, false
				}
				return -floor(-x, y), true
			})
		}
		return a.Max(b), both(func(x, y int) (int, bool) { return max(x, y), true })
	}
	return a.Min(b), both(func(x, y int) (int, bool) { return min(x, y), true })
}

func TestDimHomomorphic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, f := dimTree(t, 4)
		if !d.Known() {
			return
		}
		again := d.Subst(map[string]Dim{"A": Name("A"), "B": Name("B")})
		for range 20 {
			sizes := map[string]int{}
			subst := map[string]Dim{}
			for _, n := range []string{"A", "B", "batch size"} {
				sizes[n] = rapid.IntRange(-9, 20).Draw(t, n)
				subst[n] = Size(sizes[n])
			}
			want, ok := f(sizes)
			if !ok || want > 1<<30 || want < -1<<30 {
				continue
			}
			got, ok := d.Eval(sizes)
			if !ok || got != want {
				t.Fatalf("%v at %v is %d, %v, want %d", d, sizes, got, ok, want)
			}
			if s := d.Subst(subst); !s.Is(want) {
				t.Fatalf("%v at %v becomes %v, want %d", d, sizes, s, want)
			}
			if got, ok := again.Eval(sizes); again.Known() && (!ok || got != want) {
				t.Fatalf("%v rebuilt as %v at %v is %d, %v, want %d", d, again, sizes, got, ok, want)
			}
		}
	})
}

func TestDimLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, _ := dimTree(t, 2)
		b, _ := dimTree(t, 2)
		c, _ := dimTree(t, 2)
		k := Size(rapid.IntRange(1, 9).Draw(t, "k"))
		m := Size(rapid.IntRange(1, 9).Draw(t, "m"))
		in := Name("H").Add(Size(rapid.IntRange(-3, 9).Draw(t, "pad")))
		linear := Name("A").Mul(Size(3)).Add(k) // with a floor in it, either could be the one that is merged
		for i, law := range [][2]Dim{
			{a.Add(b), b.Add(a)},
			{a.Mul(b), b.Mul(a)},
			{a.Max(b), b.Max(a)},
			{a.Min(b), b.Min(a)},
			{a.Add(b).Add(c), a.Add(b.Add(c))},
			{a.Mul(b).Mul(c), a.Mul(b.Mul(c))},
			{a.Add(b).Mul(c), a.Mul(c).Add(b.Mul(c))},
			{a.Add(b).Sub(b), a},
			{a.Mul(k).FloorDiv(k), a},
			{a.Mul(k).Add(b).FloorDiv(k), a.Add(b.FloorDiv(k))},
			{in.FloorDiv(k).Add(linear).FloorDiv(m), in.Add(linear.Mul(k)).FloorDiv(k.Mul(m))},
			{a.Mul(m).FloorDiv(k.Mul(m)), a.FloorDiv(k)},
		} {
			if law[0].Known() && law[1].Known() && law[0] != law[1] {
				t.Fatalf("law %d: %v and %v", i, law[0], law[1])
			}
		}
		if b != Size(0) {
			if q := a.Mul(b).FloorDiv(b); q.Known() && a.Known() && q != a {
				t.Fatalf("(%v)*(%v)/(%v) is %v", a, b, b, q)
			}
		}
	})
}

func BenchmarkDim(b *testing.B) {
	h := Name("height")
	for b.Loop() {
		h.Add(Size(5)).FloorDiv(Size(2)).Add(Size(1)).Mul(Name("N"))
	}
}

func TestDimNonNegative(t *testing.T) {
	a, b := Name("a"), Name("b")
	for _, x := range []struct {
		d    Dim
		want bool
	}{
		{Dim{}, false}, {Size(0), true}, {Size(-1), false}, {a, true}, {a.Add(b), true}, {a.Sub(b), false},
		{a.Sub(Size(1)), false}, {a.Mul(b), true}, {a.Min(b), true}, {a.Min(b.Sub(Size(1))), false},
		{a.Max(b.Sub(Size(1))), true}, {a.FloorDiv(b), true}, {a.Sub(b).Max(Size(0)), true},
	} {
		if got := x.d.NonNegative(); got != x.want {
			t.Errorf("%v: %v", x.d, got)
		}
	}
}

func TestDimCappedBy(t *testing.T) {
	a, b := Name("a"), Name("b")
	if n, ok := a.Min(Size(512)).CappedBy(a); !ok || n != 512 {
		t.Errorf("min(a, 512) by a: %v %v", n, ok)
	}
	if n, ok := a.Add(b).Min(Size(7)).CappedBy(a.Add(b)); !ok || n != 7 {
		t.Errorf("min(a+b, 7) by a+b: %v %v", n, ok)
	}
	for _, x := range [][2]Dim{{a, a}, {a.Min(b), a}, {a.Min(Size(3)), b}, {a.Max(Size(3)), a}, {Size(3), a}, {a.Min(Size(3)), Dim{}}} {
		if n, ok := x[0].CappedBy(x[1]); ok {
			t.Errorf("%v by %v: %d", x[0], x[1], n)
		}
	}
}
