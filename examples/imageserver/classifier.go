package main

import (
	"context"
	"fmt"
	"image"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

type classifierConfig struct {
	output    string // "": the first
	size      int    // of height and width that the model leaves open
	mean, std [3]float32
	softmax   bool
	top       int
	labels    []string // nil: none
}

// classifier is a session that takes images; it is safe for concurrent use.
type classifier struct {
	cfg           classifierConfig
	s             *gneiss.Session
	input, output string
	height, width int
}

// result is one class of an answer.
type result struct {
	Class int     `json:"class"`
	Label string  `json:"label,omitempty"`
	Score float32 `json:"score"`
}

// newClassifier checks that the model of s is one that the program can serve,
// and runs it once, so that what is wrong shows before the first request.
func newClassifier(ctx context.Context, s *gneiss.Session, cfg classifierConfig) (*classifier, error) {
	c := &classifier{cfg: cfg, s: s, height: cfg.size, width: cfg.size}
	var in []gneiss.ValueInfo
	for _, v := range s.Inputs() {
		if !v.Optional {
			in = append(in, v)
		}
	}
	if len(in) != 1 {
		return nil, fmt.Errorf("the model has %d inputs, want one image", len(in))
	}
	c.input = in[0].Name
	t := in[0].Type
	fits := t.Kind == onnx.TensorKind && t.DType == tensor.Float32 && (!t.Ranked || len(t.Dims) == 4 && may(t.Dims[0], 1) && may(t.Dims[1], 3))
	if !fits {
		return nil, fmt.Errorf("input %q is %v, want float32[1,3,height,width]", c.input, t)
	}
	if t.Ranked {
		if n, ok := t.Dims[2].Size(); ok {
			c.height = n
		}
		if n, ok := t.Dims[3].Size(); ok {
			c.width = n
		}
	}
	if c.height < 1 || c.width < 1 || c.height > 1<<14 || c.width > 1<<14 {
		return nil, fmt.Errorf("input %q is %d by %d pixels, want 1 to %d each", c.input, c.height, c.width, 1<<14)
	}
	c.output = cfg.output
	if c.output == "" {
		c.output = s.Outputs()[0].Name
	}
	scores, err := c.run(ctx, make([]float32, 3*c.height*c.width))
	if err != nil {
		return nil, err
	}
	if n := len(cfg.labels); n != 0 && n != len(scores) {
		return nil, fmt.Errorf("%d labels for a model of %d classes", n, len(scores))
	}
	return c, nil
}

// may reports whether d is n or open.
func may(d onnx.Dim, n int) bool {
	_, known := d.Size()
	return !known || d.Is(n)
}

// classify returns the classes of img with the highest scores, best first.
func (c *classifier) classify(ctx context.Context, img image.Image) ([]result, error) {
	x := make([]float32, 3*c.height*c.width)
	prepare(x, img, c.height, c.width, c.cfg.mean, c.cfg.std)
	scores, err := c.run(ctx, x)
	if err != nil {
		return nil, err
	}
	if c.cfg.softmax {
		softmax(scores)
	}
	return best(scores, c.cfg.top, c.cfg.labels), nil
}

// run returns the scores of one prepared image.
func (c *classifier) run(ctx context.Context, x []float32) ([]float32, error) {
	out, err := c.s.Run(ctx, map[string]gneiss.Value{c.input: gneiss.NewTensor(x, 1, 3, c.height, c.width)}, c.output)
	if err != nil {
		return nil, err
	}
	t, ok := out[c.output].(*gneiss.Tensor)
	if !ok || !t.DType().IsFloat() || t.Len() == 0 || slices.Max(append(t.Shape(), 1)) != t.Len() {
		return nil, fmt.Errorf("output %q is %v, want a score for each class: float[1,classes]", c.output, out[c.output])
	}
	scores := gneiss.Data[float32](tensor.Widen(t))
	for i, v := range scores {
		if v-v != 0 {
			return nil, fmt.Errorf("output %q: the score of class %d is %v", c.output, i, v)
		}
	}
	return scores, nil
}

// softmax turns scores into probabilities.
func softmax(x []float32) {
	m := slices.Max(x)
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(float64(v - m))
	}
	for i, v := range x {
		x[i] = float32(math.Exp(float64(v-m)) / sum)
	}
}

// best returns the n highest scores; of equal ones the lower class is first.
func best(scores []float32, n int, labels []string) []result {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return 0
	})
	out := make([]result, min(n, len(order)))
	for i := range out {
		out[i] = result{Class: order[i], Score: scores[order[i]]}
		if labels != nil {
			out[i].Label = labels[order[i]]
		}
	}
	return out
}
