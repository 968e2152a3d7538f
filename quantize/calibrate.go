package quantize

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/internal/near"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// Method is how a range is chosen from the values of samples.
type Method uint8

// The methods. Those behind MovingAverage look at how values are distributed,
// in histograms of fixed size.
const (
	// MinMax takes the least and the greatest value.
	MinMax Method = iota
	// MovingAverage takes exponential averages over batches of their least and
	// greatest values. It is the only method for which the order of samples, and
	// how they are batched, matters.
	MovingAverage
	// Percentile leaves out the most extreme values, the same share at both ends.
	Percentile
	// Entropy takes the range that keeps most information (the least
	// Kullback-Leibler divergence), as TensorRT does.
	Entropy
	// MSE takes the range with the least mean squared error of quantised values.
	MSE
)

var methods = []string{"minmax", "moving-average", "percentile", "entropy", "mse"}

// String returns the method's name in lower case.
func (m Method) String() string {
	if int(m) < len(methods) {
		return methods[m]
	}
	return fmt.Sprintf("method %d", m)
}

// ParseMethod returns the method of that name.
func ParseMethod(s string) (Method, error) {
	if i := slices.Index(methods, s); i >= 0 {
		return Method(i), nil
	}
	return 0, fmt.Errorf("quantize: there is no calibration method %q: it is %s", s, strings.Join(methods, ", "))
}

// CalibrateConfig says what Calibrate observes and how. The zero value takes
// the least and greatest values of everything.
type CalibrateConfig struct {
	Method Method
	// Values lists the values to observe, by name, in the main graph and nested
	// ones. Nil: all inputs of the graph and outputs of nodes that are float32 or
	// float16. Values that only exist inside fused operators slow the runs
	// down, so callers list what they will quantise.
	Values []string
	// Percentile is the share of values, in percent, that the method of that name
	// keeps; 0: 99.99.
	Percentile float64
	// Momentum is the weight of what came before in a moving average; 0: 0.9.
	Momentum float64
	// Levels is how many numbers a quantised value can be, for the methods
	// Entropy and MSE; 0: 256.
	Levels int
	// Symmetric gives ranges [-r, r].
	Symmetric bool
	// Threads caps the threads of a run; 0: one per CPU. The ranges do not depend on it.
	Threads int
	// MaxMemory bounds a run as runtime.Options.MaxMemory does.
	MaxMemory int64
	// Progress is called after each batch with how many are done and how many
	// there are, -1 if that is not known. May be nil.
	Progress func(done, total int)
}

// withDefaults returns c with nothing left to choose.
func (c CalibrateConfig) withDefaults() (CalibrateConfig, error) {
	if c.Percentile == 0 {
		c.Percentile = 99.99
	}
	if c.Momentum == 0 {
		c.Momentum = 0.9
	}
	if c.Levels == 0 {
		c.Levels = 256
	}
	switch {
	case int(c.Method) >= len(methods):
		return c, fmt.Errorf("quantize: there is no calibration %v", c.Method)
	case !(c.Percentile > 0 && c.Percentile <= 100):
		return c, fmt.Errorf("quantize: CalibrateConfig.Percentile is %v, want more than 0 and at most 100", c.Percentile)
	case !(c.Momentum > 0 && c.Momentum < 1):
		return c, fmt.Errorf("quantize: CalibrateConfig.Momentum is %v, want more than 0 and less than 1", c.Momentum)
	case c.Levels < 2 || c.Levels > 1<<16:
		return c, fmt.Errorf("quantize: CalibrateConfig.Levels is %d, want 2 to 65536", c.Levels)
	case c.Threads < 0:
		return c, fmt.Errorf("quantize: CalibrateConfig.Threads is %d, want 0 or more", c.Threads)
	}
	return c, nil
}

// Calibrate runs m on all batches of src and returns the ranges of its values,
// by name. m is not changed; it may be used by others meanwhile. A range
// always holds 0; that of a value which is always 0 is [0, 0]. Its ends are rounded
// outwards to 9 significant bits: how kernels round does not show. Values that no
// batch computed an element of, such as those in a branch that was not taken,
// have none.
//
// Values are observed while the model runs: none is kept, and what is
// remembered of each does not grow with the number of samples. Apart from
// MovingAverage the ranges depend on the values alone, not on the size of
// batches, the order of samples or the number of threads. Kernels may sum in another
// order for another size of batch, though, and where that moves a value to the next
// bin, Entropy and MSE may take the other of two thresholds that are as good. The model runs as
// optimised as in a session, but for observed values, which must exist: give an
// optimised model (optimize.Portable) and list what will be quantised.
//
// A NaN or infinite value is an error that names node, value and sample; so is
// a source without samples. Infinite elements that come from a constant of the model, as masks of
// attention have them, are no mistake: the range of such a value is infinite, and Static leaves
// alone what would need it, with that reason.
func Calibrate(ctx context.Context, m *onnx.Model, src data.Source, c CalibrateConfig) (Ranges, error) {
	if ctx == nil {
		ctx = context.Background()
	}
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	watched, obs, err := instrument(m, &c)
	if err != nil {
		return nil, err
	}
	s, err := runtime.New(watched, runtime.Options{Threads: c.Threads, MaxMemory: c.MaxMemory, Operators: observeOps(obs)})
	if err != nil {
		return nil, fmt.Errorf("quantize: calibrate: %w", err)
	}
	defer s.Close()
	done, samples := 0, 0
	for b, err := range src.Batches(ctx) {
		if err != nil {
			return nil, fmt.Errorf("quantize: calibrate: %w", err)
		}
		if _, err := s.Run(ctx, b.Values()); err != nil {
			if bad := (*badValue)(nil); errors.As(err, &bad) {
				return nil, bad.describe(b.Name, done, b.Size())
			}
			return nil, fmt.Errorf("quantize: calibrate: batch %d (%s): %w", done+1, b.Name, err)
		}
		for _, o := range obs {
			o.endBatch(c.Momentum)
		}
		samples += b.Size()
		if done++; c.Progress != nil {
			c.Progress(done, src.Len())
		}
	}
	if samples == 0 {
		return nil, fmt.Errorf("quantize: calibrate: the source has %d batches and no sample: ranges come from at least one", done)
	}
	return ranges(par.P{Ctx: ctx, Threads: s.Threads()}, obs, &c)
}

// ranges asks all observers, in parallel: searches take a while.
func ranges(p par.P, obs []*observer, c *CalibrateConfig) (Ranges, error) {
	all, ok := make([]Range, len(obs)), make([]bool, len(obs))
	p.For(len(obs), 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			all[i], ok[i] = obs[i].result(c)
		}
	})
	if err := p.Ctx.Err(); err != nil {
		return nil, err
	}
	r := make(Ranges, len(obs))
	for i, o := range obs {
		if ok[i] {
			r[o.name] = all[i]
		}
	}
	return r, nil
}

// instrument returns a copy of m with an observer for each value that c asks
// for. Its outputs are those of observers, so that nothing else is computed.
func instrument(m *onnx.Model, c *CalibrateConfig) (*onnx.Model, []*observer, error) {
	names := map[string]bool{}
	m.Graph.Walk(func(g *onnx.Graph) {
		for _, v := range produced(g) {
			names[v.Name] = true
		}
	})
	asked := map[string]bool{}
	for _, name := range c.Values {
		if !names[name] {
			return nil, nil, fmt.Errorf("quantize: calibrate: the model has no value %q%s", name, near.Hint(name, slices.Collect(maps.Keys(names))))
		}
		asked[name] = true
	}
	w := m.Clone()
	if err := optimize.Inline(w, nil); err != nil {
		return nil, nil, fmt.Errorf("quantize: calibrate: %w", err)
	}
	if err := optimize.Infer(w, optimize.InferOptions{}); err != nil {
		return nil, nil, fmt.Errorf("quantize: calibrate: %w", err)
	}
	var chosen []*onnx.Value
	in, found := map[*onnx.Value]*onnx.Graph{}, map[string]bool{}
	w.Graph.Walk(func(g *onnx.Graph) {
		for _, v := range produced(g) {
			if c.Values == nil && names[v.Name] && observable(v.Type) || asked[v.Name] {
				chosen = append(chosen, v)
				in[v] = g
				found[v.Name] = true
			}
		}
	})
	for _, name := range c.Values {
		if found[name] {
			continue
		}
		return nil, nil, fmt.Errorf("quantize: calibrate: value %q is inside of a function: inline the model first", name)
	}
	if len(chosen) == 0 {
		return nil, nil, errors.New("quantize: calibrate: no value to observe: the model has no float32 or float16 activations, or an empty list was given")
	}
	if w.Opsets == nil {
		w.Opsets = map[string]int{}
	}
	w.Graph.Walk(func(g *onnx.Graph) { g.Opsets[domain] = 1 })
	w.Opsets[domain] = 1
	endless := endlessValues(w.Graph)
	var obs []*observer
	index := map[string]int{} // branches may have values of the same name
	var outs []*onnx.Value
	for _, v := range chosen {
		if err := wanted(v); err != nil {
			return nil, nil, err
		}
		i, ok := index[v.Name]
		if !ok {
			i = len(obs)
			index[v.Name] = i
			obs = append(obs, newObserver(v, c.Method))
		}
		obs[i].endless = obs[i].endless || endless[v]
		attr := onnx.NewAttrs("index", i)
		if g := in[v]; g == w.Graph {
			n := g.NewNodeIn(domain, observeOp, attr, []*onnx.Value{v}, 1)
			g.Insert(after(g, v), n)
			outs = append(outs, n.Out[0])
		} else {
			through(g, v, attr)
			outs = append(outs, carriers(w.Graph, g)...)
		}
	}
	w.Graph.Outputs = nil
	for _, v := range outs {
		if !slices.Contains(w.Graph.Outputs, v) {
			w.Graph.Outputs = append(w.Graph.Outputs, v)
		}
	}
	w.Graph.RebuildUses()
	return w, obs, nil
}

// produced lists the inputs of g without a default and what its nodes make.
func produced(g *onnx.Graph) []*onnx.Value {
	var vs []*onnx.Value
	for _, v := range g.Inputs {
		if v.Const == nil && v.Sparse == nil {
			vs = append(vs, v)
		}
	}
	for _, n := range g.Nodes {
		for _, v := range n.Out {
			if v != nil {
				vs = append(vs, v)
			}
		}
	}
	return vs
}

// observable reports whether a value of type t is observed without being asked for.
func observable(t onnx.Type) bool {
	return t.Kind == onnx.TensorKind && (t.DType == tensor.Float32 || t.DType == tensor.Float16)
}

// wanted refuses a value that is known to have no range.
func wanted(v *onnx.Value) error {
	t := v.Type
	if t.Kind != onnx.UnknownKind && t.Kind != onnx.TensorKind || t.DType != tensor.Undefined && !t.DType.IsFloat() {
		return fmt.Errorf("quantize: calibrate: value %q is %v: ranges are of floats", v.Name, t)
	}
	return nil
}

// after returns the first node of g that may read v, of g; nil: there is none.
func after(g *onnx.Graph, v *onnx.Value) *onnx.Node {
	if i := slices.Index(g.Nodes, v.From); i+1 < len(g.Nodes) { // an input has no node: the first
		return g.Nodes[i+1]
	}
	return nil
}

// through has the readers of v, in the nested graph g, read it from an observer.
func through(g *onnx.Graph, v *onnx.Value, attr onnx.Attrs) {
	readers := slices.Clone(v.Users())
	n := g.NewNodeIn(domain, observeThroughOp, attr, []*onnx.Value{v}, 1)
	n.Out[0].Type = v.Type
	g.Insert(after(g, v), n)
	for _, u := range readers {
		for i, x := range u.In {
			if x == v {
				u.SetInput(i, n.Out[0])
			}
		}
	}
	g.Walk(func(h *onnx.Graph) { // graphs within may return it, too
		for i, x := range h.Outputs {
			if x == v {
				h.Outputs[i] = n.Out[0]
			}
		}
	})
}

// carriers returns the outputs of the node of the main graph around g.
func carriers(main, g *onnx.Graph) []*onnx.Value {
	var outs []*onnx.Value
	for _, n := range main.Nodes {
		for _, b := range n.Bodies() {
			b.Walk(func(h *onnx.Graph) {
				if h == g {
					outs = slices.DeleteFunc(slices.Clone(n.Out), func(v *onnx.Value) bool { return v == nil })
				}
			})
		}
	}
	return outs
}
