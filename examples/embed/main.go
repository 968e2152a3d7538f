// Command embed turns sentences into vectors with a sentence transformer, such
// as all-MiniLM-L6-v2 exported to ONNX, and says how close they are in meaning.
// A sentence is a line of token ids; a tokenizer turns words into ids.
//
//	printf '101 7592 2088 102\n101 7592 3011 2045 102\n' | go run ./examples/embed -model minilm.onnx
//
// Lines come from the files that are named, or from standard input. The answer
// is a matrix: the cosine similarity of each sentence with each, in the order of
// the lines, 1.0000 for the same meaning. With -vectors the program prints the vectors instead, a JSON array on
// each line, of length 1, so that their dot product is the cosine.
//
// # How
//
// Sentences go through the model -batch at a time: shorter ones are filled up
// with -pad, and attention_mask is 0 there. The model's last_hidden_state has a
// vector for each token; the vector of the sentence is their mean, over the
// tokens where the mask is 1, scaled to length 1. An output of one vector for
// each sentence, [N,D], is only scaled (-output sentence_embedding). To keep the
// filling small, sentences of similar length share a batch.
//
// Inputs are found by name: input_ids, and where the model has them
// attention_mask and token_type_ids (all 0); int64 or int32. Without an
// attention_mask sentences run one by one, as filling would change the result.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/gneiss-run/gneiss"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second signal has its default effect
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

// run is the program.
func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) (err error) {
	fs := flag.NewFlagSet("embed", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are returned, the usage is printed below
	var (
		model   = fs.String("model", "", "ONNX `file` (required)")
		output  = fs.String("output", "", "`name` of the output (default last_hidden_state, or else the first)")
		batch   = fs.Int("batch", 16, "how many sentences a run takes at most")
		pad     = fs.Int("pad", 0, "token `id` that fills up shorter sentences")
		vectors = fs.Bool("vectors", false, "print the vectors instead of similarities")
		threads = fs.Int("threads", 0, "threads of a run, 0: one per CPU")
	)
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stdout, "Usage: embed -model FILE [flags] [FILE of token ids…]")
		fs.SetOutput(stdout)
		fs.PrintDefaults()
		return nil
	} else if err != nil {
		return fmt.Errorf("%w; see -help", err)
	}
	switch {
	case *model == "":
		return errors.New("-model is missing: the ONNX file of a sentence transformer")
	case *batch < 1 || *pad < 0 || *pad > math.MaxInt32 || *threads < 0:
		return errors.New("-batch must be above 0, -pad and -threads not below")
	}
	sentences, err := read(fs.Args(), stdin)
	if err != nil {
		return err
	}
	if len(sentences) == 0 {
		return errors.New("no sentences; want token ids, a sentence on each line")
	}
	s, err := gneiss.Open(*model, gneiss.Options{Threads: *threads})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	e, err := newEmbedder(s, *output, *pad)
	if err != nil {
		return fmt.Errorf("%s: %w", *model, err)
	}
	vs, err := embedAll(ctx, e, sentences, *batch)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(stdout)
	if *vectors {
		enc := json.NewEncoder(w)
		for _, v := range vs {
			if err := enc.Encode(v); err != nil {
				return err
			}
		}
	} else {
		for _, a := range vs {
			for i, b := range vs {
				if i > 0 {
					fmt.Fprint(w, " ")
				}
				fmt.Fprintf(w, "%7.4f", dot(a, b))
			}
			fmt.Fprintln(w)
		}
	}
	return w.Flush()
}

// embedAll returns the vector of each sentence, in their order.
func embedAll(ctx context.Context, e *embedder, sentences [][]int, batch int) ([][]float32, error) {
	if e.mask == nil {
		batch = 1
	}
	order := make([]int, len(sentences))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(sentences[a]), len(sentences[b])) })
	out := make([][]float32, len(sentences))
	for part := range slices.Chunk(order, batch) {
		in := make([][]int, len(part))
		for i, j := range part {
			in[i] = sentences[j]
		}
		vs, err := e.embed(ctx, in)
		if err != nil {
			return nil, err
		}
		for i, j := range part {
			out[j] = vs[i]
		}
	}
	return out, nil
}

// dot is the cosine similarity of vectors of length 1.
func dot(a, b []float32) float64 {
	sum := 0.0
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	return sum
}

// read reads the sentences of the files, or of stdin if there are none. Empty
// lines are left out.
func read(files []string, stdin io.Reader) ([][]int, error) {
	if len(files) == 0 {
		return readFrom("standard input", stdin)
	}
	var out [][]int
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		lines, err := readFrom(name, f)
		f.Close()
		if err != nil {
			return nil, err
		}
		out = append(out, lines...)
	}
	return out, nil
}

func readFrom(name string, r io.Reader) ([][]int, error) {
	var out [][]int
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for n := 1; lines.Scan(); n++ {
		var ids []int
		for _, f := range strings.FieldsFunc(lines.Text(), func(r rune) bool { return strings.ContainsRune(", \t\r", r) }) {
			id, err := strconv.ParseInt(f, 10, 32)
			if err != nil || id < 0 {
				return nil, fmt.Errorf("%s:%d: %q is not a token id", name, n, f)
			}
			ids = append(ids, int(id))
		}
		if len(ids) > 0 {
			out = append(out, ids)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}
