// Command textclassifier trains a recurrent network to tell praise from blame in
// short texts, writes it as ONNX, and classifies texts with the file.
//
//	go run ./examples/textclassifier -o reviews.onnx
//	echo 'the plot was not very dapu' | go run ./examples/textclassifier -classify reviews.onnx
//
// The corpus comes along as a generator (corpus.go); -print 10 shows some of it.
//
// # How
//
// Words become ids by a vocabulary of the 10,000 most frequent words of the training texts; 0
// fills texts up to the same length, 1 is any other word. The network is
// the one of the textbooks: Embedding(10000, 128), RNN(128), Linear(1) on the
// last state, binary cross entropy of the logit, Adam at 0.001, ten epochs.
//
// A plain RNN forgets, and its gradients vanish: with PyTorch's first values by
// a factor of about 0.6 a step. The usual remedies keep it learning. Texts are filled up in
// front, so that the last state is that behind the last word. The recurrent
// weight begins as 0.9 times the identity (Le, Jaitly and Hinton, A simple way to
// initialize recurrent networks of rectified linear units, 2015): a word counts for
// about the same wherever it stands. The embedding begins small, or the noise of
// words that say nothing would be learnt by heart first. And the norm of the
// gradients is bounded by 1.
//
// The model with the best validation loss is kept. Its file holds the
// vocabulary as metadata, so that it is all that classifying needs.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/gneiss-run/gneiss"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
	"github.com/gneiss-run/gneiss/train/nn"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second signal has its default effect
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "textclassifier:", err)
		os.Exit(1)
	}
}

const (
	padding = 0  // the id that fills texts up
	unknown = 1  // the id of words that are not in the vocabulary
	length  = 64 // words of a text that are read: the last ones
)

// Keys of the model's metadata.
const (
	vocabularyKey = "vocabulary" // words by id, one a line
	classesKey    = "classes"
)

// options are the flags.
type options struct {
	texts, epochs, vocabulary, width, threads int
	seed                                      uint64
	bag                                       bool
	output                                    string
}

// run is the program.
func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	var o options
	fs := flag.NewFlagSet("textclassifier", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are returned, the usage is printed below
	fs.StringVar(&o.output, "o", "reviews.onnx", "`file` to write the model to")
	fs.IntVar(&o.texts, "texts", 16000, "size of the corpus; 80% are for training, 10% each for validation and testing")
	fs.IntVar(&o.epochs, "epochs", 10, "passes over the training texts")
	fs.IntVar(&o.vocabulary, "vocabulary", 10000, "words that have an embedding")
	fs.IntVar(&o.width, "width", 128, "size of embeddings and of the network's state")
	fs.IntVar(&o.threads, "threads", 0, "threads, 0: one per CPU")
	fs.Uint64Var(&o.seed, "seed", 1, "decides the corpus, the first weights and the order of texts")
	fs.BoolVar(&o.bag, "bag", false, "train on the mean of the embeddings instead, which does not see the order of words")
	show := fs.Int("print", 0, "print that many texts and do nothing else")
	classify := fs.String("classify", "", "classify the lines of standard input with this model `file`")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stdout, "Usage: textclassifier [flags]")
		fs.SetOutput(stdout)
		fs.PrintDefaults()
		return nil
	} else if err != nil {
		return fmt.Errorf("%w; see -help", err)
	}
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("what is %q? see -help", fs.Arg(0))
	case o.texts < 100 || o.epochs < 1 || o.vocabulary < 3 || o.width < 1 || o.threads < 0:
		return errors.New("want -texts of at least 100, -epochs and -width of at least 1, -vocabulary of at least 3, -threads of at least 0")
	case *show > 0:
		for _, r := range corpus(o.seed, *show, noise) {
			fmt.Fprintf(stdout, "%s\t%s\n", class(r.positive), r.text)
		}
		return nil
	case *classify != "":
		return classifyLines(ctx, *classify, o.threads, stdin, stdout)
	}
	return learn(ctx, o, stdout)
}

// noise is the share of wrong labels in the corpus.
const noise = 0.02

func class(positive bool) string {
	if positive {
		return "positive"
	}
	return "negative"
}

// learn trains, evaluates and exports a model, and evaluates the file.
func learn(ctx context.Context, o options, stdout io.Writer) error {
	texts := corpus(o.seed, o.texts, noise)
	part := len(texts) / 10
	training, validation, testing := texts[2*part:], texts[:part], texts[part:2*part]
	words := vocabulary(training, o.vocabulary)
	sets := make([]train.Dataset, 3)
	for i, s := range [][]review{training, validation, testing} {
		var err error
		if sets[i], err = dataset(s, ids(words)); err != nil {
			return err
		}
	}
	m, err := network(o)
	if err != nil {
		return err
	}
	t, err := train.New(m, train.Config{
		Loss: train.BCEWithLogits{}, Optimizer: train.Adam{LR: 0.001}, ClipNorm: 1, Seed: o.seed, Threads: o.threads,
	})
	if err != nil {
		return err
	}
	defer t.Close()
	accuracy := &train.Accuracy{}
	_, err = t.Fit(ctx, train.FitOptions{
		Train:      &train.Loader{Dataset: sets[0], Shuffle: true, Seed: o.seed},
		Validation: &train.Loader{Dataset: sets[1], BatchSize: 256},
		Epochs:     o.epochs, Metrics: []train.Metric{accuracy},
		Patience: o.epochs, // never ends early, but has the best epoch's parameters kept
		OnEpoch: func(p *train.Progress) error {
			e := p.History[len(p.History)-1]
			_, err := fmt.Fprintf(stdout, "epoch %d/%d: loss %.4f, validation %.4f, accuracy %.4f, %.1f s\n",
				e.Epoch, p.Epochs, e.TrainLoss, *e.ValidationLoss, e.Metrics["accuracy"], e.Seconds)
			return err
		},
	})
	if err != nil {
		return err
	}
	loss, err := t.Validate(ctx, &train.Loader{Dataset: sets[2], BatchSize: 256}, []train.Metric{accuracy, &train.AUC{}})
	if err != nil {
		return err
	}
	sample, err := sets[2].Batch(ctx, []int{0, 1, 2})
	if err != nil {
		return err
	}
	out, err := t.Export(ctx, train.ExportOptions{Inputs: sample, Metadata: []onnx.Prop{
		{Key: vocabularyKey, Value: strings.Join(words, "\n")}, {Key: classesKey, Value: "negative,positive"},
	}})
	if err != nil {
		return err
	}
	if err := onnx.Save(out, o.output, onnx.SaveOptions{}); err != nil {
		return err
	}

	// The file is what counts: it alone must give the same accuracy.
	c, err := openClassifier(o.output, o.threads)
	if err != nil {
		return err
	}
	defer c.Close()
	right := 0
	for batch := range slices.Chunk(testing, 256) {
		lines := make([]string, len(batch))
		for i, r := range batch {
			lines[i] = r.text
		}
		p, err := c.classify(ctx, lines)
		if err != nil {
			return err
		}
		for i, r := range batch {
			if p[i] > 0.5 == r.positive {
				right++
			}
		}
	}
	fmt.Fprintf(stdout, "test: loss %.4f, accuracy %.4f; %s: accuracy %.4f\n", loss, accuracy.Value(), o.output, float64(right)/float64(len(testing)))
	return nil
}

// network is the model as inference uses it, with first parameters.
func network(o options) (*onnx.Model, error) {
	body := nn.Layer(nn.Recurrent{Kind: "RNN", Hidden: o.width, Last: true, HiddenInit: nn.Eye(0.9)})
	if o.bag {
		body = nn.Func(func(s *nn.Scope, x *onnx.Value) *onnx.Value {
			return s.Op("ReduceMean", onnx.NewAttrs("keepdims", 0), x, s.Ints(1))
		})
	}
	words := nn.Input{Name: "words", DType: tensor.Int64, Dims: []onnx.Dim{onnx.Name("batch"), onnx.Name("length")}}
	return nn.Build(o.seed, []nn.Input{words}, func(s *nn.Scope, in []*onnx.Value) []nn.Output {
		x := s.Apply("embedding", nn.Embedding{Num: o.vocabulary, Dim: o.width, Init: nn.Normal(0, 0.03)}, in[0])
		x = s.Apply("rnn", body, x)
		return []nn.Output{{Name: "logit", Value: s.Apply("fc", nn.Linear{Out: 1}, x)}}
	})
}

// vocabulary returns the most frequent words of texts, by id, at most n with
// the names of the ids that are no words.
func vocabulary(texts []review, n int) []string {
	count := map[string]int{}
	for _, r := range texts {
		for _, w := range strings.Fields(r.text) {
			count[w]++
		}
	}
	words := slices.Sorted(maps.Keys(count))
	slices.SortStableFunc(words, func(a, b string) int { return count[b] - count[a] })
	words = append([]string{"<padding>", "<unknown>"}, words...)
	return words[:min(n, len(words))]
}

// ids returns the id of each word.
func ids(words []string) map[string]int64 {
	out := make(map[string]int64, len(words))
	for i, w := range words {
		out[w] = int64(i)
	}
	return out
}

// encode writes the ids of text's last words to the end of row.
func encode(text string, id map[string]int64, row []int64) {
	words := strings.Fields(strings.ToLower(text))
	words = words[max(0, len(words)-len(row)):]
	first := len(row) - len(words)
	for i := range first {
		row[i] = padding
	}
	for i, w := range words {
		k, ok := id[w]
		if !ok {
			k = unknown
		}
		row[first+i] = k
	}
}

// dataset returns texts as ids and targets.
func dataset(texts []review, id map[string]int64) (train.Dataset, error) {
	x, y := make([]int64, len(texts)*length), make([]float32, len(texts))
	for i, r := range texts {
		encode(r.text, id, x[i*length:(i+1)*length])
		if r.positive {
			y[i] = 1
		}
	}
	return train.NewArrays(map[string]*tensor.Tensor{"words": tensor.Of(x, len(texts), length), "target": tensor.Of(y, len(texts), 1)})
}

// classifier is a model from a file.
type classifier struct {
	*gneiss.Session
	id map[string]int64
}

func openClassifier(path string, threads int) (*classifier, error) {
	s, err := gneiss.Open(path, gneiss.Options{Threads: threads})
	if err != nil {
		return nil, err
	}
	for _, p := range s.Metadata().Metadata {
		if p.Key == vocabularyKey {
			return &classifier{s, ids(strings.Split(p.Value, "\n"))}, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("%s has no vocabulary: was it written by this program?", path), s.Close())
}

// classify returns for each text the probability that it is positive.
func (c *classifier) classify(ctx context.Context, texts []string) ([]float64, error) {
	x := make([]int64, len(texts)*length)
	for i, t := range texts {
		encode(t, c.id, x[i*length:(i+1)*length])
	}
	out, err := c.Run(ctx, map[string]gneiss.Value{"words": gneiss.NewTensor(x, len(texts), length)})
	if err != nil {
		return nil, err
	}
	p := make([]float64, len(texts))
	for i, v := range gneiss.Data[float32](out["logit"].(*gneiss.Tensor)) {
		p[i] = 1 / (1 + math.Exp(-float64(v)))
	}
	return p, nil
}

// classifyLines answers each line with its class and the probability of it.
func classifyLines(ctx context.Context, path string, threads int, in io.Reader, out io.Writer) (err error) {
	c, err := openClassifier(path, threads)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p, err := c.classify(ctx, []string{lines.Text()})
		if err != nil {
			return err
		}
		positive := p[0] > 0.5
		if _, err := fmt.Fprintf(out, "%s\t%.3f\n", class(positive), max(p[0], 1-p[0])); err != nil {
			return err
		}
	}
	return lines.Err()
}
