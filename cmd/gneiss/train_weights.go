package main

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/train"
)

// weightsConfig is what model says of a file of weights, beside what the model is.
type weightsConfig struct {
	Weights string    `yaml:"weights"`
	Names   yaml.Node `yaml:"names"` // regular expressions: replacement, or {to, transpose}
	Strict  *bool     `yaml:"strict"`
}

// renames reads model.names, in the order of the file.
func (w *weightsConfig) renames() ([]train.Rename, error) {
	n := &w.Names
	if n.Kind == 0 {
		return nil, nil
	}
	if n.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: model: names: want a mapping of regular expressions to replacements", n.Line)
	}
	var out []train.Rename
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		r := train.Rename{Pattern: key.Value, To: value.Value}
		if value.Kind == yaml.MappingNode {
			var s struct{ To, Transpose string }
			if err := checkKeys(value, "model: names", structKeys(&s)); err != nil {
				return nil, err
			}
			if err := value.Decode(&s); err != nil {
				return nil, err
			}
			ways := map[string]train.Transposition{"": train.AsItIs, "false": train.AsItIs, "true": train.WhereShapesSay, "always": train.TransposeAlways}
			t, ok := ways[s.Transpose]
			if !ok {
				return nil, fmt.Errorf("line %d: model: names: transpose is %q, want true or always", value.Line, s.Transpose)
			}
			r.To, r.Transpose = s.To, t
		} else if value.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: model: names: %q: want a replacement, or {to: …, transpose: true}", value.Line, key.Value)
		}
		out = append(out, r)
	}
	return out, nil
}

func (w *weightsConfig) check() error {
	if w.Weights == "" && (w.Names.Kind != 0 || w.Strict != nil) {
		return fmt.Errorf("model: names and strict are for weights: a file")
	}
	_, err := w.renames()
	return err
}

// load replaces the weights of m by those of the file, if one is named, and
// returns a line that says what did not fit.
func (w *weightsConfig) load(m *onnx.Model) (string, error) {
	if w.Weights == "" {
		return "", nil
	}
	names, err := w.renames()
	if err != nil {
		return "", err
	}
	r, err := train.LoadWeights(m, w.Weights, train.WeightOptions{Names: names, Lenient: w.Strict != nil && !*w.Strict})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: %s loaded, %d missing, %d unexpected, %d of another shape", w.Weights, counted(len(r.Loaded), "weight"),
		len(r.Missing), len(r.Unexpected), len(r.Mismatched)), nil
}
