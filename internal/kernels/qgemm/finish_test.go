package qgemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/par"
)

// TestFinish compares bytes and floats with sums by hand, with rows apart, all
// kinds of zero points, scales above 1 and writes beyond the end.
func TestFinish(t *testing.T) {
	eachTable(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(7, 7))
		for _, d := range [][3]int{{1, 1, 1}, {3, 4, 5}, {14, 16, 32}, {15, 27, 33}, {29, 64, 100}, {2, 5000, 7}, {9, 17000, 40}, {1, 66000, 3}, {17, 33, 64}, {4, 0, 3}, {37, 1500, 40}, {70, 100, 33}, {5, 2048, 257}} {
			for _, signed := range []bool{true, false} {
				for kind := range 8 {
					mild := kind >= 4
					kind := kind % 4
					m, k, n := d[0], d[1], d[2]
					stride := (k+3)&^3 + kind
					data := randomBytes(rng, m*stride+4)
					bs := randomBytes(rng, k*n)
					if mild {
						bs = mildBytes(rng, k, n, signed)
					}
					b := Pack(par.P{}, bs, k, n, n, 1, signed).Narrow()
					za := int32(rng.IntN(256))
					zb, bias := make([]int32, n), make([]int32, n)
					scale, shift := make([]float32, n), make([]float32, (n+Width-1)/Width*Width)
					for j := range n {
						if kind > 0 {
							zb[j] = int32(rng.IntN(100))
						}
						bias[j] = int32(rng.IntN(2000) - 1000)
						scale[j] = (rng.Float32() - 0.3) / float32(k+1) / 20
						if kind == 3 {
							scale[j] *= 1e6
						}
						shift[j] = rng.Float32()
					}
					if kind == 1 {
						zb = zb[:1]
					}
					f := &Finish{Zero: int32(rng.IntN(20)), Lo: 0, Hi: 255}
					if kind == 2 {
						f = &Finish{Zero: -128, Lo: -128, Hi: 100}
					}
					f.SetScale(scale, n, 1)
					f.SetZeros(b, k, za, zb, bias)
					a := &View{M: m, K: k, Stride: stride, Data: data, Sums: make([]int32, m)}
					a.RowSums(a.Sums)
					ldd := n + 3
					got, gotF := make([]byte, (m-1)*ldd+n+1), make([]float32, (m-1)*ldd+n+1)
					for i := range got {
						got[i], gotF[i] = 99, 99
					}
					f.Bytes(Best(), a, b, 0, b.Panels(), got, ldd)
					if kind > 0 {
						f.Shift = shift
					}
					f.Floats(Best(), a, b, 0, b.Panels(), gotF, ldd)
					ints := make([]int32, m*n)
					f.Product(par.P{}, Left{M: m, K: k, Data: packRows(data, m, k, stride)}, b, nil, nil, ints)
					for i := range m {
						for j := range ldd {
							if i*ldd+j >= len(got) {
								break
							}
							if j >= n {
								if got[i*ldd+j] != 99 || gotF[i*ldd+j] != 99 {
									t.Fatalf("%v: wrote outside at %d %d", d, i, j)
								}
								continue
							}
							s := bias[j]
							for p := range k {
								s += (int32(data[i*stride+p]) - za) * (value(bs[p*n+j], signed) - zeroAt(zb, j))
							}
							if ints[i*n+j] != s {
								t.Fatalf("%v kind %d: the sum [%d, %d] is %d, want %d", d, kind, i, j, ints[i*n+j], s)
							}
							q := math.RoundToEven(float64(float32(s)*scale[j])) + float64(f.Zero)
							want := byte(int32(min(max(q, float64(f.Lo)), float64(f.Hi))))
							if got[i*ldd+j] != want {
								t.Fatalf("%v kind %d signed %v: [%d, %d] is %d, want %d", d, kind, signed, i, j, got[i*ldd+j], want)
							}
							wf := float32(float32(s) * scale[j])
							if kind > 0 {
								wf += shift[j]
							}
							if math.Abs(float64(gotF[i*ldd+j]-wf)) > 1e-6*math.Abs(float64(wf)) {
								t.Fatalf("%v kind %d: [%d, %d] is %v, want %v", d, kind, i, j, gotF[i*ldd+j], wf)
							}
						}
					}
				}
			}
		}
	})
}

// packRows returns m rows of k bytes without what is between them.
func packRows(data []byte, m, k, stride int) []byte {
	out := make([]byte, 0, m*k)
	for i := range m {
		out = append(out, data[i*stride:i*stride+k]...)
	}
	return out
}

// TestSegments has rows of several runs of 6 bytes, in one line and in several, and with
// so many columns that matrices with few and with many rows to a line are narrow.
func TestSegments(t *testing.T) {
	eachTable(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(8, 8))
		for _, d := range [][4]int{{20, 1, 6, 3}, {20, 1, 6, 17}, {5, 4, 6, 17}, {1, 3, 6, 17}, {2, 1, 6, 17}, {7, 30, 34, 5}, {110, 2, 34, 5}} {
			m, lines, k, runs := d[0], d[1], d[2], d[3]
			const n, stride, step, lineStep = 40, 5, 700, 600
			pad := (k + 3) &^ 3
			data := randomBytes(rng, (lines-1)*lineStep+(m-1)*stride+(runs-1)*step+pad)
			w := mildBytes(rng, runs*pad, n, true)
			for i := range w {
				if i/n%pad >= k {
					w[i] = 0
				}
			}
			w[13*n+20], w[12*n+20] = 120, 90
			b := Pack(par.P{}, w, runs*pad, n, n, 1, true).Narrow()
			if thin := Best().Thin != nil && b.K >= leastFixed; b.narrow != thin || (len(b.fixes) > 0) != thin {
				t.Fatalf("%v: narrow: %v, %d panels of fixes", d, b.narrow, len(b.fixes))
			}
			f := &Finish{Hi: 255}
			f.SetScale([]float32{0.01}, n, 1)
			f.SetZeros(b, runs*k, 7, []int32{3}, nil)
			a := &View{M: m, K: k, Stride: stride, Lines: lines, LineStep: lineStep, Segments: runs, Step: step, Data: data, Sums: make([]int32, m*lines)}
			a.RowSums(a.Sums)
			got, bytes := make([]float32, m*lines*n), make([]byte, m*lines*n)
			f.Floats(Best(), a, b, 0, b.Panels(), got, n)
			f.Bytes(Best(), a, b, 0, b.Panels(), bytes, n)
			for i := range m * lines {
				for j := range n {
					s := int32(0)
					for p := range runs * k {
						s += (int32(data[i/m*lineStep+i%m*stride+p/k*step+p%k]) - 7) * (int32(int8(w[(p/k*pad+p%k)*n+j])) - 3)
					}
					if want := float32(s) * 0.01; got[i*n+j] != want || int32(bytes[i*n+j]) != nearestByte(want) {
						t.Fatalf("%v: [%d, %d] is %v and %d, want %v", d, i, j, got[i*n+j], bytes[i*n+j], want)
					}
				}
			}
		}
	})
}

func nearestByte(x float32) int32 { return int32(min(max(math.RoundToEven(float64(x)), 0), 255)) }

func BenchmarkFinish(b *testing.B) {
	for _, tab := range Tables {
		for _, d := range [][3]int{{1024, 1024, 1024}, {384, 768, 3072}, {128, 768, 768}, {3136, 576, 64}, {3136, 64, 64}, {49, 4608, 512}, {1, 2048, 1000}} {
			for _, kind := range []string{"bytes", "floats", "int32", "narrow", "normal"} {
				b.Run(fmt.Sprintf("%s/%dx%dx%d/%s", tab.Name, d[0], d[1], d[2], kind), func(b *testing.B) {
					restore, _ := cpu.Force(tab.Name)
					defer restore()
					m, k, n := d[0], d[1], d[2]
					w := make([]byte, k*n)
					rng := rand.New(rand.NewPCG(1, 1))
					switch kind {
					case "narrow":
					case "normal":
						for i := range w {
							w[i] = byte(int(min(max(rng.NormFloat64()*40, -127), 127)))
						}
					default:
						w = randomBytes(rng, k*n)
					}
					r := Pack(par.P{}, w, k, n, n, 1, true).Narrow()
					f := &Finish{Hi: 255}
					f.SetScale([]float32{0.01}, n, 1)
					f.SetZeros(r, k, 3, nil, nil)
					a := &View{M: m, K: k, Stride: k, Data: make([]byte, m*k)}
					y, yf, c := make([]byte, m*n), make([]float32, m*n), make([]int32, m*n)
					best := time.Hour // others may use the machine too
					for b.Loop() {
						const high = 112
						begin := time.Now()
						switch kind {
						case "int32":
							f.Product(par.P{}, Left{M: m, K: k, Data: a.Data}, r, nil, nil, c)
							best = min(best, time.Since(begin))
							continue
						}
						for i := 0; i < m; i += high {
							v := &View{M: min(high, m-i), K: k, Stride: k, Data: a.Data[i*k:]}
							if kind != "floats" {
								f.Bytes(tab, v, r, 0, r.Panels(), y[i*n:], n)
							} else {
								f.Floats(tab, v, r, 0, r.Panels(), yf[i*n:], n)
							}
						}
						best = min(best, time.Since(begin))
					}
					b.ReportMetric(float64(m*k*n)/best.Seconds()/1e9, "GMAC/s")
				})
			}
		}
	}
}

func TestRowSums(t *testing.T) {
	eachTable(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(8, 1))
		for range 400 {
			v := View{M: 1 + rng.IntN(9), K: rng.IntN(140), Lines: rng.IntN(4), Segments: rng.IntN(4)}
			v.Stride, v.Step, v.LineStep = rng.IntN(v.K+5), rng.IntN(v.K+5), rng.IntN(200)
			// The last row may end where its bytes do.
			n := v.at(v.Rows()-1) + max(v.Segments-1, 0)*v.Step + v.K
			v.Data = randomBytes(rng, n+rng.IntN(5))
			got := make([]int32, v.Rows())
			v.RowSums(got)
			for i, g := range got {
				want := int32(0)
				for s := range max(v.Segments, 1) {
					for _, x := range v.Data[v.at(i)+s*v.Step:][:v.K] {
						want += int32(x)
					}
				}
				if g != want {
					t.Fatalf("%+v: sum of row %d is %d, want %d", v, i, g, want)
				}
			}
		}
	})
}
