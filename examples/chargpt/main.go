// Command chargpt trains a small GPT to continue a text character by character,
// writes it as ONNX, and writes text with the file.
//
//	go run ./examples/chargpt -o opticks.onnx
//	go run ./examples/chargpt -sample opticks.onnx -prompt 'The light of the Sun '
//
// The text is Newton's Opticks, in the public domain, which comes along with Go:
// $(go env GOROOT)/src/testdata. -text reads any other.
//
// # How
//
// A token is a byte; the vocabulary is the bytes of the text. The last tenth is for
// validation. Training samples are windows of -context characters that overlap by half, and what
// follows each of their characters. AdamW has a rate that warms up and falls
// along a cosine, and the norm of the gradients is bounded by 1.
//
// -dump writes what a run needs to be done again elsewhere: the first weights, all
// batches and the settings. train/pytorch/chargpt.py does it again in PyTorch.
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
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
	"github.com/gneiss-run/gneiss/train/nn"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second signal has its default effect
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "chargpt:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	text, output, dump                                    string
	limit, context, width, layers, heads, epochs, threads int
	rate                                                  float64
	seed                                                  uint64
}

const (
	batchSize = 32
	warmup    = 0.05 // the share of all steps in which the rate rises
	decay     = 0.01
	clipNorm  = 1
)

// run is the program.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	var o options
	fs := flag.NewFlagSet("chargpt", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are returned, the usage is printed below
	fs.StringVar(&o.text, "text", "", "`file` to learn from; none: Opticks, of Go's source")
	fs.IntVar(&o.limit, "limit", 0, "read only that many bytes of it, 0: all")
	fs.StringVar(&o.output, "o", "chargpt.onnx", "`file` to write the model to")
	fs.StringVar(&o.dump, "dump", "", ".npz `file` to write first weights and batches to")
	fs.IntVar(&o.context, "context", 64, "characters that the model sees")
	fs.IntVar(&o.width, "width", 96, "size of the embeddings")
	fs.IntVar(&o.layers, "layers", 3, "layers")
	fs.IntVar(&o.heads, "heads", 4, "heads of attention, which divide -width")
	fs.IntVar(&o.epochs, "epochs", 2, "passes over the text")
	fs.IntVar(&o.threads, "threads", 0, "threads, 0: one per CPU")
	fs.Float64Var(&o.rate, "rate", 0.002, "the highest learning rate")
	fs.Uint64Var(&o.seed, "seed", 1, "decides the first weights and the order of windows, and what -sample writes")
	from := fs.String("sample", "", "write text with this model `file`")
	prompt := fs.String("prompt", "\n", "what the written text begins with")
	length := fs.Int("length", 500, "characters to write")
	temperature := fs.Float64("temperature", 0.8, "below 1: more likely characters; above: more daring ones")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stdout, "Usage: chargpt [flags]")
		fs.SetOutput(stdout)
		fs.PrintDefaults()
		return nil
	} else if err != nil {
		return fmt.Errorf("%w; see -help", err)
	}
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("what is %q? see -help", fs.Arg(0))
	case o.context < 2 || o.width < 1 || o.layers < 1 || o.heads < 1 || o.width%o.heads != 0 || o.epochs < 1 || o.threads < 0 || o.limit < 0:
		return errors.New("want -context of at least 2, -width a multiple of -heads, -layers, -heads and -epochs of at least 1, -limit and -threads of at least 0")
	case !(o.rate > 0) || !(*temperature > 0) || *length < 0:
		return errors.New("want -rate and -temperature above 0, -length of at least 0")
	case *from != "":
		return sample(ctx, *from, *prompt, *length, *temperature, o.seed, o.threads, stdout)
	}
	return learn(ctx, o, stdout)
}

// learn trains and exports a model.
func learn(ctx context.Context, o options, stdout io.Writer) error {
	c, err := readCorpus(o)
	if err != nil {
		return err
	}
	m, err := network(o, len(c.vocabulary))
	if err != nil {
		return err
	}
	training := &train.Loader{Dataset: c.training, BatchSize: batchSize, Shuffle: true, DropLast: true, Seed: o.seed}
	validation := &train.Loader{Dataset: c.validation, BatchSize: batchSize}
	if training.Len() == 0 {
		return fmt.Errorf("%s: %d bytes make no batch of %d windows of %d characters", c.path, c.size, batchSize, o.context)
	}
	if o.dump != "" {
		if err := dump(ctx, o, m, training, validation); err != nil {
			return err
		}
	}
	t, err := train.New(m, train.Config{
		Loss: train.CrossEntropy{}, Optimizer: train.AdamW{LR: o.rate, WeightDecay: decay}, Schedule: train.Cosine{Warmup: warmup},
		ClipNorm: clipNorm, Seed: o.seed, Threads: o.threads,
	})
	if err != nil {
		return err
	}
	defer t.Close()
	_, err = t.Fit(ctx, train.FitOptions{Train: training, Validation: validation, Epochs: o.epochs, OnEpoch: func(p *train.Progress) error {
		e := p.History[len(p.History)-1]
		_, err := fmt.Fprintf(stdout, "epoch %d/%d: loss %.4f, validation %.4f, %.1f s\n", e.Epoch, p.Epochs, e.TrainLoss, *e.ValidationLoss, e.Seconds)
		return err
	}})
	if err != nil {
		return err
	}
	batch, err := c.validation.Batch(ctx, []int{0})
	if err != nil {
		return err
	}
	out, err := t.Export(ctx, train.ExportOptions{Inputs: batch, Metadata: []onnx.Prop{
		{Key: vocabularyKey, Value: fmt.Sprintf("%x", c.vocabulary)}, {Key: contextKey, Value: fmt.Sprint(o.context)},
	}})
	if err != nil {
		return err
	}
	return onnx.Save(out, o.output, onnx.SaveOptions{})
}

// network is the model as inference uses it, with first parameters.
func network(o options, vocabulary int) (*onnx.Model, error) {
	in := nn.Input{Name: "x", DType: tensor.Int64, Dims: []onnx.Dim{onnx.Name("batch"), onnx.Name("time")}}
	body := nn.Transformer{Vocab: vocabulary, Max: o.context, Dim: o.width, Layers: o.layers, Heads: o.heads}
	return nn.Build(o.seed, []nn.Input{in}, func(s *nn.Scope, x []*onnx.Value) []nn.Output {
		return []nn.Output{{Name: "logits", Value: s.Apply("gpt", nn.GPT{Transformer: body}, x[0])}}
	})
}
