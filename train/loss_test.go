package train

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/onnx/schema"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// lossOf evaluates a loss on outputs and a target, and checks its gradients by
// finite differences.
func lossOf(t *testing.T, l Loss, target *tensor.Tensor, outputs ...*tensor.Tensor) float64 {
	t.Helper()
	m := &onnx.Model{IRVersion: 10, Opsets: map[string]int{"": schema.Newest("")}}
	m.Graph = onnx.NewGraph("g", m.Opsets)
	b := ops.NewBuilder(m.Graph)
	o := &Objective{Builder: b, target: "target", inputs: map[string]*onnx.Value{}}
	in := map[string]tensor.Value{}
	if target != nil {
		in["target"] = target
	}
	for i, y := range outputs {
		v := m.Graph.AddInput(string(rune('a'+i)), onnx.TypeOf(y))
		in[v.Name] = y
		o.Outputs = append(o.Outputs, v)
	}
	n := len(m.Graph.Inputs)
	loss := l.Build(o)
	require.NoError(t, b.Err())
	b.Insert(nil)
	m.Graph.Outputs = []*onnx.Value{loss}
	plain := m.Clone()
	grads, err := gradient(m, loss, nil, m.Graph.Inputs[:n])
	require.NoError(t, err)
	m.Graph.Outputs = append(m.Graph.Outputs, grads...)
	s, err := runtime.New(m, runtime.Options{Private: true, Threads: 1})
	require.NoError(t, err)
	defer s.Close()
	out, err := s.Run(context.Background(), in)
	require.NoError(t, err)
	f, err := runtime.New(plain, runtime.Options{Threads: 1})
	require.NoError(t, err)
	defer f.Close()
	value := func() float64 {
		res, err := f.Run(context.Background(), in)
		require.NoError(t, err)
		return tensor.Data[float64](res[f.Outputs()[0].Name].(*tensor.Tensor))[0]
	}
	for i, y := range outputs {
		data, grad := tensor.Data[float64](y), tensor.Data[float64](out[s.Outputs()[1+i].Name].(*tensor.Tensor))
		for k := range data {
			old := data[k]
			data[k] = old + 1e-5
			up := value()
			data[k] = old - 1e-5
			down := value()
			data[k] = old
			require.InDelta(t, (up-down)/2e-5, grad[k], 1e-5, "output %d, element %d", i, k)
		}
	}
	return value()
}

func TestLosses(t *testing.T) {
	soft := func(row []float64) []float64 {
		sum, p := 0.0, make([]float64, len(row))
		for i, v := range row {
			p[i] = math.Exp(v)
			sum += p[i]
		}
		for i := range p {
			p[i] /= sum
		}
		return p
	}
	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	logits, classes := optest.Normal(1, 4, 3), tensor.Of([]int64{2, 0, 1, 2}, 4)
	x := tensor.Data[float64](logits)
	each := func(i int) float64 { return -math.Log(soft(x[3*i : 3*i+3])[tensor.Data[int64](classes)[i]]) }
	mean := (each(0) + each(1) + each(2) + each(3)) / 4
	even := 0.0
	for i := range 4 {
		for _, p := range soft(x[3*i : 3*i+3]) {
			even -= math.Log(p) / 12
		}
	}
	require.InDelta(t, mean, lossOf(t, CrossEntropy{}, classes, logits), 1e-12)
	require.InDelta(t, 0.9*mean+0.1*even, lossOf(t, CrossEntropy{LabelSmoothing: 0.1}, classes, logits), 1e-12)
	require.InDelta(t, (each(1)+each(2))/2, lossOf(t, CrossEntropy{Ignore: true, IgnoreIndex: 2}, classes, logits), 1e-12)
	require.InDelta(t, (2*each(0)+0.5*each(1)+each(2)+2*each(3))/5.5, lossOf(t, CrossEntropy{Weights: []float32{0.5, 1, 2}}, classes, logits), 1e-12)
	// Targets that are probabilities: alone, weighted, and along another dimension.
	q := tensor.Of([]float64{0.2, 0.8, 0, 1, 0, 0, 0.1, 0.3, 0.6, 0.3, 0.3, 0.4}, 4, 3)
	softSum := func(smoothing float64, w ...float64) (s float64) {
		for i, v := range tensor.Data[float64](q) {
			s -= w[i%3] * (v*(1-smoothing) + smoothing/3) * math.Log(soft(x[i/3*3 : i/3*3+3])[i%3]) / 4
		}
		return s
	}
	require.InDelta(t, softSum(0, 1, 1, 1), lossOf(t, CrossEntropy{Soft: true}, q, logits), 1e-12)
	require.InDelta(t, softSum(0.1, 0.5, 1, 2), lossOf(t, CrossEntropy{Soft: true, LabelSmoothing: 0.1, Weights: []float32{0.5, 1, 2}}, q, logits), 1e-12)
	across := func(v *tensor.Tensor) *tensor.Tensor { // [4, 3] as [1, 3, 4]
		y := tensor.New(tensor.Float64, 1, 3, 4)
		for i, e := range tensor.Data[float64](v) {
			tensor.Data[float64](y)[i%3*4+i/3] = e
		}
		return y
	}
	require.InDelta(t, softSum(0, 2, 1, 3), lossOf(t, CrossEntropy{Soft: true, Axis: 1, Weights: []float32{2, 1, 3}}, across(q), across(logits)), 1e-12)
	hard, err := OneHot(classes, 3, tensor.Float64)
	require.NoError(t, err)
	require.InDelta(t, mean, lossOf(t, CrossEntropy{Soft: true}, hard, logits), 1e-12)
	_, err = OneHot(classes, 2, tensor.Float32)
	require.ErrorContains(t, err, "sample 0 of the batch is 2, want a class below 2")

	// Classes along the second of three dimensions, as images have them, and along the last, as texts.
	images, pixels := optest.Normal(2, 2, 3, 4), tensor.Of([]int64{0, 1, 2, 0, 1, 2, 0, 1}, 2, 4)
	want := 0.0
	for n := range 2 {
		for p := range 4 {
			row := make([]float64, 3)
			for c := range row {
				row[c] = tensor.Data[float64](images)[n*12+c*4+p]
			}
			want -= math.Log(soft(row)[tensor.Data[int64](pixels)[n*4+p]]) / 8
		}
	}
	require.InDelta(t, want, lossOf(t, CrossEntropy{Axis: 1}, pixels, images), 1e-12)
	texts := optest.Normal(3, 2, 2, 3)
	want = 0
	for i := range 4 {
		want -= math.Log(soft(tensor.Data[float64](texts)[3*i : 3*i+3])[tensor.Data[int64](classes)[i]]) / 4
	}
	ids := tensor.Of(tensor.Data[int64](classes), 2, 2)
	require.InDelta(t, want, lossOf(t, CrossEntropy{}, ids, texts), 1e-12)

	logs := tensor.New(tensor.Float64, 4, 3)
	for i := range 4 {
		for c, p := range soft(x[3*i : 3*i+3]) {
			tensor.Data[float64](logs)[3*i+c] = math.Log(p)
		}
	}
	require.InDelta(t, mean, lossOf(t, NLL{}, classes, logs), 1e-12)

	y, z := optest.Normal(4, 5, 2), tensor.Of([]float64{0, 1, 1, 0, 0.5, 1, 0, 0, 1, 1}, 5, 2)
	sum := func(f func(y, z float64) float64) (s float64) {
		for i, v := range tensor.Data[float64](y) {
			s += f(v, tensor.Data[float64](z)[i]) / 10
		}
		return s
	}
	for name, c := range map[string]struct {
		l Loss
		f func(y, z float64) float64
	}{
		"bce": {BCEWithLogits{}, func(y, z float64) float64 { return -z*math.Log(sigmoid(y)) - (1-z)*math.Log(1-sigmoid(y)) }},
		"bce weighted": {BCEWithLogits{PosWeight: 3}, func(y, z float64) float64 {
			return -3*z*math.Log(sigmoid(y)) - (1-z)*math.Log(1-sigmoid(y))
		}},
		"mse": {MSE{}, func(y, z float64) float64 { return (y - z) * (y - z) }},
		"mae": {MAE{}, func(y, z float64) float64 { return math.Abs(y - z) }},
		"huber": {Huber{Delta: 0.5}, func(y, z float64) float64 {
			if d := math.Abs(y - z); d > 0.5 {
				return 0.5 * (d - 0.25)
			}
			return (y - z) * (y - z) / 2
		}},
		"hinge": {Hinge{}, func(y, z float64) float64 { return math.Max(0, 1-y*z) }},
		"focal": {Focal{Alpha: 0.25}, func(y, z float64) float64 {
			p := sigmoid(y)
			miss := z*(1-p) + (1-z)*p
			return (-z*math.Log(p) - (1-z)*math.Log(1-p)) * miss * miss * (z*0.25 + (1-z)*0.75)
		}},
	} {
		require.InDelta(t, sum(c.f), lossOf(t, c.l, z, y), 1e-12, name)
	}
	// Logits that are far out: nothing overflows.
	require.InDelta(t, 1000, lossOf(t, BCEWithLogits{}, tensor.Of([]float64{1}, 1, 1), tensor.Of([]float64{-1000}, 1, 1)), 1e-9)

	p := tensor.Of([]float64{0.2, 0.8, 0, 1, 0, 0, 0.1, 0.3, 0.6, 0.3, 0.3, 0.4}, 4, 3)
	want = 0
	for i, v := range tensor.Data[float64](p) {
		if v > 0 {
			want += v * (math.Log(v) - tensor.Data[float64](logs)[i]) / 4
		}
	}
	require.InDelta(t, want, lossOf(t, KLDiv{}, p, logs), 1e-9)

	a, pos, neg := optest.Normal(5, 3, 4), optest.Normal(6, 3, 4), optest.Normal(7, 3, 4)
	distance := func(i int, b *tensor.Tensor) (s float64) {
		for k := range 4 {
			d := tensor.Data[float64](a)[4*i+k] - tensor.Data[float64](b)[4*i+k] + 1e-6
			s += d * d
		}
		return math.Sqrt(s)
	}
	want = 0
	for i := range 3 {
		want += math.Max(0, distance(i, pos)-distance(i, neg)+1) / 3
	}
	require.InDelta(t, want, lossOf(t, Triplet{}, nil, a, pos, neg), 1e-9)
}

func TestSchedules(t *testing.T) {
	at := func(s Schedule, steps ...int) (f []float64) {
		for _, i := range steps {
			f = append(f, s.Factor(i, 100))
		}
		return f
	}
	near := func(want, got []float64) {
		t.Helper()
		for i := range want {
			require.InDelta(t, want[i], got[i], 1e-9)
		}
	}
	near([]float64{1.0 / 11, 10.0 / 11, 1, 1}, at(Constant{Warmup: 0.1}, 0, 9, 10, 99))
	near([]float64{1, 1, 0.1, 0.01}, at(StepDecay{Every: 30}, 0, 29, 30, 60))
	near([]float64{1, 0.25}, at(Exponential{Gamma: 0.5}, 0, 2))
	near([]float64{1, 0.55, 0.1}, at(Linear{Min: 0.1}, 0, 50, 100))
	near([]float64{1, 0.55, 0.1}, at(Cosine{Min: 0.1}, 0, 50, 100))
	near([]float64{1.0 / 25, 1, 1.0 / 25e4}, at(OneCycle{}, 0, 30, 100))
}

// As PyTorch has it: torch.nn.functional.cross_entropy(x, y, weight=[0.5, 1, 2], label_smoothing=0.1,
// ignore_index=…): the smoothing is over weighted classes, and all is divided by the weights of the targets.
func TestClassWeights(t *testing.T) {
	logits := tensor.Of([]float64{0.5, -1, 2, 1, 0, -0.5, -2, 0.25, 1, 0.75, 0.1, -1.5}, 4, 3)
	w := []float32{0.5, 1, 2}
	for want, l := range map[float64]CrossEntropy{
		1.337991959234: {},
		1.330222226916: {LabelSmoothing: 0.1},
		1.383949320742: {LabelSmoothing: 0.1, Ignore: true, IgnoreIndex: -100},
	} {
		target := tensor.Of([]int64{2, 0, 1, 2}, 4)
		if l.Ignore {
			target = tensor.Of([]int64{2, -100, 1, 2}, 4)
		}
		l.Weights = w
		require.InDelta(t, want, lossOf(t, l, target, logits), 1e-9)
	}
	y := tensor.Of([]float64{0, 1, 0.5, 1, 0, 1, 1, 1, 0, 0, 0, 1}, 4, 3)
	require.InDelta(t, 1.665860879282, lossOf(t, BCEWithLogits{PosWeights: []float32{0.5, 1, 4}}, y, logits), 1e-9)
	o := &Objective{Builder: ops.NewBuilder(onnx.NewGraph("g", map[string]int{"": 20})), target: "t", inputs: map[string]*onnx.Value{}}
	o.Outputs = []*onnx.Value{o.G.AddInput("x", onnx.TypeOf(logits))}
	BCEWithLogits{PosWeights: []float32{1, 2}}.Build(o)
	require.ErrorContains(t, o.Err(), "2 weights of positive targets")
}
