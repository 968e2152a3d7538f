package vec_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
)

// TestGates compares the steps of recurrent networks with their formulas, for
// numbers of units around the widths of vectors; what lies behind stays.
func TestGates(t *testing.T) {
	sigmoid := func(x float32) float64 { return 1 / (1 + math.Exp(-float64(x))) }
	tanh := func(x float32) float64 { return math.Tanh(float64(x)) }
	for _, n := range []int{1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 65, 100, 128, 2049} {
		stride := n + 5
		fill := func(size int, seed, scale float64) []float32 {
			x := make([]float32, size)
			for i := range x {
				x[i] = float32(scale * math.Sin(seed+1.7*float64(i)+0.001*float64(i)*float64(i)))
			}
			return x
		}
		pre, rec, h, bias := fill(3*stride+n, 1, 6), fill(3*stride+n, 2, 5), fill(n, 3, 1), fill(n, 4, 1)
		pre[0], rec[n/2] = 90, -95
		sum := func(k, j int) float32 { return pre[k*stride+j] + rec[k*stride+j] }
		for _, table := range vec.Tables {
			t.Run(fmt.Sprint(table.Name, "/", n), func(t *testing.T) {
				check := func(name string, got []float32, want func(j int) float64) {
					t.Helper()
					for j, v := range got[:n] {
						if w := want(j); !(math.Abs(float64(v)-w) < 2e-6) {
							t.Fatalf("%s: unit %d is %g, want %g", name, j, v, w)
						}
					}
					if got[n] != 77 {
						t.Fatalf("%s wrote behind the last unit", name)
					}
				}
				room := func(src []float32) []float32 { return append(append(make([]float32, 0, n+1), src...), 77) }
				hs, cs := room(h), room(bias)
				table.LSTM(hs[:n], cs[:n], pre, rec, stride)
				cell := func(j int) float64 {
					return sigmoid(sum(2, j))*float64(bias[j]) + sigmoid(sum(0, j))*tanh(sum(3, j))
				}
				check("LSTM c", cs, cell)
				check("LSTM h", hs, func(j int) float64 { return sigmoid(sum(1, j)) * math.Tanh(cell(j)) })

				kept, cells := append([]float32{}, pre...), room(h)
				hs, cs = room(h), room(bias)
				table.LSTMKeep(hs[:n], cs[:n], cells[:n], kept, rec, stride)
				check("LSTMKeep c", cs, cell)
				check("LSTMKeep cells", cells, cell)
				check("LSTMKeep h", hs, func(j int) float64 { return sigmoid(sum(1, j)) * math.Tanh(cell(j)) })
				function := []func(float32) float64{sigmoid, sigmoid, sigmoid, tanh}
				for k, f := range function {
					check(fmt.Sprint("LSTMKeep gate ", k), append(append([]float32{}, kept[k*stride:k*stride+n]...), 77), func(j int) float64 { return f(sum(k, j)) })
				}
				if kept[n] != pre[n] || kept[2*stride-1] != pre[2*stride-1] {
					t.Fatal("LSTMKeep wrote between the gates")
				}

				dh, dc := fill(n, 5, 1), room(fill(n, 6, 1))
				out, copied := fill(3*stride+n+1, 7, 1), fill(3*stride+n+1, 8, 1)
				between, end := out[n], copied[3*stride+n]
				d := func(j int) float64 {
					o, c := function[1](sum(1, j)), math.Tanh(cell(j))
					return math.Sin(6+1.7*float64(j)+0.001*float64(j)*float64(j)) + float64(dh[j])*o*(1-c*c)
				}
				table.LSTMBack(out, copied, dc[:n], dh, cells, bias, kept, stride)
				check("LSTMBack dc", dc, func(j int) float64 { return d(j) * sigmoid(sum(2, j)) })
				for k, want := range []func(i, o, f, g float64, j int) float64{
					func(i, o, f, g float64, j int) float64 { return d(j) * g * i * (1 - i) },
					func(i, o, f, g float64, j int) float64 {
						return float64(dh[j]) * math.Tanh(cell(j)) * o * (1 - o)
					},
					func(i, o, f, g float64, j int) float64 { return d(j) * float64(bias[j]) * f * (1 - f) },
					func(i, o, f, g float64, j int) float64 { return d(j) * i * (1 - g*g) },
				} {
					of := func(j int) float64 {
						return want(sigmoid(sum(0, j)), sigmoid(sum(1, j)), sigmoid(sum(2, j)), tanh(sum(3, j)), j)
					}
					for _, got := range [][]float32{out, copied} {
						check(fmt.Sprint("LSTMBack gate ", k), append(append([]float32{}, got[k*stride:k*stride+n]...), 77), of)
					}
				}
				if out[n] != between || copied[3*stride+n] != end {
					t.Fatal("LSTMBack wrote behind the gates")
				}

				blend := func(j int, g float64) float64 {
					z := sigmoid(sum(0, j))
					return (1-z)*g + z*float64(h[j])
				}
				e := room(h)
				table.GRU(e[:n], e[:n], pre, rec, bias, stride)
				check("GRU", e, func(j int) float64 {
					r := sigmoid(sum(1, j))
					return blend(j, math.Tanh(float64(pre[2*stride+j])+r*float64(rec[2*stride+j]+bias[j])))
				})
				e = room(h)
				table.GRUReset(e[:n], h, pre, rec)
				check("GRUReset", e, func(j int) float64 { return sigmoid(sum(0, j)) * float64(h[j]) })
				e = room(h)
				table.GRUBlend(e[:n], h, pre, rec, pre[2*stride:], rec[2*stride:])
				check("GRUBlend", e, func(j int) float64 { return blend(j, tanh(sum(2, j))) })
			})
		}
	}
}
