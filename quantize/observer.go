package quantize

import (
	"fmt"
	"math"
	"sync"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// observer collects what a method needs to know of one value. It keeps no
// tensor, and as many bytes after a million samples as after one.
type observer struct {
	name string // of the value
	node string // that makes it, for messages
	// endless says that an infinite constant reaches the value, so that infinite elements are no mistake.
	endless bool

	mu     sync.Mutex
	seen   bool       // there was an element
	lo, hi float32    // of all elements
	hist   *histogram // nil: the method needs none
	// For the moving average: the current batch, and the average up to it.
	batch        bool
	bLo, bHi     float32
	averaged     bool
	avgLo, avgHi float64
}

func newObserver(v *onnx.Value, m Method) *observer {
	o := &observer{name: v.Name, node: "the input"}
	if v.From != nil {
		o.node = "node " + v.From.String()
	}
	if m.needsHistogram() {
		o.hist = newHistogram()
	}
	return o
}

// observePiece is how many elements of a tensor one thread looks at at a time.
const observePiece = 1 << 14

// extremes are the least and greatest element of each piece, NaN if there is one.
type extremes struct{ lo, hi []float32 }

// observeArgs is what threads look for extremes in.
type observeArgs struct {
	x     []float32
	e     extremes
	table *vec.Table
}

// observe takes in the elements of one tensor. A NaN is an error, and so is an infinite one
// that no constant brings.
func (o *observer) observe(p par.P, t *tensor.Tensor) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if t.DType() == tensor.Float32 {
		return o.floats(p, tensor.Data[float32](t), t, 0)
	}
	// In pieces, so that not all of it is widened at a time.
	buf := make([]float32, min(t.Len(), 1<<20))
	for at := 0; at < t.Len(); at += len(buf) {
		x := buf[:min(len(buf), t.Len()-at)]
		par.Each(p, len(x), observePiece, widenArgs{x, t, at}, func(a *widenArgs, lo, hi int) {
			tensor.WidenTo(a.x[lo:hi], a.t, a.at+lo)
		})
		if err := o.floats(p, x, t, at); err != nil {
			return err
		}
	}
	return nil
}

type widenArgs struct {
	x  []float32
	t  *tensor.Tensor
	at int
}

// floats takes in x, the elements of t from at on.
func (o *observer) floats(p par.P, x []float32, t *tensor.Tensor, at int) error {
	if len(x) == 0 {
		return nil
	}
	pieces := (len(x) + observePiece - 1) / observePiece
	all := make([]float32, 2*pieces)
	a := observeArgs{x: x, e: extremes{all[:pieces], all[pieces:]}, table: vec.Best()}
	par.Each(p, len(x), observePiece, a, func(a *observeArgs, lo, hi int) {
		i := lo / observePiece
		a.e.lo[i], a.e.hi[i] = a.table.Smallest(a.x[lo:hi]), a.table.Largest(a.x[lo:hi])
	})
	if p.Ctx != nil && p.Ctx.Err() != nil {
		return p.Ctx.Err() // some pieces may not have been looked at
	}
	lo, hi := a.e.lo[0], a.e.hi[0]
	for i := range pieces {
		lo, hi = min(lo, a.e.lo[i]), max(hi, a.e.hi[i]) // NaN if one is
	}
	whole := finite(lo) && finite(hi)
	if !whole {
		for i, v := range x {
			if v != v || !finite(v) && !o.endless {
				return &badValue{o: o, v: v, at: at + i, shape: t.String(), rows: rows(t), row: (at + i) / max(t.Len()/max(rows(t), 1), 1)}
			}
		}
	}
	if o.hist != nil && whole {
		o.hist.fit(max(-lo, hi))
		o.hist.add(p, x)
		if p.Ctx != nil && p.Ctx.Err() != nil {
			return p.Ctx.Err()
		}
	}
	if !o.seen {
		o.lo, o.hi, o.seen = lo, hi, true
	}
	o.lo, o.hi = min(o.lo, lo), max(o.hi, hi)
	if !o.batch {
		o.bLo, o.bHi, o.batch = lo, hi, true
	}
	o.bLo, o.bHi = min(o.bLo, lo), max(o.bHi, hi)
	return nil
}

func finite(x float32) bool { return x-x == 0 }

// rows returns the first dimension of t.
func rows(t *tensor.Tensor) int {
	if t.Rank() == 0 {
		return 1
	}
	return t.Dim(0)
}

// endBatch moves the average by the batch that was observed.
func (o *observer) endBatch(momentum float64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.batch {
		return
	}
	o.batch = false
	if !o.averaged {
		o.avgLo, o.avgHi, o.averaged = float64(o.bLo), float64(o.bHi), true
		return
	}
	o.avgLo = momentum*o.avgLo + (1-momentum)*float64(o.bLo)
	o.avgHi = momentum*o.avgHi + (1-momentum)*float64(o.bHi)
}

// badValue is the error of an element that is NaN or infinite.
type badValue struct {
	o         *observer
	v         float32
	at        int
	shape     string
	rows, row int
}

// Error names tensor and node.
func (e *badValue) Error() string {
	return fmt.Sprintf("value %q (%s) of %s: an element is %v", e.o.name, e.shape, e.o.node, e.v)
}

// domain is where observers are operators. It is of this package alone.
const domain = "run.gneiss.calibrate"

// Observe looks at its input. The operator ObserveThrough also passes it on,
// for graphs whose outputs cannot be added to.
const (
	observeOp        = "Observe"
	observeThroughOp = "ObserveThrough"
)

// observeOps returns the operators that observe: attribute index tells which
// observer. A kernel changes its observer, so nodes must not be computed ahead
// or joined: their Numerics is Random.
func observeOps(obs []*observer) []*ops.Op {
	build := func(through bool) func(*ops.BuildContext) (ops.Kernel, error) {
		return func(b *ops.BuildContext) (ops.Kernel, error) {
			i := b.Int("index", -1)
			if i < 0 || i >= len(obs) {
				return nil, fmt.Errorf("index %d is not in [0, %d)", i, len(obs))
			}
			o := obs[i]
			return func(c *ops.Call) error {
				if t, ok := c.In[0].(*tensor.Tensor); ok && t.DType().IsFloat() {
					if err := o.observe(c.P, t); err != nil {
						return err
					}
				}
				switch {
				case !through:
					c.Output(0, tensor.Bool)
				default:
					t, ok := c.In[0].(*tensor.Tensor)
					if !ok {
						c.SetOut(0, c.In[0])
						return nil
					}
					return c.View(0, t, t.Shape()...)
				}
				return nil
			}, nil
		}
	}
	return []*ops.Op{
		{
			Domain: domain, Name: observeOp, Numerics: ops.Random, AnyOrder: true,
			Versions: []ops.Version{{Since: 1, In: ops.N(1), Out: ops.N(1), Build: build(false), Infer: func(c *ops.InferContext) error {
				c.Int("index", 0)
				c.Out[0] = onnx.TensorType(tensor.Bool)
				return nil
			}}},
		},
		{
			Domain: domain, Name: observeThroughOp, Numerics: ops.Random,
			Versions: []ops.Version{{Since: 1, In: ops.N(1), Out: ops.N(1), Build: build(true), Infer: func(c *ops.InferContext) error {
				c.Int("index", 0)
				c.Out[0] = c.Node.In[0].Type
				return nil
			}}},
		},
	}
}

// result returns the range that the method gives for what was observed. It
// always holds 0. It is false if no element was.
func (o *observer) result(c *CalibrateConfig) (Range, bool) {
	if !o.seen {
		return Range{}, false
	}
	if !finite(o.lo) || !finite(o.hi) {
		return Range{Lo: min(o.lo, 0), Hi: max(o.hi, 0)}, true
	}
	least, most := float64(o.lo), float64(o.hi)
	lo, hi := least, most
	switch {
	case c.Method == MovingAverage:
		lo, hi = o.avgLo, o.avgHi
	case c.Method.needsHistogram() && c.Symmetric:
		hi = min(o.top(c), max(-least, most))
		lo = -hi
	case c.Method == Percentile:
		lo, hi = o.percentile(c)
	case c.Method.needsHistogram():
		lo, hi = o.search(c)
	}
	if c.Symmetric {
		hi = max(-lo, hi)
		lo = -hi
	} else { // bins are wider than what is in them
		lo, hi = max(lo, least), min(hi, most)
	}
	return Range{Lo: outwards(float32(min(lo, 0))), Hi: outwards(float32(max(hi, 0)))}, true
}

// outwards returns the nearest number with 9 significant bits that is no nearer to
// 0, which is at most 0.4% further away. Kernels may sum in another order for another size of batch or
// on another machine: what that does to the last bits of a value should not make
// other scales of it, and another file.
func outwards(x float32) float32 {
	const rest = 1<<15 - 1 // of the 24 bits
	if y := math.Float32frombits((math.Float32bits(x) + rest) &^ rest); finite(y) {
		return y
	}
	return x
}

// percentile cuts off the same share at both ends.
func (o *observer) percentile(c *CalibrateConfig) (lo, hi float64) {
	count, zero := o.hist.line()
	cut := (1 - c.Percentile/100) / 2
	return o.hist.quantile(count, -zero, cut), o.hist.quantile(count, -zero, 1-cut)
}

// search finds the best window.
func (o *observer) search(c *CalibrateConfig) (lo, hi float64) {
	count, zero := o.hist.line()
	w := c.window(count, zero, c.Levels)
	return float64(w.lo-zero) * o.hist.width(), float64(w.hi-zero) * o.hist.width()
}

// top returns the bound of magnitudes that a method with a histogram gives.
func (o *observer) top(c *CalibrateConfig) float64 {
	count := o.hist.magnitudes()
	if c.Method == Percentile {
		return o.hist.quantile(count, 0, c.Percentile/100)
	}
	// Steps are the same on both sides of 0, so half of them tell the magnitudes.
	w := c.window(count, 0, (c.Levels+1)/2)
	return float64(w.hi) * o.hist.width()
}

// window searches by the method.
func (c *CalibrateConfig) window(count []uint64, zero, levels int) window {
	if c.Method == MSE {
		return mseWindow(count, zero, levels)
	}
	return entropyWindow(count, zero, levels)
}

// needsHistogram reports whether the method looks at the distribution of values.
func (m Method) needsHistogram() bool { return m == Percentile || m == Entropy || m == MSE }

// describe completes the message of a bad value by the batch it came from.
func (e *badValue) describe(batch string, index, size int) error {
	kind := "NaN"
	if !math.IsNaN(float64(e.v)) {
		kind = "infinite"
	}
	sample := fmt.Sprintf("batch %d", index+1)
	if batch != "" {
		sample += fmt.Sprintf(" (%s)", batch)
	}
	if size > 1 && e.rows == size {
		sample += fmt.Sprintf(", sample %d of it", e.row+1)
	}
	return fmt.Errorf("quantize: calibrate: %s: %s gives %q, %s, with an element that is %s: check the data and its preprocessing, or leave the value out", sample, e.o.node, e.o.name, e.shape, kind)
}
