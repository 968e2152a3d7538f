package main

import (
	"context"
	"fmt"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/quantize"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
)

// qatConfig asks for quantisation-aware training: the model learns with the
// roundings of its integers and is written with these.
type qatConfig struct {
	Weights     string   `yaml:"weights"`     // int8 (default), uint8, int4, uint4, int16 or uint16
	Activations string   `yaml:"activations"` // uint8 (default), int8, uint16 or int16
	PerTensor   bool     `yaml:"per_tensor"`
	Exclude     []string `yaml:"exclude"`
	Samples     int      `yaml:"samples"` // of the training data, for the ranges of activations. 0: 256
}

// qatTypes are the integers by name.
var qatTypes = map[string]tensor.DType{"": tensor.Undefined, "int8": tensor.Int8, "uint8": tensor.Uint8, "int4": tensor.Int4, "uint4": tensor.Uint4,
	"int16": tensor.Int16, "uint16": tensor.Uint16}

// qat is quantisation-aware training of one model.
type qat struct {
	float  *onnx.Model // the model whose weights are trained
	ranges quantize.Ranges
	config quantize.StaticConfig
}

// newQAT prepares m, which is changed: BatchNormalization becomes part of the weights
// before it, Dropout goes.
func newQAT(ctx context.Context, m *onnx.Model, c *qatConfig, samples train.Dataset, threads int) (*qat, *onnx.Model, error) {
	fail := func(err error) (*qat, *onnx.Model, error) { return nil, nil, fmt.Errorf("qat: %w", err) }
	q := &qat{float: m}
	var ok [2]bool
	q.config.Weights, ok[0] = qatTypes[c.Weights]
	q.config.Activations, ok[1] = qatTypes[c.Activations]
	for i, name := range []string{c.Weights, c.Activations} {
		if !ok[i] {
			return fail(fmt.Errorf("there are no integers %q%s", name, didYouMean(name, namesOf(qatTypes)[1:])))
		}
	}
	q.config.PerTensor = c.PerTensor
	q.config.Selection.Exclude = c.Exclude
	if _, err := optimize.Run(m, optimize.Portable, optimize.Options{}); err != nil {
		return fail(err)
	}
	n := c.Samples
	if n == 0 {
		n = 256
	}
	var batches []data.Batch
	l := &train.Loader{Dataset: samples, BatchSize: 32, Shuffle: true, Seed: 1}
	for b, err := range l.Epoch(ctx, 0, 0) {
		if err != nil {
			return fail(err)
		}
		in := map[string]*tensor.Tensor{}
		for _, p := range data.InputsOf(m) {
			in[p.Name] = b[p.Name]
		}
		if batches = append(batches, data.Batch{Name: "training data", Inputs: in}); len(batches)*32 >= n {
			break
		}
	}
	var err error
	q.ranges, err = quantize.Calibrate(ctx, m, data.Of(batches...), quantize.CalibrateConfig{Values: quantize.Activations(m, q.config), Threads: threads})
	if err != nil {
		return fail(err)
	}
	fake, s, err := quantize.FakeQuantized(m, q.ranges, q.config)
	if err != nil {
		return fail(err)
	}
	if s.Changed() == 0 {
		reason := "the model has no products"
		if len(s.Changes) > 0 {
			reason = fmt.Sprintf("%s: %s", s.Changes[0].Node, s.Changes[0].Reason)
		}
		return fail(fmt.Errorf("there is nothing to quantise: %s", reason))
	}
	return q, fake, nil
}

// integers returns the model with the weights of trained, quantised.
func (q *qat) integers(trained *onnx.Model) (*onnx.Model, error) {
	m, err := quantize.WithWeights(q.float, trained)
	if err != nil {
		return nil, err
	}
	_, err = quantize.Static(m, q.ranges, q.config)
	return m, err
}
