package prep

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
	"github.com/gneiss-run/gneiss/train/nn"
)

// table writes CSV files and opens them as one table.
func table(t *testing.T, texts ...string) data.Table {
	t.Helper()
	var files []string
	dir := t.TempDir()
	for i, text := range texts {
		files = append(files, filepath.Join(dir, fmt.Sprintf("part-%d.csv", i)))
		require.NoError(t, os.WriteFile(files[i], []byte(text), 0o644))
	}
	out, err := data.OpenTable(files...)
	require.NoError(t, err)
	return out
}

const small = "a,b,c,y\n1,red,5,no\n3,blue,5,yes\n,red,5,yes\n1,red,5,no\n8,,5,no\n100,green,5,yes\n"

func features(t *testing.T, p *Prep, in data.Table) ([]float32, train.Arrays, *Report) {
	t.Helper()
	a, r, err := p.Samples(context.Background(), in, nil)
	require.NoError(t, err)
	return tensor.Data[float32](a[Input]), a, r
}

func TestFit(t *testing.T) {
	ctx := context.Background()
	in := table(t, small)
	// The last row is not of the training part: it changes nothing.
	training := func(i int) bool { return i < 5 }
	c := Config{Target: "y", Missing: Median, Indicator: true, Duplicates: true, DropConstant: true, Normalize: Standard}
	p, err := Fit(ctx, in, training, c)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "a is missing", "b is missing", "b=blue", "b=red"}, p.Features())
	require.Equal(t, []string{"no", "yes"}, p.Classes)
	require.Equal(t, []string{"c"}, p.Report.Constant)
	require.Equal(t, map[string]int{"a": 1, "b": 1}, p.Report.Missing)
	require.Equal(t, map[string]int{"duplicates": 1}, p.Report.Dropped)
	require.Equal(t, 5, p.Report.Rows)
	require.Equal(t, 4, p.Report.Kept)
	// Of 1, 3 and 8 the median is 3; with it, 1, 3, 3, 8 have mean 3.75.
	std := math.Sqrt((2.75*2.75 + 2*0.75*0.75 + 4.25*4.25) / 4)
	require.Equal(t, 3.0, p.Columns[0].Fill)
	require.InDelta(t, 3.75, p.Columns[0].Offset, 1e-12)
	require.InDelta(t, std, p.Columns[0].Scale, 1e-12)
	x, a, r := features(t, p, in)
	want := [][]float64{{1, 0, 0, 0, 1}, {3, 0, 0, 1, 0}, {3, 1, 0, 0, 1}, {8, 0, 1, 0, 1}, {100, 0, 0, 0, 0}}
	for i, row := range want {
		row[0] = (row[0] - 3.75) / std
		for k, v := range row {
			require.InDelta(t, v, x[i*5+k], 1e-5, "row %d, feature %d", i, k)
		}
	}
	require.Equal(t, []int64{0, 1, 1, 0, 1}, tensor.Data[int64](a["y"]))
	require.Equal(t, map[string]int{"b": 1}, r.Categories, "green is new")

	for method, fill := range map[string]float64{Mean: 13.0 / 4, Mode: 1, Constant: -7} {
		q, err := Fit(ctx, in, training, Config{Target: "y", Missing: method, Fill: -7})
		require.NoError(t, err)
		require.Equal(t, fill, q.Columns[0].Fill, method)
		x, _, _ := features(t, q, in)
		require.Equal(t, float32(fill), x[2*len(q.Features())], method)
	}
	for method, want := range map[string][2]float64{MinMax: {1, 7}, Robust: {2, 3.25}} { // of 1, 3, 1, 8
		q, err := Fit(ctx, in, training, Config{Target: "y", Missing: Drop, Normalize: method, Features: []string{"a"}})
		require.NoError(t, err)
		require.Equal(t, map[string]int{"missing": 1}, q.Report.Dropped)
		require.Equal(t, want, [2]float64{q.Columns[0].Offset, q.Columns[0].Scale}, method)
	}
}

// Several targets are one tensor, with data frames' bools as numbers.
func TestTargets(t *testing.T) {
	in := table(t, "a,u,b,v\n1,0.5,red,True\n2,,blue,true\n2,-3,blue,FALSE\n")
	c := Config{Target: "both", Targets: []string{"v", "u"}, Missing: Drop}
	p, err := Fit(context.Background(), in, nil, c)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b=blue", "b=red"}, p.Features())
	_, a, r := features(t, p, in)
	require.Nil(t, p.Classes)
	require.Equal(t, []int{2, 2}, a["both"].Shape())
	require.Equal(t, []float32{1, 0.5, 0, -3}, tensor.Data[float32](a["both"]))
	require.Equal(t, map[string]int{"u": 1}, r.Missing)
	for want, k := range map[string]Config{
		`row 2: column "u", the target, has no value`: {Targets: c.Targets},
		`target "u" is there twice`:                   {Targets: []string{"u", "u"}},
		`feature "v" is there twice, or is the`:       {Targets: c.Targets, Features: []string{"v"}},
		`no column "w", which is the target`:          {Targets: []string{"w"}},
		"are numbers, not classes":                    {Targets: c.Targets, Classes: true},
	} {
		k.Target = "both"
		_, err := Fit(context.Background(), in, nil, k)
		require.ErrorContains(t, err, want)
	}
	p, err = Fit(context.Background(), in, nil, Config{Target: "both", Targets: []string{"a", "b"}, Missing: Drop})
	require.NoError(t, err)
	_, _, err = p.Samples(context.Background(), in, nil)
	require.ErrorContains(t, err, `row 1: column "b": "red" is no number`)
}

func TestOutliers(t *testing.T) {
	var text strings.Builder
	text.WriteString("a,y\n")
	for i := range 101 {
		fmt.Fprintf(&text, "%d,%d\n", i, i%3)
	}
	text.WriteString("1000,0\n-1000,1\n")
	in := table(t, text.String())
	c := Config{Target: "y", Outliers: "clip", Rule: "quantile", Low: 0.25, High: 0.75}
	p, err := Fit(context.Background(), in, nil, c)
	require.NoError(t, err)
	require.Nil(t, p.Classes)
	require.Equal(t, [2]float64{24.5, 75.5}, [2]float64{p.Columns[0].Low, p.Columns[0].High})
	x, _, r := features(t, p, in)
	require.Equal(t, map[string]int{"a": 52}, r.Clipped)
	require.Equal(t, []float32{24.5, 25, 75, 75.5}, []float32{x[0], x[25], x[75], x[101]})

	p, err = Fit(context.Background(), in, nil, Config{Target: "y", Outliers: "drop", Classes: true})
	require.NoError(t, err)
	require.Equal(t, []string{"0", "1", "2"}, p.Classes)
	require.Equal(t, map[string]int{"outliers": 2}, p.Report.Dropped)
	x, _, _ = features(t, p, in)
	require.Len(t, x, 101)
}

func TestErrors(t *testing.T) {
	ctx := context.Background()
	for want, c := range map[string]struct {
		text string
		c    Config
	}{
		`part-0.csv, row 3: column "a" has no value`:             {small, Config{Target: "y"}},
		`no column "z", which is the target; the columns are a,`: {small, Config{Target: "z"}},
		`no column "q", which is a feature`:                      {small, Config{Target: "y", Features: []string{"q"}}},
		`missing is "meen", want one of drop, mean`:              {small, Config{Target: "y", Missing: "meen"}},
		`row 1: column "b": "red" is no number`:                  {small, Config{Target: "y", Numeric: []string{"b"}}},
		`row 2: column "a": inf is no finite float32`:            {"a,y\n1,2\ninf,3\n", Config{Target: "y"}},
		`row 2: column "y", the target, has no value`:            {"a,y\n1,2\n2,nan\n", Config{Target: "y", Missing: Mean}},
		`column "a" has no value in any of 1 rows`:               {"a,y\n,2\n", Config{Target: "y", Missing: Mean}},
		`feature "y" is there twice, or is the target`:           {small, Config{Target: "y", Features: []string{"y"}}},
		`the columns make 0 features`:                            {"a,y\n1,2\n1,3\n", Config{Target: "y", DropConstant: true}},
	} {
		_, err := Fit(ctx, table(t, c.text), nil, c.c)
		require.ErrorContains(t, err, want)
	}
	_, err := Fit(ctx, table(t, small), func(int) bool { return false }, Config{Target: "y"})
	require.ErrorContains(t, err, "no rows to fit on")

	p, err := Fit(ctx, table(t, "a,y\n1,u\n2,v\n"), nil, Config{Target: "y"})
	require.NoError(t, err)
	for want, text := range map[string]string{
		`part-0.csv, row 2: column "y": "w" is no class that the training part has: these are ["u" "v"]`: "a,y\n1,u\n3,w\n",
		`row 1: column "a": "x" is no number`: "a,y\nx,u\n",
		`there is no column "a"`:              "b,y\n1,u\n",
	} {
		_, _, err := p.Samples(ctx, table(t, text), nil)
		require.ErrorContains(t, err, want)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = Fit(cancelled, table(t, small), nil, Config{Target: "y"})
	require.ErrorIs(t, err, context.Canceled)
}

// A model is trained on a raw table, and written with its preprocessing: on raw
// rows it predicts what the trained model does of the features. With
// GNEISS_PREP_OUT, a folder, model and rows are left there for other runtimes.
func TestRawModel(t *testing.T) {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	text.WriteString("age,income,city,label\n")
	cities := []string{"Rome", "Oslo", "Lima"}
	for i := range 600 {
		age, income, city := 20+r.Float64()*50, 1000+r.Float64()*4000, r.IntN(3)
		label := "poor"
		if income+float64(city)*1000 > 4000 {
			label = "rich"
		}
		cells := []string{fmt.Sprintf("%.1f", age), fmt.Sprintf("%.2f", income), cities[city], label}
		switch {
		case i%17 == 3:
			cells[0] = ""
		case i%23 == 5:
			cells[2] = "NA"
		case i%50 == 7:
			cells[1] = "9000000"
		}
		text.WriteString(strings.Join(cells, ",") + "\n")
	}
	in := table(t, text.String())
	p, err := Fit(ctx, in, func(i int) bool { return i < 500 }, Config{Target: "label", Missing: Median, Indicator: true, Outliers: "clip", Normalize: Standard})
	require.NoError(t, err)
	a, _, err := p.Samples(ctx, in, func(i int) bool { return i < 500 })
	require.NoError(t, err)
	b, _, err := p.Samples(ctx, in, func(i int) bool { return i >= 500 })
	require.NoError(t, err)
	width := len(p.Features())
	m, err := nn.Build(1, []nn.Input{{Name: Input, DType: tensor.Float32, Dims: []onnx.Dim{onnx.Name("N"), onnx.Size(width)}}}, func(s *nn.Scope, v []*onnx.Value) []nn.Output {
		return []nn.Output{{Name: "scores", Value: s.Apply("model", nn.MLP{Hidden: []int{16}, Out: 2}, v[0])}}
	})
	require.NoError(t, err)
	tr, err := train.New(m, train.Config{Loss: train.CrossEntropy{}, Optimizer: train.Adam{LR: 0.02}, Target: "label", Seed: 1})
	require.NoError(t, err)
	defer tr.Close()
	accuracy := &train.Accuracy{}
	_, err = tr.Fit(ctx, train.FitOptions{Train: &train.Loader{Dataset: a, Shuffle: true}, Validation: &train.Loader{Dataset: b}, Metrics: []train.Metric{accuracy}, Epochs: 15})
	require.NoError(t, err)
	require.Greater(t, accuracy.Value(), 0.9)
	// The same as a stream that holds few of the rows.
	stream, err := train.NewStream(ctx, p.Source(in, func(i int) bool { return i < 500 }), train.StreamOptions{Buffer: 64})
	require.NoError(t, err)
	other, err := train.New(m, train.Config{Loss: train.CrossEntropy{}, Optimizer: train.Adam{LR: 0.02}, Target: "label", Seed: 1})
	require.NoError(t, err)
	defer other.Close()
	_, err = other.Fit(ctx, train.FitOptions{Train: stream, Validation: &train.Loader{Dataset: b}, Metrics: []train.Metric{accuracy}, Epochs: 15})
	require.NoError(t, err)
	require.Greater(t, accuracy.Value(), 0.9)
	trained, err := tr.Evaluate(ctx, b)
	require.NoError(t, err)
	want := tensor.Data[float32](trained["scores"])

	for _, opset := range []int{13, 0} {
		m, err := tr.Export(ctx, train.ExportOptions{Opset: opset})
		require.NoError(t, err)
		require.NoError(t, p.Attach(m))
		var file bytes.Buffer
		require.NoError(t, m.Write(&file))
		if out := os.Getenv("GNEISS_PREP_OUT"); out != "" {
			require.NoError(t, os.WriteFile(filepath.Join(out, fmt.Sprintf("raw-%d.onnx", opset)), file.Bytes(), 0o644))
			require.NoError(t, os.WriteFile(filepath.Join(out, "raw.csv"), []byte(text.String()), 0o644))
			f, err := os.Create(filepath.Join(out, "want.npz"))
			require.NoError(t, err)
			require.NoError(t, tensor.WriteNPZ(f, []tensor.Named{{Name: "scores", Tensor: trained["scores"]}}))
			require.NoError(t, f.Close())
		}
		raw, err := onnx.Decode(file.Bytes(), onnx.DecodeOptions{})
		require.NoError(t, err)
		s, err := runtime.New(raw, runtime.Options{})
		require.NoError(t, err)
		defer s.Close()
		rowsOf := map[string]tensor.Value{}
		age, income, city := tensor.New(tensor.Float32, 100, 1), tensor.New(tensor.Float32, 100, 1), tensor.New(tensor.String, 100, 1)
		for i, line := range strings.Split(strings.TrimSpace(text.String()), "\n")[501:] {
			cells := strings.Split(line, ",")
			for k, x := range []*tensor.Tensor{age, income} {
				v, err := number(cells[k])
				require.NoError(t, err)
				tensor.Data[float32](x)[i] = float32(v)
			}
			tensor.Data[string](city)[i] = cells[2]
		}
		rowsOf["age"], rowsOf["income"], rowsOf["city"] = age, income, city
		got, err := s.Run(ctx, rowsOf)
		require.NoError(t, err)
		require.InDeltaSlice(t, want, tensor.Data[float32](got["scores"].(*tensor.Tensor)), 1e-4, "opset %d", opset)
	}
}
