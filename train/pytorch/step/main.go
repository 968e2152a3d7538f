// Command step trains an ONNX model, or a network that it builds, on batches that compare.py gives, and writes
// what compare.py holds against PyTorch: the gradients of the first batch, the
// losses of all steps, and the trained model in several opsets.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
)

func main() {
	var j job
	flag.StringVar(&j.model, "model", "", "the ONNX `file` to train")
	flag.StringVar(&j.family, "family", "", "the `name` of a network to build and train, in place of -model")
	flag.StringVar(&j.batches, "batches", "", "an .npz `file` of the inputs and the target, with all batches along the first dimension")
	flag.StringVar(&j.loss, "loss", "cross_entropy", "cross_entropy, bce_with_logits or mse")
	flag.StringVar(&j.optimizer, "optimizer", "adam", "adam, adamw or sgd")
	flag.Float64Var(&j.rate, "lr", 1e-3, "the learning rate")
	flag.StringVar(&j.opsets, "opsets", "13,17,20", "opsets to export, in a comma-separated `list`")
	flag.StringVar(&j.mixed, "mixed", "", "the `type` of mixed precision, bfloat16 or float16; empty: none")
	flag.StringVar(&j.out, "out", "", "the `folder` to write to")
	flag.Parse()
	if err := j.run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "step:", err)
		os.Exit(1)
	}
}

// job is one run of the command.
type job struct {
	model, family, batches, loss, optimizer, opsets, mixed, out string
	rate                                                        float64
}

// report is what result.json holds.
type report struct {
	Losses []float64 `json:"losses"`
	// Exports has "" for each opset that was written, or why it was not.
	Exports map[string]string `json:"exports"`
}

func (j *job) run(ctx context.Context) error {
	var m *onnx.Model
	var err error
	if j.family != "" {
		m, j.loss, err = build(j.family)
	} else {
		m, err = onnx.Open(j.model, onnx.DecodeOptions{})
	}
	if err != nil {
		return err
	}
	batches, err := readBatches(j.batches)
	if err != nil {
		return err
	}
	if err := j.gradients(ctx, m, batches[0]); err != nil {
		return err
	}
	o, err := j.optimizerOf()
	if err != nil {
		return err
	}
	tr, err := j.trainer(m, o)
	if err != nil {
		return err
	}
	defer tr.Close()
	r := report{Exports: map[string]string{}}
	for _, b := range batches {
		loss, err := tr.Step(ctx, b)
		if err != nil {
			return err
		}
		r.Losses = append(r.Losses, loss)
	}
	y, err := tr.Evaluate(ctx, batches[0])
	if err != nil {
		return err
	}
	if err := writeNPZ(filepath.Join(j.out, "outputs.npz"), y); err != nil {
		return err
	}
	for v := range strings.SplitSeq(j.opsets, ",") {
		if v == "" {
			continue
		}
		r.Exports[v] = ""
		if err := j.export(ctx, tr, v, batches[0]); err != nil {
			r.Exports[v] = err.Error()
		}
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(j.out, "result.json"), text, 0o644)
}

func (j *job) trainer(m *onnx.Model, o train.Optimizer) (*train.Trainer, error) {
	losses := map[string]train.Loss{"cross_entropy": train.CrossEntropy{}, "bce_with_logits": train.BCEWithLogits{}, "mse": train.MSE{}}
	l := losses[j.loss]
	if l == nil {
		return nil, fmt.Errorf("there is no loss %q", j.loss)
	}
	c := train.Config{Loss: l, Optimizer: o}
	switch j.mixed {
	case "":
	case "bfloat16":
		c.MixedPrecision = &train.MixedPrecision{Type: tensor.BFloat16}
	case "float16":
		c.MixedPrecision = &train.MixedPrecision{Type: tensor.Float16}
	default:
		return nil, fmt.Errorf("mixed precision of %q, want bfloat16 or float16", j.mixed)
	}
	return train.New(m, c)
}

func (j *job) optimizerOf() (train.Optimizer, error) {
	switch j.optimizer {
	case "adam":
		return train.Adam{LR: j.rate}, nil
	case "adamw":
		return train.AdamW{LR: j.rate, WeightDecay: 0.01}, nil
	case "sgd":
		return train.SGD{LR: j.rate, Momentum: 0.9}, nil
	}
	return nil, fmt.Errorf("there is no optimizer %q", j.optimizer)
}

// gradients writes the gradient of each parameter by its name.
func (j *job) gradients(ctx context.Context, m *onnx.Model, batch map[string]*tensor.Tensor) error {
	tr, err := j.trainer(m, reveal{})
	if err != nil {
		return err
	}
	defer tr.Close()
	if _, err := tr.Step(ctx, batch); err != nil {
		return err
	}
	grads, trained := map[string]*tensor.Tensor{}, map[string]bool{}
	for _, name := range tr.Names() {
		trained[name] = true
	}
	for _, v := range tr.Model().Graph.Consts {
		if trained[v.Name] {
			grads[v.Name] = v.Const
		}
	}
	return writeNPZ(filepath.Join(j.out, "gradients.npz"), grads)
}

func (j *job) export(ctx context.Context, tr *train.Trainer, opset string, samples map[string]*tensor.Tensor) error {
	v, err := strconv.Atoi(opset)
	if err != nil {
		return err
	}
	m, err := tr.Export(ctx, train.ExportOptions{Opset: v, Inputs: samples})
	if err != nil {
		return err
	}
	return onnx.Save(m, filepath.Join(j.out, "opset-"+opset+".onnx"), onnx.SaveOptions{})
}

// reveal is an optimizer after whose step the parameters are their gradients.
type reveal struct{}

func (reveal) Rate() float64  { return 1 }
func (reveal) Decay() float64 { return 0 }
func (reveal) Memories() int  { return 0 }
func (reveal) Step(u *train.Update) (*onnx.Value, []*onnx.Value) {
	return u.Grad, nil
}

// readBatches reads tensors whose first dimension counts batches.
func readBatches(path string) ([]map[string]*tensor.Tensor, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	all, err := tensor.ReadNPZ(f, st.Size(), 1<<30)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var out []map[string]*tensor.Tensor
	for _, a := range all {
		if a.Tensor.Rank() == 0 || a.Tensor.Len() == 0 {
			return nil, fmt.Errorf("%s: %q is %v, want a dimension of batches", path, a.Name, a.Tensor)
		}
		shape := a.Tensor.Shape()
		if out == nil {
			out = make([]map[string]*tensor.Tensor, shape[0])
			for i := range out {
				out[i] = map[string]*tensor.Tensor{}
			}
		}
		if shape[0] != len(out) {
			return nil, fmt.Errorf("%s: %q has %d batches, others have %d", path, a.Name, shape[0], len(out))
		}
		size := len(a.Tensor.Bytes()) / shape[0]
		for i := range out {
			x := tensor.New(a.Tensor.DType(), shape[1:]...)
			copy(x.Bytes(), a.Tensor.Bytes()[i*size:(i+1)*size])
			out[i][a.Name] = x
		}
	}
	if out == nil {
		return nil, fmt.Errorf("%s has no arrays", path)
	}
	return out, nil
}

func writeNPZ(path string, m map[string]*tensor.Tensor) error {
	var all []tensor.Named
	for name, x := range m {
		all = append(all, tensor.Named{Name: name, Tensor: x})
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := tensor.WriteNPZ(f, all); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
