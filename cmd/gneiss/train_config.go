package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/internal/near"
	"github.com/gneiss-run/gneiss/onnx/schema"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/train"
	"github.com/gneiss-run/gneiss/train/prep"
)

// trainConfig is a file of gneiss train.
type trainConfig struct {
	Model        modelConfig    `yaml:"model"`
	Data         dataConfig     `yaml:"data"`
	Loss         partConfig     `yaml:"loss"`
	Optimizer    partConfig     `yaml:"optimizer"`
	Schedule     partConfig     `yaml:"schedule"`
	Metrics      []string       `yaml:"metrics"`
	Groups       []groupConfig  `yaml:"groups"`
	Teacher      *teacherConfig `yaml:"teacher"`
	QAT          *qatConfig     `yaml:"qat"`
	Epochs       int            `yaml:"epochs"`
	Seed         uint64         `yaml:"seed"`
	Output       string         `yaml:"output"`
	Opset        int            `yaml:"opset"`
	Export       *exportConfig  `yaml:"export"`
	Checkpoint   string         `yaml:"checkpoint"`
	Every        int            `yaml:"checkpoint_steps"` // between checkpoints within an epoch; 0: none
	Keep         int            `yaml:"keep"`             // checkpoints; 0: 3
	SaveWeights  string         `yaml:"save_weights"`     // a .safetensors or .npz file for PyTorch
	History      string         `yaml:"history"`          // a .json or .csv file
	Plots        string         `yaml:"plots"`            // a folder for SVG and PNG files
	TensorBoard  string         `yaml:"tensorboard"`      // a folder for event files
	ClassWeights *classWeights  `yaml:"class_weights"`    // of the loss
	Folds        int            `yaml:"folds"`            // of a cross-validation; 0: none
	Patience     int            `yaml:"patience"`
	Monitor      string         `yaml:"monitor"`
	ClipNorm     float64        `yaml:"clip_norm"`
	ClipValue    float64        `yaml:"clip_value"`
	Accumulate   int            `yaml:"accumulate"`
	EMA          float64        `yaml:"ema"`
	Recompute    recompute      `yaml:"recompute"`
	Mixed        mixedPrecision `yaml:"mixed_precision"`
	Threads      int            `yaml:"threads"`

	text     string                  // of the file, with what was set
	settings string                  // that text without where files lie and how it runs
	recorded bool                    // the history, for a file or a report
	loaded   string                  // what was loaded of model.weights, in words
	qat      *qat                    // where QAT is asked for
	files    map[string]train.Arrays // that were read
	parts    []modelPart             // that are written besides the model

	images     *imageData         // where the samples are image files
	pixelInput string             // where data.augment changes images: what takes them
	tokens     *textReader        // where a tokenizer is asked for
	division   division           // of the training data
	fold       int                // of a cross-validation, from 1; else 0
	whole      string             // the checkpoint folder of all folds
	scores     map[string]float64 // the mean metrics of the folds
	weights    string             // of classes, in words
	teacher    *runtime.Session   // where there is a teacher
	lesson     augmentation       // where there is a teacher: what adds its outputs to a batch
	labels     *labels            // where samples are neither images nor features of tables
	prep       *prep.Prep         // where tables are made into features
	prepared   [2]train.Arrays    // then: of training and validation
	table      data.Table         // then: the training data
	training   func(int) bool     // then: which rows are to train on
	source     data.Source        // where samples are a stream
}

// modelPart is what lies between values of the model, for a file of its own.
type modelPart struct {
	path     string
	from, to []string
}

type modelConfig struct {
	Import string      `yaml:"import"`
	Freeze []string    `yaml:"freeze"`
	Only   []string    `yaml:"only"`
	Head   *headConfig `yaml:"head"`
	Layers layerList   `yaml:"layers"`
	Name   string      `yaml:"name"`

	weightsConfig `yaml:",inline"`

	named yaml.Node // of a ready model, with its sizes
}

// layerList is the layers of a stack. What is no list is a setting of a ready model, their number.
type layerList []yaml.Node

// UnmarshalYAML implements yaml.Unmarshaler.
func (l *layerList) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Decode((*[]yaml.Node)(l))
}

type headConfig struct {
	Output  string `yaml:"output"`
	Classes int    `yaml:"classes"`
}

type dataConfig struct {
	Train      sources      `yaml:"train"`
	Validation sources      `yaml:"validation"`
	Inputs     []string     `yaml:"inputs"`
	Target     targetConfig `yaml:"target"` // a column or array, or a list of several
	BatchSize  int          `yaml:"batch_size"`
	Shuffle    bool         `yaml:"shuffle"`
	DropLast   bool         `yaml:"drop_last"`
	Sampling   string       `yaml:"sampling"`   // balanced: each class is drawn as often
	Prefetch   int          `yaml:"prefetch"`   // batches that are made ahead, by as many goroutines. 0: 2
	Augment    []yaml.Node  `yaml:"augment"`    // steps by name
	Split      float64      `yaml:"split"`      // the share of train that is for validation, without a file for it
	Tokenizer  string       `yaml:"tokenizer"`  // a tokenizer.json, for text
	Text       string       `yaml:"text"`       // the column that it makes token inputs of
	MaxLength  int          `yaml:"max_length"` // tokens of a text

	// Of tables: see prep.Config.
	Features    []string     `yaml:"features"`
	Categorical []string     `yaml:"categorical"`
	Numeric     []string     `yaml:"numeric"`
	Clean       *cleanConfig `yaml:"clean"`
	Normalize   string       `yaml:"normalize"`  // standard, minmax or robust
	Encode      string       `yaml:"encode"`     // onehot or index
	Preprocess  string       `yaml:"preprocess"` // export (default): it is part of the model that is written; or none. Of images: of data.Preprocessing

	imageConfig `yaml:",inline"`
	Stream      streamConfig `yaml:"stream"`
}

// target is the name of the targets.
func (c *trainConfig) target() string {
	return c.Data.Target.tensor()
}

// size is the batch size that loaders take.
func (d *dataConfig) size() int {
	if d.BatchSize == 0 {
		return 32
	}
	return d.BatchSize
}

// teacherConfig is what gneiss distill learns from.
type teacherConfig struct {
	Model       string  `yaml:"model"`
	Output      string  `yaml:"output"` // its logits; "": its first output
	Temperature float64 `yaml:"temperature"`
	Alpha       float64 `yaml:"alpha"` // the share of the teacher in the loss
}

type groupConfig struct {
	Names       []string `yaml:"names"`
	LR          float64  `yaml:"lr_factor"`
	WeightDecay *float64 `yaml:"weight_decay"`
}

// partConfig is a name alone, or a mapping with a name and settings.
type partConfig struct {
	Name string
	node *yaml.Node
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (p *partConfig) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		p.Name = n.Value
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: want a name, or a mapping with a name", n.Line)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "name" {
			p.Name = n.Content[i+1].Value
		}
	}
	if p.Name == "" {
		return fmt.Errorf("line %d: there is no name", n.Line)
	}
	p.node = n
	return nil
}

// recompute is "auto", or a list of patterns of names of nodes.
type recompute struct{ *train.Recompute }

// UnmarshalYAML implements yaml.Unmarshaler.
func (r *recompute) UnmarshalYAML(n *yaml.Node) error {
	r.Recompute = &train.Recompute{Auto: n.Kind == yaml.ScalarNode && n.Value == "auto"}
	if r.Auto {
		return nil
	}
	if n.Kind != yaml.SequenceNode || n.Decode(&r.Patterns) != nil || len(r.Patterns) == 0 {
		return fmt.Errorf("line %d: recompute: want auto, or a list of patterns of names of nodes", n.Line)
	}
	return nil
}

// settings decodes the part's settings into v, whose keys are the only ones
// besides name.
func (p *partConfig) settings(what string, v any) error {
	if p.node == nil {
		return nil
	}
	if err := checkKeys(p.node, what+" "+p.Name, append(keysOf(v), "name")); err != nil {
		return err
	}
	return p.node.Decode(v)
}

// keysOf returns the yaml keys of the struct that v points to.
func keysOf(v any) []string { return structKeys(v) }

// checkKeys reports a key of the mapping n that is not among allowed, with the
// one that it most likely should have been.
func checkKeys(n *yaml.Node, where string, allowed []string) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: %s: want a mapping", n.Line, where)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := n.Content[i]; !slices.Contains(allowed, k.Value) {
			return fmt.Errorf("line %d: %s: unknown key %q%s", k.Line, where, k.Value, didYouMean(k.Value, allowed))
		}
	}
	return nil
}

// didYouMean names the nearest of names, or all of them, as the end of a message.
func didYouMean(name string, names []string) string {
	if hint := near.Hint(name, names); hint != "" {
		return hint
	}
	return "; there are " + strings.Join(names, ", ")
}

// readTrainConfig reads the file and applies key=value settings.
func readTrainConfig(path string, set []string) (*trainConfig, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*trainConfig, error) { return nil, fmt.Errorf("%s: %w", path, err) }
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return fail(err)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return fail(fmt.Errorf("it is empty"))
	}
	root := doc.Content[0]
	for _, s := range set {
		if err := setKey(root, s); err != nil {
			return nil, usageError("--set %s: %v", s, err)
		}
	}
	var c trainConfig
	if err := checkTree(root, &c); err != nil {
		return fail(err)
	}
	if err := root.Decode(&c); err != nil {
		return fail(err)
	}
	if b, err = yaml.Marshal(without(root, "output", "checkpoint", "checkpoint_steps", "keep", "tensorboard", "save_weights", "history", "plots", "threads")); err != nil {
		return fail(err)
	}
	c.settings = string(b)
	if m := child(root, "model"); m != nil {
		c.Model.named = *m
	}
	text, err := yaml.Marshal(root)
	if err != nil {
		return fail(err)
	}
	c.text = string(text)
	if err := c.check(); err != nil {
		return fail(err)
	}
	return &c, nil
}

// child returns the value of a key of mapping n, nil where n is none.
func child(n *yaml.Node, key string) *yaml.Node {
	if n != nil && n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				return n.Content[i+1]
			}
		}
	}
	return nil
}

// without returns the mapping n without some keys: what is written does not tell
// where things are on a machine, nor how it went about its work.
func without(n *yaml.Node, keys ...string) *yaml.Node {
	c := *n
	c.Content = nil
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !slices.Contains(keys, n.Content[i].Value) {
			c.Content = append(c.Content, n.Content[i], n.Content[i+1])
		}
	}
	return &c
}

// checkTree reports unknown keys.
func checkTree(root *yaml.Node, c *trainConfig) error {
	if err := checkKeys(root, "the file", keysOf(c)); err != nil {
		return err
	}
	if n := child(root, "data"); n != nil {
		if err := checkKeys(n, "data", keysOf(&c.Data)); err != nil {
			return err
		}
		if k := child(n, "clean"); k != nil {
			if err := checkKeys(k, "data: clean", keysOf(&cleanConfig{})); err != nil {
				return err
			}
		}
	}
	if n := child(root, "model"); n != nil {
		allowed := keysOf(&c.Model)
		if name := child(n, "name"); name != nil {
			r, ok := readyModels[name.Value]
			if !ok {
				return fmt.Errorf("line %d: model: there is no model %q%s", name.Line, name.Value, didYouMean(name.Value, readyNames()))
			}
			allowed = slices.Concat(keysOf(r()), keysOf(&c.Model.weightsConfig), []string{"name"})
		}
		if err := checkKeys(n, "model", allowed); err != nil {
			return err
		}
		if h := child(n, "head"); h != nil {
			if err := checkKeys(h, "model: head", keysOf(&headConfig{})); err != nil {
				return err
			}
		}
	}
	if n := child(root, "teacher"); n != nil {
		if err := checkKeys(n, "teacher", keysOf(&teacherConfig{})); err != nil {
			return err
		}
	}
	if n := child(root, "export"); n != nil {
		if err := checkKeys(n, "export", keysOf(&exportConfig{})); err != nil {
			return err
		}
	}
	if n := child(root, "qat"); n != nil {
		if err := checkKeys(n, "qat", keysOf(&qatConfig{})); err != nil {
			return err
		}
	}
	if n := child(root, "groups"); n != nil {
		for _, g := range n.Content {
			if err := checkKeys(g, "groups", keysOf(&groupConfig{})); err != nil {
				return err
			}
		}
	}
	return nil
}

// setKey applies "a.b=value" to the tree; the value is YAML.
func setKey(root *yaml.Node, s string) error {
	key, text, ok := strings.Cut(s, "=")
	if !ok || key == "" {
		return fmt.Errorf("want KEY=VALUE")
	}
	var v yaml.Node
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return err
	}
	if len(v.Content) != 1 {
		return fmt.Errorf("there is no value")
	}
	n := root
	parts := strings.Split(key, ".")
	for i, p := range parts {
		if n.Kind == yaml.ScalarNode && i > 0 && n.Tag == "!!str" { // optimizer: adam is optimizer: {name: adam}
			n.Content = []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: "name"}, {Kind: yaml.ScalarNode, Tag: "!!str", Value: n.Value}}
			n.Kind, n.Tag, n.Value = yaml.MappingNode, "!!map", ""
		}
		if n.Kind != yaml.MappingNode {
			return fmt.Errorf("%q is no mapping", strings.Join(parts[:i], "."))
		}
		next := child(n, p)
		if next == nil {
			next = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: p}, next)
		}
		n = next
	}
	*n = *v.Content[0]
	return nil
}

// check reports what is missing or does not fit.
func (c *trainConfig) check() error {
	kinds := 0
	for _, given := range []bool{c.Model.Import != "", c.Model.Name != "", c.Model.Layers != nil} {
		if given {
			kinds++
		}
	}
	switch {
	case c.Model.Name == "" && child(&c.Model.named, "layers") != nil && c.Model.Layers == nil:
		return fmt.Errorf("line %d: model: layers: want a list, such as [{linear: 64}, relu, {linear: 3}]", child(&c.Model.named, "layers").Line)
	case c.Model.Name != "" && c.Model.Layers != nil:
		return fmt.Errorf("line %d: model: layers of %s: want their number, not a list", child(&c.Model.named, "layers").Line, c.Model.Name)
	case kinds != 1:
		return fmt.Errorf("model: want one of import, name and layers")
	case c.Model.Import == "" && c.Model.Head != nil:
		return fmt.Errorf("model: head is for imported models")
	case !c.Data.Train.given():
		return fmt.Errorf("data: train is missing: a file of samples")
	case c.Data.Preprocess != "" && c.Data.Preprocess != "export" && c.Data.Preprocess != "none" && !c.pictured():
		return fmt.Errorf("data: preprocess is %q, want export or none", c.Data.Preprocess)
	case c.Data.BatchSize < 0:
		return fmt.Errorf("data: batch_size is %d, want at least 1", c.Data.BatchSize)
	case c.Data.Prefetch < 0 || c.Data.Prefetch > 1024:
		return fmt.Errorf("data: prefetch is %d, want 1 to 1024 batches", c.Data.Prefetch)
	case !(c.Data.Split >= 0 && c.Data.Split < 1):
		return fmt.Errorf("data: split is %g, want a share below 1", c.Data.Split)
	case c.Teacher != nil && c.Teacher.Model == "":
		return fmt.Errorf("teacher: model is missing")
	case c.Loss.Name == "" && c.Teacher == nil:
		return fmt.Errorf("loss is missing")
	case c.Data.Target.columns != nil && (c.Loss.Name == "cross_entropy" || c.Loss.Name == "nll" || c.Loss.Name == "vae"):
		return fmt.Errorf("data: target is %q, and loss %s takes one target of classes: several are for bce_with_logits, mse and the like", c.Data.Target.columns, c.Loss.Name)
	case c.Optimizer.Name == "":
		return fmt.Errorf("optimizer is missing")
	case c.Epochs < 1:
		return fmt.Errorf("epochs is %d, want at least 1", c.Epochs)
	case c.Output == "" && c.Folds == 0:
		return fmt.Errorf("output is missing: the file to write")
	case c.Every < 0 || c.Keep < 0:
		return fmt.Errorf("checkpoint_steps is %d and keep %d, want at least 0", c.Every, c.Keep)
	case c.Every > 0 && c.Checkpoint == "":
		return fmt.Errorf("checkpoint_steps needs checkpoint: a folder to write to")
	case c.Patience < 0:
		return fmt.Errorf("patience is %d, want at least 0", c.Patience)
	case c.Opset != 0 && (c.Opset < 13 || c.Opset > schema.Newest("")):
		return fmt.Errorf("opset is %d, want 13 to %d", c.Opset, schema.Newest(""))
	}
	if err := c.Model.weightsConfig.check(); err != nil {
		return err
	}
	steps, err := c.augmentSteps()
	switch {
	case err != nil:
		return err
	case c.Teacher != nil && mixes(steps):
		return fmt.Errorf("data: augment: mixup and cutmix do not mix what a teacher says of samples: leave them out")
	case c.QAT != nil && slices.ContainsFunc(steps, isNormalize):
		return fmt.Errorf("data: augment: normalize comes behind what qat calibrates on: normalise the data themselves")
	}
	if ext := filepath.Ext(c.History); c.History != "" && ext != ".json" && ext != ".csv" {
		return fmt.Errorf("history is %q, want a name that ends in .json or .csv", c.History)
	}
	if ext := filepath.Ext(c.SaveWeights); c.SaveWeights != "" && ext != ".safetensors" && ext != ".npz" {
		return fmt.Errorf("save_weights is %q, want a name that ends in .safetensors or .npz", c.SaveWeights)
	}
	if k := c.Data.Clean; k != nil {
		if err := k.check(); err != nil {
			return err
		}
	}
	if err := c.Data.checkText(); err != nil {
		return err
	}
	if err := c.checkExport(); err != nil {
		return err
	}
	if err := c.checkWeights(); err != nil {
		return err
	}
	if err := c.checkStream(); err != nil {
		return err
	}
	for _, m := range c.Metrics {
		if _, err := train.ParseMetric(m); err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	return nil
}
