package main

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/train"
	"github.com/gneiss-run/gneiss/train/nn"
)

// structKeys returns the yaml keys of the fields of the struct that v points to.
func structKeys(v any) []string {
	var out []string
	t := reflect.TypeOf(v).Elem()
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			out = append(out, structKeys(reflect.New(f.Type).Interface())...)
			continue
		}
		if !f.IsExported() {
			continue
		}
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if key == "" {
			key = strings.ToLower(f.Name)
		}
		out = append(out, key)
	}
	return out
}

func namesOf[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// loss returns the loss of the configuration.
func (c *trainConfig) loss() (train.Loss, error) {
	p := &c.Loss
	var s struct {
		Axis        int       `yaml:"axis"`
		Smoothing   float64   `yaml:"label_smoothing"`
		IgnoreIndex *int      `yaml:"ignore_index"`
		Weights     []float32 `yaml:"weights"`
		PosWeight   float64   `yaml:"pos_weight"`
		Delta       float64   `yaml:"delta"`
		Gamma       float64   `yaml:"gamma"`
		Alpha       float64   `yaml:"alpha"`
		Margin      float64   `yaml:"margin"`
		Beta        float64   `yaml:"beta"`
		Lost        string    `yaml:"reconstruction"`
		PosWeights  []float32 `yaml:"pos_weights"`
	}
	if err := p.settings("loss", &s); err != nil {
		return nil, err
	}
	steps, err := c.augmentSteps()
	if err != nil {
		return nil, err
	}
	ignore := 0
	if s.IgnoreIndex != nil {
		ignore = *s.IgnoreIndex
	}
	all := map[string]train.Loss{
		"cross_entropy":   train.CrossEntropy{Axis: s.Axis, LabelSmoothing: s.Smoothing, IgnoreIndex: ignore, Ignore: s.IgnoreIndex != nil, Weights: s.Weights, Soft: mixes(steps)},
		"nll":             train.NLL{Axis: s.Axis, IgnoreIndex: ignore, Ignore: s.IgnoreIndex != nil, Weights: s.Weights},
		"bce_with_logits": train.BCEWithLogits{PosWeight: s.PosWeight, PosWeights: s.PosWeights},
		"vae":             train.VAE{Beta: s.Beta, Real: s.Lost == "mse"},
		"mse":             train.MSE{}, "mae": train.MAE{}, "hinge": train.Hinge{}, "kl_div": train.KLDiv{},
		"huber": train.Huber{Delta: s.Delta}, "focal": train.Focal{Gamma: s.Gamma, Alpha: s.Alpha}, "triplet": train.Triplet{Margin: s.Margin},
	}
	if s.Lost != "" && s.Lost != "bce" && s.Lost != "mse" {
		return nil, fmt.Errorf("loss: reconstruction is %q, want bce or mse", s.Lost)
	}
	l, ok := all[p.Name]
	if !ok {
		return nil, fmt.Errorf("loss: there is no %q%s", p.Name, didYouMean(p.Name, namesOf(all)))
	}
	if p.Name == "nll" && mixes(steps) {
		return nil, fmt.Errorf("loss: nll takes classes, which data.augment mixes: use cross_entropy on logits")
	}
	return l, nil
}

// optimizer returns the optimizer of the configuration.
func (c *trainConfig) optimizer() (train.Optimizer, error) {
	p := &c.Optimizer
	s := struct {
		LR          float64   `yaml:"lr"`
		WeightDecay float64   `yaml:"weight_decay"`
		Betas       []float64 `yaml:"betas"`
		Epsilon     float64   `yaml:"eps"`
		Momentum    float64   `yaml:"momentum"`
		Dampening   float64   `yaml:"dampening"`
		Nesterov    bool      `yaml:"nesterov"`
		Alpha       float64   `yaml:"alpha"`
		Lazy        bool      `yaml:"lazy"`
	}{LR: 0.001}
	if err := p.settings("optimizer", &s); err != nil {
		return nil, err
	}
	if len(s.Betas) != 0 && len(s.Betas) != 2 {
		return nil, fmt.Errorf("optimizer: betas has %d numbers, want 2", len(s.Betas))
	}
	s.Betas = append(s.Betas, 0, 0)
	all := map[string]train.Optimizer{
		"sgd":     train.SGD{LR: s.LR, Momentum: s.Momentum, Dampening: s.Dampening, Nesterov: s.Nesterov, WeightDecay: s.WeightDecay, Lazy: s.Lazy},
		"adam":    train.Adam{LR: s.LR, Beta1: s.Betas[0], Beta2: s.Betas[1], Epsilon: s.Epsilon, WeightDecay: s.WeightDecay, Lazy: s.Lazy},
		"adamw":   train.AdamW{LR: s.LR, Beta1: s.Betas[0], Beta2: s.Betas[1], Epsilon: s.Epsilon, WeightDecay: s.WeightDecay, Lazy: s.Lazy},
		"adagrad": train.Adagrad{LR: s.LR, Epsilon: s.Epsilon, WeightDecay: s.WeightDecay, Lazy: s.Lazy},
		"rmsprop": train.RMSprop{LR: s.LR, Alpha: s.Alpha, Epsilon: s.Epsilon, Momentum: s.Momentum, WeightDecay: s.WeightDecay},
		"lion":    train.Lion{LR: s.LR, Beta1: s.Betas[0], Beta2: s.Betas[1], WeightDecay: s.WeightDecay},
		"lamb":    train.LAMB{LR: s.LR, Beta1: s.Betas[0], Beta2: s.Betas[1], Epsilon: s.Epsilon, WeightDecay: s.WeightDecay},
	}
	o, ok := all[p.Name]
	if !ok {
		return nil, fmt.Errorf("optimizer: there is no %q%s", p.Name, didYouMean(p.Name, namesOf(all)))
	}
	if l, ok := o.(train.Lazy); s.Lazy && !(ok && l.IsLazy()) {
		return nil, fmt.Errorf("optimizer: lazy is for adam, adamw, adagrad and sgd, not %s", p.Name)
	}
	return o, nil
}

// schedule returns the schedule of the configuration, nil for none.
func (c *trainConfig) schedule() (train.Schedule, error) {
	p := &c.Schedule
	if p.Name == "" {
		return nil, nil
	}
	var s struct {
		Warmup float64 `yaml:"warmup"`
		Min    float64 `yaml:"min"`
		Every  int     `yaml:"every"`
		Gamma  float64 `yaml:"gamma"`
		Rise   float64 `yaml:"rise"`
	}
	if err := p.settings("schedule", &s); err != nil {
		return nil, err
	}
	if !(s.Warmup >= 0 && s.Warmup < 1) {
		return nil, fmt.Errorf("schedule: warmup is %g, want a share of all steps below 1", s.Warmup)
	}
	all := map[string]train.Schedule{
		"constant": train.Constant{Warmup: s.Warmup}, "linear": train.Linear{Warmup: s.Warmup, Min: s.Min}, "cosine": train.Cosine{Warmup: s.Warmup, Min: s.Min},
		"step": train.StepDecay{Every: s.Every, Gamma: s.Gamma}, "exponential": train.Exponential{Gamma: s.Gamma}, "one_cycle": train.OneCycle{Rise: s.Rise},
	}
	v, ok := all[p.Name]
	if !ok {
		return nil, fmt.Errorf("schedule: there is no %q%s", p.Name, didYouMean(p.Name, namesOf(all)))
	}
	if p.Name == "step" && s.Every < 1 {
		return nil, fmt.Errorf("schedule: step: every is %d, want at least 1", s.Every)
	}
	return v, nil
}

// ready is a ready model with its settings: a layered or a *readyVAE.
type ready any

// layered is a ready model of one output.
type layered interface{ layer() nn.Layer }

type (
	readyText struct {
		Vocab, Embedding, Hidden, Classes int
		Bidirectional                     bool
		Dropout                           float64
		Pad                               *int
		kind                              string
	}
	readyMLP struct {
		Hidden  []int
		Classes int
		Dropout float64
	}
	readyCNN struct {
		Channels []int
		Classes  int
		Dropout  float64
	}
	readyResNet struct {
		Blocks  []int
		Classes int
		Width   int
		Small   bool
	}
	readyBERT struct {
		Vocab, Length, Embedding, Layers, Heads, Hidden, Classes int
		Pad                                                      *int
		Dropout                                                  float64
		AttentionDropout                                         float64 `yaml:"attention_dropout"`
	}
	readyGPT struct {
		Vocab, Length, Embedding, Layers, Heads, Hidden int
		Dropout                                         float64
		AttentionDropout                                float64 `yaml:"attention_dropout"`
	}
	readyViT struct {
		Patch, Embedding, Layers, Heads, Classes int
		Dropout                                  float64
		AttentionDropout                         float64 `yaml:"attention_dropout"`
	}
	readyAutoencoder struct {
		Hidden []int
		Code   int
	}
	readyVAE struct {
		Channels, Hidden []int
		Code             int
		Encoder, Decoder string // files for these parts of the model
	}
)

func (m *readyText) padding() (id **int, behind bool) { return &m.Pad, true }
func (m *readyBERT) padding() (id **int, behind bool) { return &m.Pad, false }

func (m *readyText) vocab() *int { return &m.Vocab }
func (m *readyBERT) vocab() *int { return &m.Vocab }
func (m *readyGPT) vocab() *int  { return &m.Vocab }

func (m *readyText) layer() nn.Layer {
	t := nn.TextRNN{Vocab: m.Vocab, Embedding: m.Embedding, Hidden: m.Hidden, Classes: m.Classes, Kind: m.kind, Bidirectional: m.Bidirectional, Dropout: m.Dropout}
	if m.Pad != nil {
		t.Padded, t.Pad = *m.Pad >= 0, *m.Pad
	}
	return t
}
func (m *readyMLP) layer() nn.Layer {
	return nn.MLP{Hidden: m.Hidden, Out: m.Classes, Dropout: m.Dropout}
}
func (m *readyCNN) layer() nn.Layer {
	return nn.CNN{Channels: m.Channels, Classes: m.Classes, Dropout: m.Dropout}
}
func (m *readyResNet) layer() nn.Layer {
	return nn.ResNet{Blocks: m.Blocks, Classes: m.Classes, Width: m.Width, Small: m.Small}
}
func (m *readyBERT) layer() nn.Layer {
	t := nn.Transformer{Vocab: m.Vocab, Max: m.Length, Dim: m.Embedding, Layers: m.Layers, Heads: m.Heads, Hidden: m.Hidden, Dropout: m.Dropout, AttentionDropout: m.AttentionDropout}
	if m.Pad != nil {
		t.Masked, t.Pad = *m.Pad >= 0, *m.Pad
	}
	return nn.BERT{Transformer: t, Classes: m.Classes}
}
func (m *readyGPT) layer() nn.Layer {
	return nn.GPT{Transformer: nn.Transformer{Vocab: m.Vocab, Max: m.Length, Dim: m.Embedding, Layers: m.Layers, Heads: m.Heads, Hidden: m.Hidden, Dropout: m.Dropout, AttentionDropout: m.AttentionDropout}}
}
func (m *readyViT) layer() nn.Layer {
	return nn.ViT{Patch: m.Patch, Dim: m.Embedding, Layers: m.Layers, Heads: m.Heads, Classes: m.Classes, Dropout: m.Dropout, AttentionDropout: m.AttentionDropout}
}
func (m *readyAutoencoder) layer() nn.Layer {
	return nn.Autoencoder{Hidden: m.Hidden, Code: m.Code}
}

// prepare names the outputs that the loss is for and the parts to write, and returns
// the network's outputs for x.
func (m *readyVAE) prepare(c *trainConfig, cfg *train.Config, input string) (func(s *nn.Scope, x *onnx.Value) []nn.Output, error) {
	l, ok := cfg.Loss.(train.VAE)
	if !ok {
		return nil, fmt.Errorf("model vae: the loss is %q, want vae", c.Loss.Name)
	}
	cfg.Outputs = []string{nn.VAELogits, nn.VAEMean, nn.VAELogVariance}
	if l.Real {
		cfg.Outputs[0] = nn.VAEOutput
	}
	for _, p := range []modelPart{
		{m.Encoder, []string{input}, []string{nn.VAEMean, nn.VAELogVariance}},
		{m.Decoder, []string{nn.VAECode}, []string{nn.VAEOutput}},
	} {
		if p.path == "" {
			continue
		}
		if err := checkOutput("model", p.path); err != nil {
			return nil, err
		}
		c.parts = append(c.parts, p)
	}
	return nn.VAE{Channels: m.Channels, Hidden: m.Hidden, Code: m.Code, Real: l.Real}.Apply, nil
}

// readyModels make ready models of their names, for settings to be read into.
var readyModels = map[string]func() ready{
	"text-rnn": func() ready { return &readyText{kind: "RNN"} }, "text-gru": func() ready { return &readyText{kind: "GRU"} },
	"text-lstm": func() ready { return &readyText{kind: "LSTM"} },
	"mlp":       func() ready { return &readyMLP{} }, "cnn": func() ready { return &readyCNN{} }, "resnet": func() ready { return &readyResNet{} },
	"bert": func() ready { return &readyBERT{} }, "gpt": func() ready { return &readyGPT{} }, "vit": func() ready { return &readyViT{} },
	"autoencoder": func() ready { return &readyAutoencoder{} }, "vae": func() ready { return &readyVAE{} },
}

func readyNames() []string { return namesOf(readyModels) }

// activations are layers by a name alone.
var activations = map[string]nn.Layer{
	"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "gelu": nn.GELU, "silu": nn.SiLU, "mish": nn.Mish, "elu": nn.ELU, "selu": nn.SELU, "softplus": nn.Softplus,
	"softmax": nn.Softmax, "flatten": nn.Flatten{}, "batch_norm": nn.BatchNorm{}, "layer_norm": nn.LayerNorm{}, "rms_norm": nn.RMSNorm{}, "global_avg_pool": nn.GlobalAvgPool,
	"global_max_pool": nn.GlobalMaxPool,
}

// layers with one number, or a mapping of settings.
var sized = map[string]func(n *yaml.Node) (nn.Layer, error){
	"linear": func(n *yaml.Node) (nn.Layer, error) {
		var s struct {
			Out    int
			NoBias bool `yaml:"no_bias"`
		}
		err := decodeSized(n, &s.Out, &s)
		return nn.Linear{Out: s.Out, NoBias: s.NoBias}, err
	},
	"dropout": func(n *yaml.Node) (nn.Layer, error) {
		var p float64
		err := n.Decode(&p)
		return nn.Dropout{P: p}, err
	},
	"embedding": func(n *yaml.Node) (nn.Layer, error) {
		var s struct{ Num, Dim int }
		err := decodeSized(n, nil, &s)
		return nn.Embedding{Num: s.Num, Dim: s.Dim}, err
	},
	"conv": func(n *yaml.Node) (nn.Layer, error) {
		var s struct {
			Out, Kernel, Stride, Pad, Dilation, Groups int
			NoBias                                     bool `yaml:"no_bias"`
		}
		err := decodeSized(n, nil, &s)
		return nn.Conv{Out: s.Out, Kernel: s.Kernel, Stride: s.Stride, Pad: s.Pad, Dilation: s.Dilation, Groups: s.Groups, NoBias: s.NoBias}, err
	},
	"conv_transpose": func(n *yaml.Node) (nn.Layer, error) {
		var s struct {
			Out, Kernel, Stride, Pad, Groups int
			OutputPad                        int  `yaml:"output_pad"`
			NoBias                           bool `yaml:"no_bias"`
		}
		err := decodeSized(n, nil, &s)
		return nn.ConvTranspose{Out: s.Out, Kernel: s.Kernel, Stride: s.Stride, Pad: s.Pad, OutputPad: s.OutputPad, Groups: s.Groups, NoBias: s.NoBias}, err
	},
	"embedding_bag": func(n *yaml.Node) (nn.Layer, error) {
		var s struct {
			Num, Dim int
			Mode     string
			Pad      *int
		}
		err := decodeSized(n, nil, &s)
		l := nn.EmbeddingBag{Num: s.Num, Dim: s.Dim, Mode: s.Mode}
		if s.Pad != nil {
			l.Padded, l.Pad = true, *s.Pad
		}
		return l, err
	},
	"adaptive_avg_pool": adaptivePool(true), "adaptive_max_pool": adaptivePool(false),
	"max_pool": func(n *yaml.Node) (nn.Layer, error) {
		var s struct{ Kernel, Stride, Pad int }
		err := decodeSized(n, &s.Kernel, &s)
		return nn.Pool{Kernel: s.Kernel, Stride: s.Stride, Pad: s.Pad}, err
	},
	"avg_pool": func(n *yaml.Node) (nn.Layer, error) {
		var s struct{ Kernel, Stride, Pad int }
		err := decodeSized(n, &s.Kernel, &s)
		return nn.Pool{Kernel: s.Kernel, Stride: s.Stride, Pad: s.Pad, Mean: true}, err
	},
	"leaky_relu": func(n *yaml.Node) (nn.Layer, error) {
		var slope float64
		err := n.Decode(&slope)
		return nn.LeakyReLU(slope), err
	},
	"rnn": recurrentLayer("RNN"), "gru": recurrentLayer("GRU"), "lstm": recurrentLayer("LSTM"),
	"positions": func(n *yaml.Node) (nn.Layer, error) {
		var most int
		err := n.Decode(&most)
		return nn.Positions{Max: most}, err
	},
	"sinusoids": func(n *yaml.Node) (nn.Layer, error) {
		var most int
		err := n.Decode(&most)
		return nn.Sinusoids{Max: most}, err
	},
	"transformer": func(n *yaml.Node) (nn.Layer, error) {
		var s struct {
			Heads, Hidden int
			Causal        bool
			Dropout       float64
			Weights       float64 `yaml:"attention_dropout"`
			NormFirst     bool    `yaml:"norm_first"`
			Rotary        int     // positions
		}
		err := decodeSized(n, nil, &s)
		l := nn.TransformerLayer{Heads: s.Heads, Hidden: s.Hidden, Causal: s.Causal, Dropout: s.Dropout, AttentionDropout: s.Weights, NormFirst: s.NormFirst}
		if s.Rotary > 0 {
			l.Rotary = &nn.Rotary{Max: s.Rotary}
		}
		return l, err
	},
}

func adaptivePool(mean bool) func(n *yaml.Node) (nn.Layer, error) {
	return func(n *yaml.Node) (nn.Layer, error) {
		var out int
		err := n.Decode(&out)
		return nn.AdaptivePool{Out: out, Mean: mean}, err
	}
}

func recurrentLayer(kind string) func(n *yaml.Node) (nn.Layer, error) {
	return func(n *yaml.Node) (nn.Layer, error) {
		var s struct {
			Hidden, Layers int
			Bidirectional  bool
			Dropout        float64
			Last           bool
			ResetAfter     bool `yaml:"reset_after"`
		}
		err := decodeSized(n, &s.Hidden, &s)
		return nn.Recurrent{Kind: kind, Hidden: s.Hidden, Layers: s.Layers, Bidirectional: s.Bidirectional, Dropout: s.Dropout, Last: s.Last, ResetAfter: s.ResetAfter}, err
	}
}

// decodeSized reads a number into one (nil: a mapping is needed), or a mapping
// into s.
func decodeSized(n *yaml.Node, one *int, s any) error {
	if n.Kind == yaml.ScalarNode && one != nil {
		return n.Decode(one)
	}
	if err := checkKeys(n, "model: layers", structKeys(s)); err != nil {
		return err
	}
	return n.Decode(s)
}

// layer reads one entry of model.layers.
func layerOf(n *yaml.Node) (nn.Layer, error) {
	name := n.Value
	if n.Kind == yaml.MappingNode && len(n.Content) == 2 {
		name = n.Content[0].Value
	}
	if l, ok := activations[name]; ok && n.Kind == yaml.ScalarNode {
		return l, nil
	}
	if f, ok := sized[name]; ok && n.Kind == yaml.MappingNode {
		l, err := f(n.Content[1])
		if err != nil {
			return nil, fmt.Errorf("line %d: model: layer %s: %w", n.Line, name, err)
		}
		return l, nil
	}
	if _, ok := sized[name]; ok {
		return nil, fmt.Errorf("line %d: model: layer %s needs a size: {%s: …}", n.Line, name, name)
	}
	return nil, fmt.Errorf("line %d: model: there is no layer %q%s", n.Line, name, didYouMean(name, append(namesOf(activations), namesOf(sized)...)))
}

// build makes the model of the configuration for samples of in.
func (c *trainConfig) build(in nn.Input, cfg *train.Config) (*onnx.Model, error) {
	var l nn.Layer
	var network func(s *nn.Scope, x *onnx.Value) []nn.Output
	if c.Model.Name != "" {
		r := readyModels[c.Model.Name]()
		m := c.Model.named
		var rest []*yaml.Node
		for i := 0; i+1 < len(m.Content); i += 2 {
			if key := m.Content[i].Value; key != "name" && !slices.Contains(keysOf(&c.Model.weightsConfig), key) {
				rest = append(rest, m.Content[i], m.Content[i+1])
			}
		}
		m.Content = rest
		if err := m.Decode(r); err != nil {
			return nil, fmt.Errorf("model: %w", err)
		}
		c.fitPad(r)
		if err := c.fitVocab(r); err != nil {
			return nil, err
		}
		switch r := r.(type) {
		case layered:
			l = r.layer()
		case *readyVAE:
			var err error
			if network, err = r.prepare(c, cfg, in.Name); err != nil {
				return nil, err
			}
		}
	} else {
		var list nn.Sequential
		for i := range c.Model.Layers {
			one, err := layerOf(&c.Model.Layers[i])
			if err != nil {
				return nil, err
			}
			list = append(list, one)
		}
		l = list
	}
	return nn.Build(c.Seed, []nn.Input{in}, func(s *nn.Scope, v []*onnx.Value) []nn.Output {
		if network != nil {
			return network(s.Sub("model"), v[0])
		}
		return []nn.Output{{Name: "output", Value: s.Apply("model", l, v[0])}}
	})
}
