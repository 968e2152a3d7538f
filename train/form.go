package train

import (
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// trainingForm turns a graph as it is for inference into one for training:
// Dropout drops and RandomNormalLike of scale 0 gives standard normal noise, by numbers
// that follow from seed and the value step, and BatchNormalization uses the
// statistics of the batch. It returns the running statistics, initializers so
// far, with what they are after the step.
//
// A BatchNormalization whose parameters are all frozen stays as it is, as in
// fine-tuning with frozen layers.
func trainingForm(m *onnx.Model, seed uint64, step *onnx.Value, trainable map[*onnx.Value]bool) (map[*onnx.Value]*onnx.Value, error) {
	stats := map[*onnx.Value]*onnx.Value{}
	g := m.Graph
	for _, n := range append([]*onnx.Node(nil), g.Nodes...) {
		var err error
		switch n.Op {
		case "Dropout":
			err = trainDropout(g, n, seed, step)
		case "RandomNormalLike":
			if isTrainingNoise(n) {
				err = replaceRandom(g, n, "Noise", nil, seed, step)
			}
		case "BatchNormalization":
			if trainable[n.In[1]] || trainable[n.In[2]] {
				err = trainBatchNorm(g, n, stats)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%v: %w", n, err)
		}
	}
	return stats, nil
}

func trainDropout(g *onnx.Graph, n *onnx.Node, seed uint64, step *onnx.Value) error {
	ratio := 0.5
	if len(n.In) > 1 && n.In[1] != nil {
		c := n.In[1].Const
		if c == nil {
			return fmt.Errorf("ratio is computed: want a constant")
		}
		v, err := tensor.Float64s(c)
		if err != nil {
			return err
		}
		if len(v) != 1 {
			return fmt.Errorf("ratio has shape %v, want a scalar", c.Shape())
		}
		ratio = v[0]
	}
	if len(n.Out) > 1 && n.Out[1] != nil && (n.Out[1].Uses() > 0 || g.IsOutput(n.Out[1])) {
		return fmt.Errorf("output mask is read: training cannot give it")
	}
	return replaceRandom(g, n, "Dropout", onnx.NewAttrs("ratio", float32(ratio)), seed, step)
}

// replaceRandom puts a private operator of random numbers in the place of n, seeded by the
// name of its result.
func replaceRandom(g *onnx.Graph, n *onnx.Node, op string, as onnx.Attrs, seed uint64, step *onnx.Value) error {
	h := fnv.New64a()
	fmt.Fprint(h, seed, n.Out[0].Name)
	b := ops.NewBuilder(g)
	y := b.Ops(ops.Private, op, as.Set("seed", int(h.Sum64()>>33)), 1, n.In[0], step)[0]
	if b.Err() != nil {
		return b.Err()
	}
	b.Insert(n)
	g.Replace(n.Out[0], y)
	g.Remove(n)
	return nil
}

// isTrainingNoise reports whether n is 0 for inference and noise for training, as
// nn.Scope.TrainingNoise has it.
func isTrainingNoise(n *onnx.Node) bool {
	scale, err := onnx.Attribute(n, "scale", float32(1))
	mean, e := onnx.Attribute(n, "mean", float32(0))
	return n.Op == "RandomNormalLike" && n.Domain == "" && err == nil && e == nil && scale == 0 && mean == 0
}

// dropTrainingNoise takes noise that is 0 out of the sums it is part of, x + d·noise.
func dropTrainingNoise(g *onnx.Graph) {
	for _, n := range slices.Clone(g.Nodes) {
		if !isTrainingNoise(n) {
			continue
		}
		for _, mul := range n.Out[0].Users() {
			if mul.Op != "Mul" || mul.Domain != "" {
				continue
			}
			for _, add := range mul.Out[0].Users() {
				i := slices.Index(add.In, mul.Out[0])
				if add.Op != "Add" || add.Domain != "" {
					continue
				}
				if x := add.In[1-i]; sameDims(x.Type, add.Out[0].Type) && sameDims(x.Type, mul.Out[0].Type) {
					g.Replace(add.Out[0], x)
				}
			}
		}
	}
	g.Prune()
}

// sameDims reports whether a and b are known to have the same shape.
func sameDims(a, b onnx.Type) bool {
	return a.Ranked && b.Ranked && slices.EqualFunc(a.Dims, b.Dims, func(x, y onnx.Dim) bool { return x.Known() && x.Equal(y) })
}

func trainBatchNorm(g *onnx.Graph, n *onnx.Node, stats map[*onnx.Value]*onnx.Value) error {
	mean, variance := n.In[3], n.In[4]
	if mean == nil || variance == nil || mean.Const == nil || variance.Const == nil {
		return fmt.Errorf("input_mean and input_var are computed: want initializers")
	}
	if stats[mean] != nil || stats[variance] != nil {
		return fmt.Errorf("%q or %q are statistics of two nodes", mean.Name, variance.Name)
	}
	b := ops.NewBuilder(g)
	k := g.NewNode("BatchNormalization", n.Attrs.Set("training_mode", 1), n.In, 3)
	k.Name = n.Name
	out := b.Add(k)
	if b.Err() != nil {
		return b.Err()
	}
	b.Insert(n)
	g.Replace(n.Out[0], out[0])
	g.Remove(n)
	stats[mean], stats[variance] = out[1], out[2]
	return nil
}
