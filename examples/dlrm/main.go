// Command dlrm trains a recommender on clicks: the probability that a user clicks at
// an item, from numbers and categories.
//
//	go run ./examples/dlrm -o clicks.onnx
//
// The clicks come along as a generator (clicks.go), whose hidden model tells how
// good any model can be: loss and AUC of the true probabilities are printed
// beside the trained model's. The network is nn.DLRM: embeddings of user, item and
// hour, a perceptron on the numbers, the products of all of these in pairs and a
// perceptron on top. The model with the best validation loss is kept.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/train"
	"github.com/gneiss-run/gneiss/train/nn"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second signal has its default effect
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "dlrm:", err)
		os.Exit(1)
	}
}

// run is the program.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("dlrm", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are returned, the usage is printed below
	output := fs.String("o", "clicks.onnx", "`file` to write the model to")
	n := fs.Int("clicks", 200000, "how many views there are; 80% are for training, 10% each for validation and testing")
	epochs := fs.Int("epochs", 8, "passes over them")
	threads := fs.Int("threads", 0, "threads, 0: one per CPU")
	seed := fs.Uint64("seed", 1, "decides the clicks, the first weights and the order")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stdout, "Usage: dlrm [flags]")
		fs.SetOutput(stdout)
		fs.PrintDefaults()
		return nil
	} else if err != nil {
		return fmt.Errorf("%w; see -help", err)
	}
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("what is %q? see -help", fs.Arg(0))
	case *n < 1000 || *epochs < 1 || *threads < 0:
		return errors.New("want -clicks of at least 1000, -epochs of at least 1, -threads of at least 0")
	}
	all := newClicks(*seed, *n)
	index := make([]int, *n)
	for i := range index {
		index[i] = i
	}
	part := *n / 10
	first := *n - 2*part
	training, validation, testing := train.Subset(all, index[:first]), train.Subset(all, index[first:first+part]), train.Subset(all, index[first+part:])

	m, err := nn.Build(*seed, []nn.Input{nn.Floats("numbers", numbers), nn.Ints("categories", len(sizes))}, func(s *nn.Scope, in []*onnx.Value) []nn.Output {
		return []nn.Output{{Name: "logit", Value: nn.DLRM{Categories: sizes, Dim: 8, Bottom: []int{32}, Top: []int{64}}.Apply(s, in[0], in[1])}}
	})
	if err != nil {
		return err
	}
	t, err := train.New(m, train.Config{
		Loss: train.BCEWithLogits{}, Optimizer: train.AdamW{LR: 0.003, WeightDecay: 0.05}, Schedule: train.Cosine{Min: 0.05}, Seed: *seed, Threads: *threads,
	})
	if err != nil {
		return err
	}
	defer t.Close()
	auc := &train.AUC{}
	_, err = t.Fit(ctx, train.FitOptions{
		Train: &train.Loader{Dataset: training, BatchSize: 256, Shuffle: true, Seed: *seed}, Validation: &train.Loader{Dataset: validation, BatchSize: 1024},
		Epochs: *epochs, Metrics: []train.Metric{auc}, Patience: *epochs, // never ends early, but has the best epoch's parameters kept
		OnEpoch: func(p *train.Progress) error {
			e := p.History[len(p.History)-1]
			_, err := fmt.Fprintf(stdout, "epoch %d/%d: loss %.4f, validation %.4f, AUC %.4f\n", e.Epoch, p.Epochs, e.TrainLoss, *e.ValidationLoss, e.Metrics["auc"])
			return err
		},
	})
	if err != nil {
		return err
	}
	loss, err := t.Validate(ctx, &train.Loader{Dataset: testing, BatchSize: 1024}, []train.Metric{auc})
	if err != nil {
		return err
	}
	least, best, err := all.best(first + part)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(stdout, "test: loss %.4f, AUC %.4f; true probabilities: loss %.4f, AUC %.4f\n", loss, auc.Value(), least, best); err != nil {
		return err
	}
	sample, err := testing.Batch(ctx, []int{0, 1, 2})
	if err != nil {
		return err
	}
	out, err := t.Export(ctx, train.ExportOptions{Inputs: sample})
	if err != nil {
		return err
	}
	return onnx.Save(out, *output, onnx.SaveOptions{})
}
