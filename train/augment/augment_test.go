package augment

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
	"github.com/gneiss-run/gneiss/train/nn"
)

func source(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

// ramp is an image whose values tell where they were.
func ramp(c, h, w int) *Image {
	im := &Image{make([]float32, c*h*w), c, h, w}
	for i := range im.Pix {
		im.Pix[i] = float32(i) / float32(len(im.Pix))
	}
	return im
}

func (im *Image) clone() *Image { return &Image{slices.Clone(im.Pix), im.C, im.H, im.W} }

func TestFlips(t *testing.T) {
	im := ramp(2, 3, 5)
	h, v := im.clone(), im.clone()
	require.NoError(t, HorizontalFlip{1}.Apply(h, source(1)))
	require.NoError(t, VerticalFlip{1}.Apply(v, source(1)))
	for c := range 2 {
		for y := range 3 {
			for x := range 5 {
				require.Equal(t, im.plane(c)[y*5+x], h.plane(c)[y*5+4-x])
				require.Equal(t, im.plane(c)[y*5+x], v.plane(c)[(2-y)*5+x])
			}
		}
	}
	n := 0
	r := source(2)
	for range 1000 {
		x := im.clone()
		require.NoError(t, HorizontalFlip{0.3}.Apply(x, r))
		if x.Pix[0] != im.Pix[0] {
			n++
		}
	}
	require.InDelta(t, 300, n, 60)
}

// A crop is the image moved by as much as the border is wide, all places as likely.
func TestCrop(t *testing.T) {
	im := ramp(2, 6, 6)
	r, seen := source(3), map[[2]int]int{}
	for range 2500 {
		x := im.clone()
		require.NoError(t, Crop{Pad: 2, Fill: -1}.Apply(x, r))
		found := false
		for dy := -2; dy <= 2; dy++ {
			for dx := -2; dx <= 2; dx++ {
				same := true
				for i := range 2 * 36 {
					y, xx := i%36/6+dy, i%6+dx
					want := float32(-1)
					if y >= 0 && y < 6 && xx >= 0 && xx < 6 {
						want = im.plane(i / 36)[y*6+xx]
					}
					same = same && want == x.Pix[i]
				}
				if same {
					found = true
					seen[[2]int{dy, dx}]++
				}
			}
		}
		require.True(t, found)
	}
	require.Len(t, seen, 25)
	for at, n := range seen {
		assert.InDelta(t, 100, n, 50, at)
	}
	x := im.clone()
	require.NoError(t, Crop{Height: 3, Width: 4}.Apply(x, r))
	require.Equal(t, []int{3, 4, 2 * 12}, []int{x.H, x.W, len(x.Pix)})
}

func TestWarp(t *testing.T) {
	im := ramp(1, 5, 5)
	same := im.clone()
	warp(same, 0, 0, 0, 1, 0, 9)
	require.Equal(t, im.Pix, same.Pix)
	quarter := im.clone() // clockwise: the left column becomes the top row
	warp(quarter, 90, 0, 0, 1, 0, 9)
	for i := range 5 {
		for j := range 5 {
			require.InDelta(t, im.Pix[(4-j)*5+i], quarter.Pix[i*5+j], 1e-5)
		}
	}
	moved := im.clone()
	warp(moved, 0, 2, -1, 1, 0, 9)
	require.Equal(t, im.Pix[1*5+0], moved.Pix[0*5+2])
	require.Equal(t, float32(9), moved.Pix[4*5+3])
	big := im.clone() // twice as large: the middle stays, its neighbours are half as far
	warp(big, 0, 0, 0, 2, 0, 9)
	require.InDelta(t, im.Pix[12], big.Pix[12], 1e-6)
	require.InDelta(t, (im.Pix[12]+im.Pix[13])/2, big.Pix[13], 1e-6)
}

func TestResizedCrop(t *testing.T) {
	im := ramp(3, 8, 6)
	whole := resize(im, 0, 0, 8, 6, 8, 6)
	require.Equal(t, im.Pix, whole.Pix)
	double := resize(im, 2, 1, 2, 2, 4, 4) // weights of bilinear interpolation by 2 are quarters
	p := im.plane(1)
	require.InDelta(t, p[2*6+1]*0.75+p[2*6+2]*0.25, double.plane(1)[1], 1e-6)
	r := source(5)
	for range 200 {
		x := im.clone()
		require.NoError(t, ResizedCrop{Height: 5, Width: 7}.Apply(x, r))
		require.Len(t, x.Pix, 3*35)
		require.GreaterOrEqual(t, slices.Min(x.Pix), im.Pix[0]-1e-6)
		require.LessOrEqual(t, slices.Max(x.Pix), im.Pix[len(im.Pix)-1]+1e-6)
	}
	long := ramp(1, 2, 40) // no part of this shape fits but a cut one
	require.NoError(t, ResizedCrop{Scale: [2]float64{1, 1}}.Apply(long, r))
	require.Len(t, long.Pix, 80)
}

func TestErasing(t *testing.T) {
	r := source(6)
	for range 100 {
		x := ramp(1, 20, 20)
		require.NoError(t, Erasing{P: 1, Fill: -3}.Apply(x, r))
		n := 0
		for _, v := range x.Pix {
			if v == -3 {
				n++
			}
		}
		require.InDelta(t, 0.175, float64(n)/400, 0.175)
	}
}

func TestColours(t *testing.T) {
	im := ramp(3, 4, 4)
	turned := im.clone()
	hue(turned, 1./3) // red becomes green
	for i := range 16 {
		require.InDelta(t, im.Pix[i], turned.Pix[16+i], 1e-5)
		require.InDelta(t, im.Pix[32+i], turned.Pix[i], 1e-5)
	}
	grey := im.clone()
	saturation(grey, 0)
	other := im.clone()
	require.NoError(t, Grayscale{1}.Apply(other, source(1)))
	require.Equal(t, grey.Pix, other.Pix)
	flat := im.clone()
	contrast(flat, 0)
	require.Equal(t, flat.Pix[0], flat.Pix[47])
	dark := im.clone()
	brightness(dark, 0.5)
	require.Equal(t, im.Pix[20]/2, dark.Pix[20])
	jitter := ColorJitter{0.4, 0.4, 0.4, 0.1}
	x := im.clone()
	require.NoError(t, jitter.Apply(x, source(3)))
	require.NotEqual(t, im.Pix, x.Pix)
	x.Pix[17] = 16
	require.ErrorContains(t, jitter.Apply(x, source(3)), "channel 1 has the value 16")

	norm := im.clone()
	require.NoError(t, Normalize{Mean: []float64{0.5, 0.25, 0}, Std: []float64{2}}.Apply(norm, nil))
	require.InDelta(t, (im.Pix[20]-0.25)/2, norm.Pix[20], 1e-6)
	noisy := &Image{make([]float32, 10000), 1, 100, 100}
	require.NoError(t, Noise{0.3}.Apply(noisy, source(4)))
	sq := 0.0
	for _, v := range noisy.Pix {
		sq += float64(v) * float64(v)
	}
	require.InDelta(t, 0.3, math.Sqrt(sq/10000), 0.01)
}

// Shares of mixup have the moments of the distribution Beta(alpha, alpha).
func TestShares(t *testing.T) {
	for _, alpha := range []float64{0.001, 0.2, 1, 8} {
		r, sum, sq := source(9), 0.0, 0.0
		const n = 20000
		for range n {
			s := shareOf(r, alpha, 0)
			require.True(t, s >= 0 && s <= 1, "%g: %g", alpha, s)
			sum, sq = sum+s, sq+s*s
		}
		mean := sum / n
		require.InDelta(t, 0.5, mean, 0.02, "alpha %g", alpha)
		require.InDelta(t, 1/(4*(2*alpha+1)), sq/n-mean*mean, 0.01, "alpha %g", alpha)
	}
}

// The first numbers of neighbouring samples and epochs are as independent as those of one source.
func TestRandom(t *testing.T) {
	const n = 20000
	index := make([]int, n)
	for i := range index {
		index[i] = i
	}
	first := func(epoch int) []float64 {
		v := make([]float64, n)
		for i, r := range (&Pipeline{Seed: 1}).random(epoch, index) {
			v[i] = r.Float64()
		}
		return v
	}
	a, b := first(0), first(1)
	bins, lag, cross := [10]int{}, 0.0, 0.0
	for i := range n {
		bins[int(a[i]*10)]++
		lag += (a[i] - 0.5) * (a[(i+1)%n] - 0.5) * 12 / n
		cross += (a[i] - 0.5) * (b[i] - 0.5) * 12 / n
	}
	for _, c := range bins {
		require.InDelta(t, n/10, c, 200)
	}
	require.InDelta(t, 0, lag, 0.03)
	require.InDelta(t, 0, cross, 0.03)
}

func batchOf(n int) map[string]*tensor.Tensor {
	x, y := tensor.New(tensor.Float32, n, 3, 8, 8), tensor.New(tensor.Int64, n)
	r := source(11)
	for i := range tensor.Data[float32](x) {
		tensor.Data[float32](x)[i] = r.Float32()
	}
	for i := range n {
		tensor.Data[int64](y)[i] = int64(i % 4)
	}
	return map[string]*tensor.Tensor{"x": x, "target": y}
}

var allSteps = []Step{HorizontalFlip{0.5}, VerticalFlip{0.2}, Crop{Pad: 2}, ResizedCrop{}, ColorJitter{0.3, 0.3, 0.3, 0.1}, Affine{Degrees: 20, Translate: [2]float64{0.1, 0.1},
	Scale: [2]float64{0.8, 1.2}, Shear: 5}, Grayscale{0.2}, Erasing{P: 0.5}, Noise{0.02}, Normalize{[]float64{0.5}, []float64{0.25}}, Mixup{Alpha: 0.4, P: 0.8}, CutMix{Alpha: 1}}

func TestMixing(t *testing.T) {
	b := batchOf(6)
	index := []int{0, 1, 2, 3, 4, 5}
	for _, s := range []Step{Mixup{Alpha: 1}, CutMix{Alpha: 1}} {
		p := &Pipeline{Input: "x", Classes: 4, Seed: 1, Steps: []Step{s}}
		require.True(t, p.Mixes())
		out, err := p.Augment(context.Background(), b, 0, index)
		require.NoError(t, err)
		require.Equal(t, []int{6, 4}, out["target"].Shape())
		x, z, y := tensor.Data[float32](b["x"]), tensor.Data[float32](out["x"]), tensor.Data[float32](out["target"])
		for i := range 6 {
			row, k := y[4*i:4*i+4], (i+1)%6
			share := row[i%4]
			require.InDelta(t, 1, share+row[k%4], 1e-6)
			own := 0
			for j := range 192 {
				a, b, got := x[i*192+j], x[k*192+j], z[i*192+j]
				if _, ok := s.(Mixup); ok {
					require.InDelta(t, share*a+(1-share)*b, got, 1e-6)
				} else if got == a {
					own++
				} else {
					require.Equal(t, b, got)
				}
			}
			if _, ok := s.(CutMix); ok {
				require.InDelta(t, share, float64(own)/192, 1e-6)
			}
		}
	}
}

// What becomes of a sample depends on the epoch and its number alone, but for Mixers.
func TestDeterminism(t *testing.T) {
	b := batchOf(6)
	p := &Pipeline{Input: "x", Seed: 3, Steps: allSteps[:10]}
	all, err := p.Augment(context.Background(), b, 2, []int{10, 11, 12, 13, 14, 15})
	require.NoError(t, err)
	arrays, err := train.NewArrays(b)
	require.NoError(t, err)
	part, err := arrays.Batch(context.Background(), []int{4, 1})
	require.NoError(t, err)
	some, err := p.Augment(context.Background(), part, 2, []int{14, 11})
	require.NoError(t, err)
	x, y := tensor.Data[float32](all["x"]), tensor.Data[float32](some["x"])
	require.Equal(t, x[4*192:5*192], y[:192])
	require.Equal(t, x[192:2*192], y[192:])
	next, err := p.Augment(context.Background(), part, 3, []int{14, 11})
	require.NoError(t, err)
	require.NotEqual(t, y, tensor.Data[float32](next["x"]))
	require.Equal(t, tensor.Data[float32](b["x"]), tensor.Data[float32](batchOf(6)["x"]), "the batch itself changed")
	twice, err := arrays.Batch(context.Background(), []int{4, 4})
	require.NoError(t, err)
	two, err := p.Augment(context.Background(), twice, 2, []int{14, 14})
	require.NoError(t, err)
	z := tensor.Data[float32](two["x"])
	require.Equal(t, y[:192], z[:192])
	require.NotEqual(t, z[:192], z[192:], "a sample that comes twice is changed twice in the same way")
}

func TestErrors(t *testing.T) {
	b := batchOf(2)
	for want, p := range map[string]*Pipeline{
		`the batch has no "z"`:                        {Input: "z"},
		`"target" is int64 [2], want float32 images`:  {Input: "target"},
		"step 1: horizontal flip with probability 2":  {Steps: []Step{HorizontalFlip{2}}},
		"step 2: crop of 40×8":                        {Steps: []Step{Noise{1}, Crop{Height: 40}}},
		"resized crop: scale is [2 1]":                {Steps: []Step{ResizedCrop{Scale: [2]float64{2, 1}}}},
		"normalize by 2 means and 1":                  {Steps: []Step{Normalize{make([]float64, 2), []float64{1}}}},
		"standard deviation 1 is 0":                   {Steps: []Step{Normalize{[]float64{0}, []float64{0}}}},
		"mixup with alpha 0":                          {Steps: []Step{Mixup{}}},
		"Pipeline.Classes is 0":                       {Steps: []Step{Mixup{Alpha: 1}}},
		`target "target": sample 1 of the batch is 1`: {Steps: []Step{Mixup{Alpha: 1}}, Classes: 1},
		`no target "y" to mix`:                        {Steps: []Step{Mixup{Alpha: 1}}, Target: "y"},
		"hue is 0.7":                                  {Steps: []Step{ColorJitter{Hue: 0.7}}},
		"step 1 is nil":                               {Steps: []Step{nil}},
		"affine: rotation by -1":                      {Steps: []Step{Affine{Degrees: -1}}},
		"step 2, sample 8: channel 0 has the value":   {Steps: []Step{Normalize{[]float64{5}, []float64{1}}, ColorJitter{Hue: 0.1}}},
		"step 1 makes images of 3×65536×65536":        {Steps: []Step{ResizedCrop{Height: 1 << 16, Width: 1 << 16}}},
		"noise of standard deviation NaN":             {Steps: []Step{Noise{math.NaN()}}},
		"erasing: ratio is [-1 2]":                    {Steps: []Step{Erasing{Ratio: [2]float64{-1, 2}}}},
	} {
		if p.Input == "" {
			p.Input = "x"
		}
		_, err := p.Augment(context.Background(), b, 0, []int{8, 9})
		require.ErrorContains(t, err, want)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := (&Pipeline{Input: "x", Steps: allSteps[:1]}).Augment(ctx, b, 0, []int{8, 9})
	require.ErrorIs(t, err, context.Canceled)
}

// A run with all steps that was interrupted goes on to the parameters of one that was not, with other
// numbers of workers and threads.
func TestResume(t *testing.T) {
	d, err := train.NewArrays(batchOf(20))
	require.NoError(t, err)
	trainer := func(threads int) *train.Trainer {
		m, err := nn.Build(1, []nn.Input{nn.Floats("x", 3, 8, 8)}, func(s *nn.Scope, in []*onnx.Value) []nn.Output {
			return []nn.Output{{Name: "y", Value: s.Apply("net", nn.Sequential{nn.Conv{Out: 4, Kernel: 3}, nn.ReLU, nn.Flatten{}, nn.Linear{Out: 4}}, in[0])}}
		})
		require.NoError(t, err)
		tr, err := train.New(m, train.Config{Loss: train.CrossEntropy{Soft: true}, Optimizer: train.Adam{LR: 0.01}, Seed: 2, Threads: threads})
		require.NoError(t, err)
		t.Cleanup(tr.Close)
		require.Equal(t, 4, tr.TargetClasses())
		return tr
	}
	p := &Pipeline{Input: "x", Classes: 4, Seed: 3, Steps: allSteps}
	options := func(dir string, workers int) train.FitOptions {
		return train.FitOptions{Train: &train.Loader{Dataset: d, BatchSize: 6, Shuffle: true, Seed: 1, Prefetch: workers, Augment: p.Augment},
			Validation: &train.Loader{Dataset: d}, Epochs: 3, Checkpoint: dir, Metrics: []train.Metric{&train.Accuracy{}}}
	}
	whole := trainer(1)
	history, err := whole.Fit(context.Background(), options("", 1))
	require.NoError(t, err)
	require.Contains(t, history[2].Metrics, "accuracy", "validation takes classes")
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	o, n := options(dir, 3), 0
	o.OnStep = func(*train.Progress) error {
		if n++; n == 6 {
			cancel()
		}
		return nil
	}
	_, err = trainer(2).Fit(ctx, o)
	require.ErrorIs(t, err, context.Canceled)
	again := trainer(2)
	require.NoError(t, again.Resume(dir))
	_, err = again.Fit(context.Background(), options(dir, 4))
	require.NoError(t, err)
	want, got := whole.Model(), again.Model()
	for i, v := range want.Graph.Consts {
		require.Equal(t, v.Const.Bytes(), got.Graph.Consts[i].Const.Bytes(), v.Name)
	}
}
