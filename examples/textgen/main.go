// Command textgen continues a text with a language model: a decoder of the
// GPT-2 or Llama kind, exported to ONNX with its key-value cache as inputs and
// outputs. Text is token ids, in and out; a tokenizer turns words into ids.
//
//	go run ./examples/textgen -model gpt2.onnx -tokens 464,3290,318 -n 20
//
// Tokens are printed as they come, and at the end, on standard error, how many a
// second the prompt and the new text took. Without -temperature the most likely
// token is taken each time; with it one is drawn, among the -top-k most likely
// ones if that is set, and the same -seed draws the same text again. The program
// ends after -n tokens, at a token of -end (which is printed), or when it is
// interrupted.
//
// # The model
//
// Inputs and outputs are found by the names that exporters give them:
//
//	input_ids                 int64 or int32 [1,S]: the tokens of this step
//	attention_mask, optional  [1,P+S]: ones
//	position_ids, optional    [1,S]: P, P+1, …
//	past_key_values.0.key, …  the cache: P tokens, none at first
//	logits                    float [1,S,vocabulary]
//	present.0.key, …          the cache with the S new tokens
//
// A past input and its present output have the same name after that prefix.
// Models without cache work too, more slowly: every step computes all tokens,
// which is also what -no-cache does.
//
// # What it shows
//
// The first run takes the whole prompt (prefill), every further one a single
// token: sizes may differ from run to run, and a size may be 0. The outputs of a
// run belong to the caller, so that the cache goes back in as it came out,
// without a copy. Tensors are made for the type that the model declares.
package main

import (
	"context"
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
	"time"

	"github.com/gneiss-run/gneiss"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second signal has its default effect
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "textgen:", err)
		os.Exit(1)
	}
}

// run is the program: tokens go to stdout, timings to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	fs := flag.NewFlagSet("textgen", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are returned, the usage is printed below
	var (
		model   = fs.String("model", "", "ONNX `file` (required)")
		tokens  = fs.String("tokens", "", "the prompt: token `ids` with commas or spaces between (required)")
		n       = fs.Int("n", 20, "how many tokens to generate at most")
		temp    = fs.Float64("temperature", 0, "0: always the most likely token; else one is drawn, the higher the freer")
		topK    = fs.Int("top-k", 0, "draw among this many most likely tokens, 0: among all")
		seed    = fs.Uint64("seed", 1, "what draws depend on")
		end     = fs.String("end", "", "token `ids` that end the text")
		noCache = fs.Bool("no-cache", false, "compute all tokens again at each step")
		threads = fs.Int("threads", 0, "threads of a run, 0: one per CPU")
	)
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stdout, "Usage: textgen -model FILE -tokens IDS [flags]")
		fs.SetOutput(stdout)
		fs.PrintDefaults()
		return nil
	} else if err != nil {
		return fmt.Errorf("%w; see -help", err)
	}
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("unexpected argument %q; flags only, see -help", fs.Arg(0))
	case *model == "":
		return errors.New("-model is missing: the ONNX file of a decoder")
	case *n < 1 || *topK < 0 || *threads < 0:
		return errors.New("-n must be above 0, -top-k and -threads not below")
	case !(*temp >= 0) || math.IsInf(*temp, 0):
		return fmt.Errorf("-temperature %v is not a number from 0 up", *temp)
	case *topK > 0 && *temp == 0:
		return errors.New("-top-k needs a -temperature above 0: without one nothing is drawn")
	}
	prompt, err := ids(*tokens)
	if err != nil {
		return fmt.Errorf("-tokens: %w", err)
	}
	if len(prompt) == 0 {
		return errors.New("-tokens is missing: at least one token id")
	}
	stops, err := ids(*end)
	if err != nil {
		return fmt.Errorf("-end: %w", err)
	}
	s, err := gneiss.Open(*model, gneiss.Options{Threads: *threads})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	d, err := newDecoder(s, !*noCache)
	if err != nil {
		return fmt.Errorf("%s: %w", *model, err)
	}

	pick := newSampler(*temp, *topK, *seed)
	start := time.Now()
	var first time.Time // when the prompt was computed
	count := 0
	err = d.generate(ctx, prompt, pick, func(token int) bool {
		if count == 0 {
			first = time.Now()
		} else {
			fmt.Fprint(stdout, " ")
		}
		fmt.Fprint(stdout, token)
		count++
		return count < *n && !slices.Contains(stops, token)
	})
	if count > 0 {
		fmt.Fprintln(stdout)
		fmt.Fprintf(stderr, "prompt %s, then %s\n", rate(len(prompt), first.Sub(start)), rate(count-1, time.Since(first)))
	}
	if err != nil && count > 0 {
		return fmt.Errorf("after %d tokens: %w", count, err)
	}
	return err
}

// rate says how fast n tokens came.
func rate(n int, d time.Duration) string {
	s := fmt.Sprintf("%d tokens in %v", n, d.Round(time.Millisecond))
	if n > 0 && d > 0 {
		s += fmt.Sprintf(" (%.1f tokens/s)", float64(n)/d.Seconds())
	}
	return s
}

// ids reads token ids with commas or white space between.
func ids(s string) ([]int, error) {
	var out []int
	for _, f := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
		id, err := strconv.ParseInt(f, 10, 32)
		if err != nil || id < 0 {
			return nil, fmt.Errorf("%q is not a token id", f)
		}
		out = append(out, int(id))
	}
	return out, nil
}
