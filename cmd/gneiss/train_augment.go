package main

import (
	"context"
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
	"github.com/gneiss-run/gneiss/train/augment"
)

// augmentations are the entries of data.augment. The number or list that may stand alone is read into
// one; other settings are keys of a mapping.
var augmentations = map[string]func(n *yaml.Node) (augment.Step, error){
	"flip": func(n *yaml.Node) (augment.Step, error) {
		p, err := number(n)
		return augment.HorizontalFlip{P: p}, err
	},
	"vertical_flip": func(n *yaml.Node) (augment.Step, error) { p, err := number(n); return augment.VerticalFlip{P: p}, err },
	"grayscale":     func(n *yaml.Node) (augment.Step, error) { p, err := number(n); return augment.Grayscale{P: p}, err },
	"crop": func(n *yaml.Node) (augment.Step, error) {
		var s struct {
			Pad  int
			Fill float32
		}
		err := alone(n, &s.Pad, &s)
		return augment.Crop{Pad: s.Pad, Fill: s.Fill}, err
	},
	"resized_crop": func(n *yaml.Node) (augment.Step, error) {
		var s struct{ Scale, Ratio [2]float64 }
		err := alone(n, &s.Scale, &s)
		return augment.ResizedCrop{Scale: s.Scale, Ratio: s.Ratio}, err
	},
	"color": func(n *yaml.Node) (augment.Step, error) {
		var s struct{ Brightness, Contrast, Saturation, Hue float64 }
		err := alone[float64](n, nil, &s)
		return augment.ColorJitter{Brightness: s.Brightness, Contrast: s.Contrast, Saturation: s.Saturation, Hue: s.Hue}, err
	},
	"rotate": func(n *yaml.Node) (augment.Step, error) {
		var s struct {
			Degrees float64
			Fill    float32
		}
		err := alone(n, &s.Degrees, &s)
		return augment.Affine{Degrees: s.Degrees, Fill: s.Fill}, err
	},
	"affine": func(n *yaml.Node) (augment.Step, error) {
		var s struct {
			Degrees, Shear   float64
			Translate, Scale [2]float64
			Fill             float32
		}
		err := alone[float64](n, nil, &s)
		return augment.Affine{Degrees: s.Degrees, Translate: s.Translate, Scale: s.Scale, Shear: s.Shear, Fill: s.Fill}, err
	},
	"erase": func(n *yaml.Node) (augment.Step, error) {
		var s struct {
			P            float64
			Scale, Ratio [2]float64
			Fill         float32
			Noise        bool
		}
		err := alone(n, &s.P, &s)
		return augment.Erasing{P: s.P, Scale: s.Scale, Ratio: s.Ratio, Fill: s.Fill, Noise: s.Noise}, err
	},
	"noise": func(n *yaml.Node) (augment.Step, error) { v, err := number(n); return augment.Noise{Std: v}, err },
	"normalize": func(n *yaml.Node) (augment.Step, error) {
		var s struct{ Mean, Std []float64 }
		err := alone[float64](n, nil, &s)
		return augment.Normalize{Mean: s.Mean, Std: s.Std}, err
	},
	"mixup": func(n *yaml.Node) (augment.Step, error) {
		var s struct{ Alpha, P float64 }
		err := alone(n, &s.Alpha, &s)
		return augment.Mixup{Alpha: s.Alpha, P: s.P}, err
	},
	"cutmix": func(n *yaml.Node) (augment.Step, error) {
		var s struct{ Alpha, P float64 }
		err := alone(n, &s.Alpha, &s)
		return augment.CutMix{Alpha: s.Alpha, P: s.P}, err
	},
}

// number reads one number.
func number(n *yaml.Node) (v float64, err error) {
	err = n.Decode(&v)
	return v, err
}

// alone reads what is no mapping into one (nil: a mapping is needed), or a mapping into s.
func alone[T any](n *yaml.Node, one *T, s any) error {
	if n.Kind != yaml.MappingNode && one != nil {
		return n.Decode(one)
	}
	if err := checkKeys(n, "settings", structKeys(s)); err != nil {
		return err
	}
	return n.Decode(s)
}

// augmentSteps reads data.augment.
func (c *trainConfig) augmentSteps() ([]augment.Step, error) {
	var out []augment.Step
	for i := range c.Data.Augment {
		n := &c.Data.Augment[i]
		if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
			return nil, fmt.Errorf("line %d: data: augment: want {name: settings}, one for each step", n.Line)
		}
		name := n.Content[0].Value
		f, ok := augmentations[name]
		if !ok {
			return nil, fmt.Errorf("line %d: data: augment: there is no %q%s", n.Line, name, didYouMean(name, namesOf(augmentations)))
		}
		s, err := f(n.Content[1])
		if err != nil {
			return nil, fmt.Errorf("line %d: data: augment: %s: %w", n.Line, name, err)
		}
		out = append(out, s)
	}
	return out, nil
}

// mixes reports whether targets are mixed, so that the loss gets probabilities.
func mixes(steps []augment.Step) bool { return (&augment.Pipeline{Steps: steps}).Mixes() }

func isNormalize(s augment.Step) bool {
	_, ok := s.(augment.Normalize)
	return ok
}

// classTarget returns the type of the classes that stand in files for a target of probabilities.
func classTarget(tr *train.Trainer, t onnx.Type) onnx.Type {
	if tr.TargetClasses() == 0 {
		return t
	}
	return onnx.TensorType(tensor.Int64, t.Dims[0])
}

// augmentation is what a loader does to batches.
type augmentation = func(ctx context.Context, batch map[string]*tensor.Tensor, epoch int, index []int) (map[string]*tensor.Tensor, error)

// augmented returns what is done to the batches of training and validation, for samples like those of d; nil
// where it is nothing.
func (c *trainConfig) augmented(ctx context.Context, tr *train.Trainer, d train.Dataset) (out [2]augmentation, err error) {
	steps, err := c.augmentSteps()
	if err != nil || len(steps) == 0 {
		return out, err
	}
	steps = append(steps, c.images.lateSteps()...)
	if c.pixelInput, err = c.imageInput(ctx, d); err != nil {
		return out, err
	}
	var fixed []augment.Step // validation has what is not random
	for _, s := range steps {
		if isNormalize(s) {
			fixed = append(fixed, s)
		}
	}
	for i, steps := range [][]augment.Step{steps, fixed} {
		if len(steps) > 0 {
			p := &augment.Pipeline{Input: c.pixelInput, Target: c.Data.Target.name, Classes: tr.TargetClasses(), Seed: c.Seed, Steps: steps}
			out[i] = p.Augment
		}
	}
	return out, nil
}

// imageInput returns the name of the input that has images.
func (c *trainConfig) imageInput(ctx context.Context, d train.Dataset) (string, error) {
	if d.Len() == 0 {
		return "", fmt.Errorf("data: %s has no samples to train on", c.Data.Train)
	}
	b, err := d.Batch(ctx, []int{0})
	if err != nil {
		return "", err
	}
	var found []string
	for _, name := range namesOf(b) {
		if x := b[name]; x.DType() == tensor.Float32 && x.Rank() == 4 && name != c.Data.Target.name {
			found = append(found, name)
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("data: augment: %s has %d inputs of images, float32 [batch, channels, height, width], want one: it has %v", c.Data.Train, len(found), namesOf(b))
	}
	return found[0], nil
}
