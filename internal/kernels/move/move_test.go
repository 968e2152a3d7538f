package move

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// levels runs f at each level that this machine has.
func levels(t *testing.T, f func(t *testing.T)) {
	for _, k := range tables {
		t.Run(k.name, func(t *testing.T) {
			restore, err := cpu.Force(k.name)
			if err != nil {
				t.Fatal(err)
			}
			defer restore()
			f(t)
		})
	}
}

func TestTranspose(t *testing.T) {
	sizes := []int{1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 15, 16, 17, 24, 33, 40, 58, 75}
	levels(t, func(t *testing.T) {
		for _, rows := range sizes {
			for _, cols := range sizes {
				for _, pad := range [][2]int{{0, 0}, {1, 0}, {0, 1}, {3, 5}} {
					check(t, rows, cols, cols+pad[0], rows+pad[1])
				}
			}
		}
		check(t, 5000, 3, 3, 5000)
		check(t, 3, 5000, 5000, 3)
		check(t, 5001, 5, 6, 5003)
		check(t, 6, 5001, 5001, 7)
		check(t, 0, 4, 4, 4)
		check(t, 4, 0, 4, 4)
		check(t, 9, 9, 4, 9) // rows that overlap
		check(t, 1, 9, 9, 1)
	})
}

// check transposes between exact slices and looks at every word.
func check(t *testing.T, rows, cols, ds, ss int) {
	t.Helper()
	src := make([]uint32, max(0, (cols-1)*ss+rows))
	for i := range src {
		src[i] = uint32(i + 1)
	}
	n := max(0, (rows-1)*ds+cols)
	const canary = 0xdeadbeef
	buf := make([]uint32, n+16)
	want := make([]uint32, n+16)
	for i := range buf {
		buf[i], want[i] = canary, canary
	}
	if ds < cols { // what is written twice depends on the order
		return
	}
	for i := range rows {
		for j := range cols {
			want[i*ds+j] = src[j*ss+i]
		}
	}
	Transpose(buf[:n:n], src, rows, cols, ds, ss)
	for i, v := range buf {
		if v != want[i] {
			t.Fatalf("%dx%d, strides %d and %d: word %d is %d, want %d", rows, cols, ds, ss, i, v, want[i])
		}
	}
}

func TestTransposeNarrow(t *testing.T) {
	sizes := []int{4, 5, 7, 8, 9, 13, 16, 24, 31, 32, 50}
	for _, rows := range sizes {
		for _, cols := range sizes {
			for _, pad := range [][2]int{{0, 0}, {1, 0}, {0, 1}, {3, 5}} {
				checkNarrow(t, 2, rows, cols, cols+pad[0], rows+pad[1])
				if rows >= 8 && cols >= 8 {
					checkNarrow(t, 1, rows, cols, cols+pad[0], rows+pad[1])
				}
			}
		}
	}
}

// checkNarrow is check for elements of size bytes.
func checkNarrow(t *testing.T, size, rows, cols, ds, ss int) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	src := make([]byte, ((cols-1)*ss+rows)*size)
	for i := range src {
		src[i] = byte(r.Uint32())
	}
	n := ((rows-1)*ds + cols) * size
	buf := bytes.Repeat([]byte{0xee}, n+16)
	want := bytes.Clone(buf)
	for i := range rows {
		for j := range cols {
			copy(want[(i*ds+j)*size:][:size], src[(j*ss+i)*size:])
		}
	}
	f := Transpose8
	if size == 2 {
		f = Transpose16
	}
	f(buf[:n:n], src, rows, cols, ds, ss)
	if !bytes.Equal(buf, want) {
		t.Fatalf("%dx%d of %d bytes, strides %d and %d: got %v, want %v", rows, cols, size, ds, ss, buf, want)
	}
}

func TestWeigh(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	levels(t, func(t *testing.T) {
		for _, n := range []int{1, 3, 8, 15, 16, 17, 24, 64, 67, 200} {
			for _, k := range []int{1, 2, 4, 7} {
				for _, count := range []int{1, 5} {
					src, at, w := make([]float32, 6*n), make([]int32, k*count), make([]float32, k*count)
					for i := range src {
						src[i] = r.Float32()
					}
					for i := range at {
						at[i], w[i] = r.Int32N(6), r.Float32()-0.5
					}
					dst := make([]float32, n*count+16)
					for i := range dst {
						dst[i] = 99
					}
					Weigh(dst[:n*count:n*count], src, at, w, n, k)
					for i, v := range dst {
						want := 99.0
						if i < n*count {
							want = 0
							for j := range k {
								q := i/n*k + j
								want += float64(w[q]) * float64(src[int(at[q])*n+i%n])
							}
						}
						if math.Abs(float64(v)-want) > 1e-6 {
							t.Fatalf("n %d, k %d, count %d: element %d is %g, want %g", n, k, count, i, v, want)
						}
					}
				}
			}
		}
	})
}

func TestWeighRange(t *testing.T) {
	for _, at := range []int32{-1, 2} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("row %d: no panic", at)
				}
			}()
			Weigh(make([]float32, 3), make([]float32, 6), []int32{at}, []float32{1}, 3, 1)
		}()
	}
	Weigh(nil, nil, nil, nil, 0, 2)
}

func BenchmarkTranspose(b *testing.B) {
	for _, s := range [][2]int{{50176, 3}, {3, 50176}, {58, 2}, {2, 58}, {3136, 64}, {64, 3136}, {49, 32}} {
		rows, cols := s[0], s[1]
		dst, src := make([]uint32, rows*cols), make([]uint32, rows*cols)
		for _, k := range tables {
			b.Run(fmt.Sprint(rows, "x", cols, "/", k.name), func(b *testing.B) {
				restore, err := cpu.Force(k.name)
				if err != nil {
					b.Fatal(err)
				}
				defer restore()
				b.SetBytes(int64(8 * rows * cols))
				for b.Loop() {
					Transpose(dst, src, rows, cols, cols, rows)
				}
			})
		}
	}
}
