package ops_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// naiveRecurrent is one direction of RNN, GRU or LSTM by the formulas of the
// specification, for one sequence x of rows of ni inputs.
type naiveRecurrent struct {
	op                    string
	ni, nh                int
	w, r, b, p            []float32
	lateReset, couple     bool
	clip                  float64
	f, g, h               func(float64) float64
	state, cell           []float64
	reverse               bool
	outputs               [][]float64 // by time
	finalState, finalCell []float64
}

func (q *naiveRecurrent) gate(k int, x []float32, h []float64) (in, rec []float64) {
	in, rec = make([]float64, q.nh), make([]float64, q.nh)
	gates := map[string]int{"RNN": 1, "GRU": 3, "LSTM": 4}[q.op]
	for j := range in {
		row := k*q.nh + j
		for i, v := range x {
			in[j] += float64(v) * float64(q.w[row*q.ni+i])
		}
		for i, v := range h {
			rec[j] += v * float64(q.r[row*q.nh+i])
		}
		if q.b != nil {
			in[j] += float64(q.b[row])
			rec[j] += float64(q.b[gates*q.nh+row])
		}
	}
	return in, rec
}

func (q *naiveRecurrent) run(x []float32) {
	steps := len(x) / q.ni
	q.outputs = make([][]float64, steps)
	h, c := q.state, q.cell
	cl := func(f func(float64) float64) func(float64) float64 {
		if q.clip == 0 {
			return f
		}
		return func(x float64) float64 { return f(math.Min(math.Max(x, -q.clip), q.clip)) }
	}
	f, g, hf := cl(q.f), cl(q.g), cl(q.h)
	for s := 0; s < steps; s++ {
		t := s
		if q.reverse {
			t = steps - 1 - s
		}
		xt := x[t*q.ni : (t+1)*q.ni]
		next, nextC := make([]float64, q.nh), make([]float64, q.nh)
		switch q.op {
		case "RNN":
			in, rec := q.gate(0, xt, h)
			for j := range next {
				next[j] = f(in[j] + rec[j])
			}
		case "GRU":
			zi, zr := q.gate(0, xt, h)
			ri, rr := q.gate(1, xt, h)
			reset := make([]float64, q.nh)
			for j := range reset {
				reset[j] = f(ri[j] + rr[j])
			}
			hr := make([]float64, q.nh)
			for j := range hr {
				hr[j] = reset[j] * h[j]
			}
			hi, hrec := q.gate(2, xt, h)
			_, hreset := q.gate(2, xt, hr)
			for j := range next {
				v := hi[j] + hreset[j]
				if q.lateReset {
					v = hi[j] + reset[j]*hrec[j]
				}
				z := f(zi[j] + zr[j])
				next[j] = (1-z)*g(v) + z*h[j]
			}
		case "LSTM":
			peep := func(k, j int) float64 {
				if q.p == nil {
					return 0
				}
				return float64(q.p[k*q.nh+j])
			}
			ii, ir := q.gate(0, xt, h)
			oi, or := q.gate(1, xt, h)
			fi, fr := q.gate(2, xt, h)
			ci, cr := q.gate(3, xt, h)
			for j := range next {
				i := f(ii[j] + ir[j] + peep(0, j)*c[j])
				fg := f(fi[j] + fr[j] + peep(2, j)*c[j])
				if q.couple {
					fg = 1 - i
				}
				nextC[j] = fg*c[j] + i*g(ci[j]+cr[j])
				o := f(oi[j] + or[j] + peep(1, j)*nextC[j])
				next[j] = o * hf(nextC[j])
			}
		}
		h, c = next, nextC
		q.outputs[t] = h
	}
	q.finalState, q.finalCell = h, c
}

func sigm(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func recurrentCase(op string, bits int, direction string) Case {
	return recurrentCaseOf(op, bits, direction, 3, 6)
}

// recurrentCaseOf makes a case of op over all optional inputs and attributes
// that bits choose, for n sequences and nh hidden units, with the results of
// naiveRecurrent.
func recurrentCaseOf(op string, bits int, direction string, n, nh int) Case {
	const s, ni = 4, 5
	gates := map[string]int{"RNN": 1, "GRU": 3, "LSTM": 4}[op]
	dirs := []bool{direction == "reverse"}
	if direction == "bidirectional" {
		dirs = []bool{false, true}
	}
	d := len(dirs)
	x := wave(s*n*ni, 1)
	w, r := wave(d*gates*nh*ni, 2), wave(d*gates*nh*nh, 3)
	attrs := onnx.NewAttrs("direction", direction, "hidden_size", nh)
	in := make([]tensor.Value, map[string]int{"RNN": 6, "GRU": 6, "LSTM": 8}[op])
	lead := bits&1 != 0
	order := func(data []float32, h int) *tensor.Tensor { // from [d, n, h]
		if !lead {
			return F32([]int{d, n, h}, data...)
		}
		t := make([]float32, len(data))
		for k := 0; k < d; k++ {
			for b := 0; b < n; b++ {
				copy(t[(b*d+k)*h:][:h], data[(k*n+b)*h:])
			}
		}
		return F32([]int{n, d, h}, t...)
	}
	in[0], in[1], in[2] = F32([]int{s, n, ni}, x...), F32([]int{d, gates * nh, ni}, w...), F32([]int{d, gates * nh, nh}, r...)
	if lead {
		attrs = attrs.Set("layout", 1)
		t := make([]float32, len(x))
		for i := 0; i < s; i++ {
			for b := 0; b < n; b++ {
				copy(t[(b*s+i)*ni:][:ni], x[(i*n+b)*ni:])
			}
		}
		in[0] = F32([]int{n, s, ni}, t...)
	}
	base := naiveRecurrent{op: op, ni: ni, nh: nh, f: sigm, g: math.Tanh, h: math.Tanh}
	if op == "RNN" {
		base.f = math.Tanh
	}
	var bias, peep []float32
	if bits&2 != 0 {
		bias = wave(d*2*gates*nh, 4)
		in[3] = F32([]int{d, 2 * gates * nh}, bias...)
	}
	lens := slices.Repeat([]int32{s}, n)
	if bits&4 != 0 {
		for b := range lens {
			lens[b] = []int32{2, 4, 1}[b%3]
		}
		in[4] = I32([]int{n}, lens...)
	}
	h0, c0 := make([]float32, d*n*nh), make([]float32, d*n*nh)
	if bits&8 != 0 {
		h0, c0 = wave(d*n*nh, 5), wave(d*n*nh, 6)
		in[5] = order(h0, nh)
		if op == "LSTM" {
			in[6] = order(c0, nh)
		}
	}
	if bits&16 != 0 {
		switch op {
		case "LSTM":
			peep = wave(d*3*nh, 7)
			in[7] = F32([]int{d, 3 * nh}, peep...)
		case "GRU":
			attrs, base.lateReset = attrs.Set("linear_before_reset", 1), true
		}
	}
	if bits&32 != 0 {
		attrs, base.clip = attrs.Set("clip", 0.6), float64(float32(0.6))
	}
	if bits&64 != 0 {
		names, alphas := []string{}, []float64{}
		for range dirs {
			switch op {
			case "RNN":
				names, alphas = append(names, "Affine"), append(alphas, 0.5)
			case "GRU":
				names, alphas = append(names, "HardSigmoid", "Softsign"), append(alphas, 0.3)
			case "LSTM":
				names, alphas = append(names, "HardSigmoid", "Elu", "LeakyRelu"), append(alphas, 0.3, 0.7, 0.2)
			}
		}
		attrs = attrs.Set("activations", names).Set("activation_alpha", alphas)
		hard := func(x float64) float64 { return math.Min(math.Max(0.3*x+0.5, 0), 1) }
		switch op {
		case "RNN":
			base.f = func(x float64) float64 { return 0.5 * x }
		case "GRU":
			base.f, base.g = hard, func(x float64) float64 { return x / (1 + math.Abs(x)) }
		case "LSTM":
			base.f = hard
			base.g = func(x float64) float64 {
				if x < 0 {
					return 0.7 * (math.Exp(x) - 1)
				}
				return x
			}
			base.h = func(x float64) float64 {
				if x < 0 {
					return 0.2 * x
				}
				return x
			}
		}
		if op == "LSTM" {
			attrs, base.couple = attrs.Set("input_forget", 1), true
		}
	}
	y, yh, yc := make([]float32, s*d*n*nh), make([]float32, d*n*nh), make([]float32, d*n*nh)
	for k := range dirs {
		for b := 0; b < n; b++ {
			q := base
			q.reverse = dirs[k]
			q.w, q.r = w[k*gates*nh*ni:][:gates*nh*ni], r[k*gates*nh*nh:][:gates*nh*nh]
			if bias != nil {
				q.b = bias[k*2*gates*nh:][:2*gates*nh]
			}
			if peep != nil {
				q.p = peep[k*3*nh:][:3*nh]
			}
			q.state, q.cell = to64(h0[(k*n+b)*nh:][:nh]), to64(c0[(k*n+b)*nh:][:nh])
			var seq []float32
			for t := 0; t < int(lens[b]); t++ {
				seq = append(seq, x[(t*n+b)*ni:][:ni]...)
			}
			q.run(seq)
			for t, o := range q.outputs {
				for j, v := range o {
					at := ((t*d+k)*n+b)*nh + j
					if lead {
						at = ((b*s+t)*d+k)*nh + j
					}
					y[at] = float32(v)
				}
			}
			for j := range q.finalState {
				yh[(k*n+b)*nh+j], yc[(k*n+b)*nh+j] = float32(q.finalState[j]), float32(q.finalCell[j])
			}
		}
	}
	shape := []int{s, d, n, nh}
	if lead {
		shape = []int{n, s, d, nh}
	}
	want := Vals(F32(shape, y...), order(yh, nh))
	if op == "LSTM" {
		want = append(want, order(yc, nh))
	}
	return Case{Name: fmt.Sprintf("%s %s %b", op, direction, bits), Op: op, Attrs: attrs, In: in, Want: want, Tol: close5}
}

func testRecurrent(t *testing.T, op string) {
	var cases []Case
	for _, direction := range []string{"forward", "reverse", "bidirectional"} {
		for bits := 0; bits < 128; bits++ {
			cases = append(cases, recurrentCase(op, bits, direction))
		}
	}
	// Steps that threads share, and batches that they do.
	for _, bits := range []int{0, 2, 6, 11, 18, 22, 31} {
		cases = append(cases, recurrentCaseOf(op, bits, "forward", 1, 128), recurrentCaseOf(op, bits, "reverse", 2, 96), recurrentCaseOf(op, bits, "bidirectional", 9, 33))
	}
	c := recurrentCase(op, 4, "forward")
	bad := func(err string, change func(c *Case)) {
		c := recurrentCase(op, 4, "forward")
		change(&c)
		c.Name, c.Err = err, err
		cases = append(cases, c)
	}
	last := c
	last.Name, last.Want = "last state", append(Vals(nil), c.Want[1:]...)
	old := c
	old.Name, old.Opset, old.Attrs = "old", 1, old.Attrs.Set("output_sequence", 1)
	cases = append(cases, last, old)
	bad("sequence_lens has 5, want 0 to 4", func(c *Case) { c.In[4] = I32([]int{3}, 1, 5, 1) })
	bad("X has shape [2 3]", func(c *Case) { c.In[0] = waveT(1, 2, 3) })
	bad("W has shape [7 2]", func(c *Case) { c.In[1] = waveT(1, 7, 2) })
	bad("R has shape [1 2 6]", func(c *Case) { c.In[2] = waveT(1, 1, 2, 6) })
	bad("B has shape [1 3]", func(c *Case) { c.In[3] = waveT(1, 1, 3) })
	bad("initial_h has shape [1 3]", func(c *Case) { c.In[5] = waveT(1, 1, 3) })
	bad("activation function \"Gelu\"", func(c *Case) {
		c.Attrs = c.Attrs.Set("activations", []string{"Gelu", "Gelu", "Gelu"}[:map[string]int{"RNN": 1, "GRU": 2, "LSTM": 3}[op]])
	})
	bad("\"direction\" is \"up\"", func(c *Case) { c.Attrs = c.Attrs.Set("direction", "up") })
	bad("\"hidden_size\" is 5, R has 6", func(c *Case) { c.Attrs = c.Attrs.Set("hidden_size", 5) })
	// Through float32, and float64.
	half := recurrentCase(op, 0, "forward")
	wide := recurrentCase(op, 0, "forward")
	for i := range half.In {
		if v, ok := half.In[i].(*tensor.Tensor); ok {
			f := tensor.Data[float32](v)
			half.In[i], wide.In[i] = Of(v.Shape(), to16(f)...), Of(v.Shape(), to64(f)...)
		}
	}
	for i := range half.Want {
		v := half.Want[i].(*tensor.Tensor)
		f := tensor.Data[float32](v)
		half.Want[i], wide.Want[i] = Of(v.Shape(), to16(f)...), Of(v.Shape(), to64(f)...)
	}
	half.Name, half.Tol = "float16", tensor.Tolerance{Rel: 1e-2, Abs: 1e-2}
	wide.Name = "float64"
	Run(t, append(cases, half, wide))
}
