package main

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
)

// mixedPrecision is an element type of 16 bits, or a mapping with one and what the loss is scaled by.
type mixedPrecision struct{ *train.MixedPrecision }

type mixedConfig struct {
	Type  string       `yaml:"type"`
	Scale *scaleConfig `yaml:"loss_scale"`
}

type scaleConfig struct {
	Initial  float64 `yaml:"initial"`
	Growth   float64 `yaml:"growth"`
	Backoff  float64 `yaml:"backoff"`
	Interval int     `yaml:"interval"`
	Min      float64 `yaml:"min"`
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (m *mixedPrecision) UnmarshalYAML(n *yaml.Node) error {
	const where = "mixed_precision"
	c := mixedConfig{Type: n.Value}
	if n.Kind != yaml.ScalarNode {
		if err := checkKeys(n, where, keysOf(&c)); err != nil {
			return err
		}
		if s := child(n, "loss_scale"); s != nil {
			if err := checkKeys(s, where+": loss_scale", keysOf(&scaleConfig{})); err != nil {
				return err
			}
		}
		if err := n.Decode(&c); err != nil {
			return err
		}
	}
	p := &train.MixedPrecision{}
	switch c.Type {
	case "bfloat16":
		p.Type = tensor.BFloat16
	case "float16":
		p.Type = tensor.Float16
	default:
		return fmt.Errorf("line %d: %s: type is %q, want bfloat16 or float16", n.Line, where, c.Type)
	}
	if s := c.Scale; s != nil {
		p.Scale = train.LossScale(*s)
		if s.Initial == 0 {
			p.Scale.Initial = 65536 // asked for, which bfloat16 does without otherwise
		}
	}
	m.MixedPrecision = p
	return nil
}
