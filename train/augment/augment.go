// Package augment changes images at random while a model trains on them: flips,
// crops, rotations, colours, noise, and mixtures of samples and their targets.
//
// A [Pipeline] is the Augment of a train.Loader. What happens to a sample follows from
// the seed, the epoch and the sample's number alone, so results are the same with any
// number of workers, and after a run was resumed.
package augment

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
)

// Image is one sample: planes of channels, [C, H, W], in row-major order.
type Image struct {
	Pix     []float32
	C, H, W int
}

// plane returns channel c.
func (im *Image) plane(c int) []float32 { return im.Pix[c*im.H*im.W:][:im.H*im.W] }

// Step is a Transform or a Mixer.
type Step interface {
	// Check reports settings that are out of range, and images that the step cannot
	// take. It returns the sizes of its results for images of c channels and h×w pixels.
	Check(c, h, w int) (newH, newW int, err error)
}

// Transform is a step that changes one image. It is called by several
// goroutines at once, with different images.
type Transform interface {
	Step
	Apply(im *Image, r *rand.Rand) error
}

// Mixer is a step that mixes samples of a batch: what becomes of sample i is
// made of it and of the sample after it, the first one's being the last one's.
type Mixer interface {
	Step
	// Mix writes to dst what becomes of a, which it may share, with parts of b,
	// and returns the share of a in the targets.
	Mix(dst, a, b *Image, r *rand.Rand) (share float64)
}

// Pipeline applies steps one after another to the images of batches.
type Pipeline struct {
	Input  string // the tensor of images, float32 [batch, C, H, W]
	Target string // what Mixers mix, too. "": "target"
	// Classes is how many classes targets have. Mixers make probabilities [batch, Classes] of
	// targets that are classes, int64 [batch]; the loss then is train.CrossEntropy with Soft. Targets
	// that are floats are mixed as they are.
	Classes int
	Seed    uint64
	Steps   []Step
}

// Augment returns batch with its images, and targets if there is a Mixer, changed. index has the
// samples' numbers in the data set. batch and its tensors stay as they are.
func (p *Pipeline) Augment(ctx context.Context, batch map[string]*tensor.Tensor, epoch int, index []int) (map[string]*tensor.Tensor, error) {
	out, err := p.augment(ctx, batch, epoch, index)
	if err != nil {
		return nil, fmt.Errorf("augment: %w", err)
	}
	return out, nil
}

func (p *Pipeline) augment(ctx context.Context, batch map[string]*tensor.Tensor, epoch int, index []int) (map[string]*tensor.Tensor, error) {
	x := batch[p.Input]
	if x == nil {
		return nil, fmt.Errorf("the batch has no %q", p.Input)
	}
	if x.DType() != tensor.Float32 || x.Rank() != 4 || x.Dim(0) != len(index) {
		return nil, fmt.Errorf("%q is %v, want float32 images [%d, channels, height, width]", p.Input, x, len(index))
	}
	n, c, h, w := x.Dim(0), x.Dim(1), x.Dim(2), x.Dim(3)
	if err := p.check(c, h, w); err != nil {
		return nil, err
	}
	if n == 0 || x.Len() == 0 {
		return batch, nil
	}
	images, random := make([]*Image, n), p.random(epoch, index)
	data := tensor.Data[float32](x.Clone())
	for i := range images {
		images[i] = &Image{data[i*c*h*w:][:c*h*w], c, h, w}
	}
	var target *tensor.Tensor
	for k, s := range p.Steps {
		if m, ok := s.(Mixer); ok {
			var err error
			if target == nil {
				if target, err = p.target(batch, n); err != nil {
					return nil, fmt.Errorf("step %d: %w", k+1, err)
				}
			}
			images, target = mix(m, images, target, random)
			continue
		}
		t, ok := s.(Transform)
		if !ok {
			return nil, fmt.Errorf("step %d is a %T, want a Transform or a Mixer", k+1, s)
		}
		for i, im := range images {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := t.Apply(im, random[i]); err != nil {
				return nil, fmt.Errorf("step %d, sample %d: %w", k+1, index[i], err)
			}
		}
	}
	out := make(map[string]*tensor.Tensor, len(batch))
	for name, t := range batch {
		out[name] = t
	}
	y, size := tensor.New(tensor.Float32, n, c, images[0].H, images[0].W), len(images[0].Pix)
	for i, im := range images {
		copy(tensor.Data[float32](y)[i*size:], im.Pix)
	}
	out[p.Input] = y
	if target != nil {
		out[p.targetName()] = target
	}
	return out, nil
}

// Mixes reports whether the pipeline has a Mixer, so that targets change.
func (p *Pipeline) Mixes() bool {
	for _, s := range p.Steps {
		if _, ok := s.(Mixer); ok {
			return true
		}
	}
	return false
}

func (p *Pipeline) targetName() string {
	if p.Target == "" {
		return "target"
	}
	return p.Target
}

// maxPixels bounds what a step may make of an image.
const maxPixels = 1 << 28

// check checks all steps for images of these sizes.
func (p *Pipeline) check(c, h, w int) error {
	for i, s := range p.Steps {
		if s == nil {
			return fmt.Errorf("step %d is nil", i+1)
		}
		var err error
		if h, w, err = s.Check(c, h, w); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
		if n, err := tensor.Count([]int{c, h, w}); err != nil || n > maxPixels {
			return fmt.Errorf("step %d makes images of %d×%d×%d, want at most %d numbers", i+1, c, h, w, maxPixels)
		}
	}
	return nil
}

// random returns a source for each sample. A sample that comes more than once, as weighted sampling
// has it, has another source each time.
func (p *Pipeline) random(epoch int, index []int) []*rand.Rand {
	out, seen := make([]*rand.Rand, len(index)), map[int]uint64{}
	for i, k := range index {
		a := scramble(p.Seed + scramble(uint64(epoch)))
		b := scramble(a + scramble(uint64(k)+seen[k]<<40))
		seen[k]++
		out[i] = rand.New(rand.NewPCG(a, b))
	}
	return out
}

// scramble is the output function of SplitMix64: numbers near each other become unlike.
// Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014.
func scramble(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// target returns the targets as floats that may be mixed.
func (p *Pipeline) target(batch map[string]*tensor.Tensor, n int) (*tensor.Tensor, error) {
	name := p.targetName()
	y := batch[name]
	switch {
	case y == nil:
		return nil, fmt.Errorf("the batch has no target %q to mix", name)
	case y.Rank() == 0 || y.Dim(0) != n:
		return nil, fmt.Errorf("target %q is %v, want %d samples", name, y, n)
	case y.DType() == tensor.Float32:
		return y.Clone(), nil
	case y.DType() != tensor.Int64:
		return nil, fmt.Errorf("target %q is %v: only float32, and classes as int64, can be mixed", name, y)
	case p.Classes < 1 || p.Classes > math.MaxInt32:
		return nil, fmt.Errorf("target %q is classes: Pipeline.Classes is %d, want their number", name, p.Classes)
	}
	out, err := train.OneHot(y, p.Classes, tensor.Float32)
	if err != nil {
		return nil, fmt.Errorf("target %q: %w", name, err)
	}
	return out, nil
}

// mix applies a Mixer to a batch.
func mix(m Mixer, images []*Image, target *tensor.Tensor, random []*rand.Rand) ([]*Image, *tensor.Tensor) {
	n := len(images)
	if n < 2 {
		return images, target
	}
	out, mixed := make([]*Image, n), tensor.New(tensor.Float32, target.Shape()...)
	src, dst := tensor.Data[float32](target), tensor.Data[float32](mixed)
	size := len(src) / n
	for i, a := range images {
		k := (i + 1) % n
		out[i] = &Image{make([]float32, len(a.Pix)), a.C, a.H, a.W}
		share := float32(m.Mix(out[i], a, images[k], random[i]))
		for j := range size {
			dst[i*size+j] = share*src[i*size+j] + (1-share)*src[k*size+j]
		}
	}
	return out, mixed
}

// probability checks a setting that is a probability.
func probability(name string, p float64) error {
	if !(p >= 0 && p <= 1) {
		return fmt.Errorf("%s with probability %g, want one in [0, 1]", name, p)
	}
	return nil
}

// between returns a number that is uniform in [lo, hi).
func between(r *rand.Rand, lo, hi float64) float64 { return lo + r.Float64()*(hi-lo) }

// interval checks a setting that is a range of positive numbers, zero standing for def.
func interval(name string, v, def [2]float64) ([2]float64, error) {
	if v == [2]float64{} {
		v = def
	}
	if !(v[0] > 0 && v[0] <= v[1]) || math.IsInf(v[1], 0) {
		return v, fmt.Errorf("%s is %v, want two numbers above 0, the smaller one first", name, v)
	}
	return v, nil
}
