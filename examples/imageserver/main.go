// Command imageserver classifies images over HTTP with an ONNX model: a
// ResNet, MobileNet, EfficientNet, vision transformer or any other model with
// one float32 input [N,3,H,W] that gives one score per class.
//
//	go run ./examples/imageserver -model resnet50.onnx -labels imagenet_classes.txt
//	curl --data-binary @cat.jpg http://127.0.0.1:8080/classify
//
// An answer looks like this, with -top results, best first:
//
//	{"results":[{"class":281,"label":"tabby","score":0.71},…],"milliseconds":38.2}
//
// Images are prepared as torchvision does for ImageNet: the shorter side is
// resized to 256, the middle 224 by 224 pixels are cut out, values are scaled
// to 0…1 and normalised by mean and standard deviation of each channel. Other
// input sizes keep the ratio 256 to 224. Transparency is ignored, as it is there. A JPEG
// is turned upright as the camera noted in it; -orientation stored leaves it, as
// torchvision's ImageFolder does.
//
// # Requests
//
// POST /classify takes a PNG or JPEG file as its body and gives the classes
// with the highest scores as JSON. GET /healthz gives 200 while the server takes
// requests and 503 while it shuts down. Every error is JSON too, {"error": …}:
//
//	400  the image is damaged or was not sent to its end
//	405  wrong method
//	413  the body or the image is larger than -max-body, -max-pixels
//	415  the body is neither PNG nor JPEG
//	500  the model failed; the log says why
//	503  -concurrency requests are in progress, or this one took longer than
//	     -timeout, or the server shuts down
//
// # What it shows
//
// One session serves all requests: Session.Run is safe for concurrent use. The
// context of a request goes to Run, so that a client that hangs up, a request
// that takes too long and a shutdown end the work they caused. The number of
// requests in progress is bounded, and with it memory: who comes too many gets
// 503 at once and may come again. At SIGINT or SIGTERM the server stops to
// accept, lets requests in progress end for at most -drain, cancels what is
// left and closes the session. A second signal ends the process at once.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gneiss-run/gneiss"
	"github.com/gneiss-run/gneiss/data"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second signal has its default effect
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "imageserver:", err)
		os.Exit(1)
	}
}

// limits bounds what one request and all requests together may take.
type limits struct {
	body        int64
	pixels      int
	concurrency int
	timeout     time.Duration
	orientation string // of data.Orientations, for JPEG files
}

// run serves until ctx is done and returns when everything it started has ended.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	fs := flag.NewFlagSet("imageserver", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are returned, the usage is printed below
	var (
		cfg    classifierConfig
		lim    limits
		model  = fs.String("model", "", "ONNX `file` (required)")
		labels = fs.String("labels", "", "text `file` with the name of a class on each line")
		addr   = fs.String("addr", "127.0.0.1:8080", "`address` to listen on; port 0 takes a free one")
		drain  = fs.Duration("drain", 10*time.Second, "how long requests in progress may take after a signal")
		thr    = fs.Int("threads", 0, "threads of one request, 0: one per CPU")
		mean   = fs.String("mean", "0.485,0.456,0.406", "mean of red, green and blue, of values 0 to 1")
		std    = fs.String("std", "0.229,0.224,0.225", "standard deviation of red, green and blue")
	)
	fs.StringVar(&cfg.output, "output", "", "`name` of the output with the scores (default the first)")
	fs.IntVar(&cfg.size, "size", 224, "height and width where the model leaves them open")
	fs.BoolVar(&cfg.softmax, "softmax", true, "turn scores into probabilities; false for models that give probabilities")
	fs.IntVar(&cfg.top, "top", 5, "how many classes an answer has")
	fs.Int64Var(&lim.body, "max-body", 10<<20, "largest request body in `bytes`")
	fs.IntVar(&lim.pixels, "max-pixels", 25_000_000, "largest image, width times height; one takes up to 20 bytes a pixel")
	fs.StringVar(&lim.orientation, "orientation", "exif", "of JPEG files: exif, turned upright as the camera noted, or stored")
	fs.IntVar(&lim.concurrency, "concurrency", 2*runtime.GOMAXPROCS(0), "requests in progress at once")
	fs.DurationVar(&lim.timeout, "timeout", 10*time.Second, "longest time for one image, after it has arrived")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stdout, "Usage: imageserver -model FILE [flags]")
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
		return errors.New("-model is missing: the ONNX file of a classifier")
	case cfg.size < 1 || cfg.top < 1 || lim.body < 1 || lim.pixels < 1 || lim.concurrency < 1 || lim.timeout <= 0 || *drain < 0 || *thr < 0:
		return errors.New("-size, -top, -max-body, -max-pixels, -concurrency and -timeout must be above 0, -drain and -threads not below")
	}
	if !slices.Contains(data.Orientations(), lim.orientation) {
		return fmt.Errorf("-orientation is %q, want one of %s", lim.orientation, strings.Join(data.Orientations(), ", "))
	}
	if lim.concurrency > 1<<16 {
		return fmt.Errorf("-concurrency %d is above %d", lim.concurrency, 1<<16)
	}
	if cfg.mean, err = triple(*mean); err != nil {
		return fmt.Errorf("-mean: %w", err)
	}
	if cfg.std, err = triple(*std); err != nil {
		return fmt.Errorf("-std: %w", err)
	}
	if cfg.std[0] == 0 || cfg.std[1] == 0 || cfg.std[2] == 0 {
		return fmt.Errorf("-std: %s has a zero", *std)
	}
	if *labels != "" {
		if cfg.labels, err = readLabels(*labels); err != nil {
			return err
		}
	}
	s, err := gneiss.Open(*model, gneiss.Options{Threads: *thr})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }() // waits for the runs in progress
	c, err := newClassifier(ctx, s, cfg)
	if err != nil {
		return fmt.Errorf("%s: %w", *model, err)
	}
	ln, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "listening on http://%v\n", ln.Addr())
	return serve(ctx, ln, newServer(c, lim, slog.New(slog.NewTextHandler(stderr, nil))), *drain)
}

// serve answers requests from ln until ctx is done, then shuts down in order:
// no new connections, requests in progress for at most drain, and the contexts
// of those that are left are cancelled.
func serve(ctx context.Context, ln net.Listener, h *server, drain time.Duration) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	const body = 30 * time.Second // to receive a request: as long as a slow client may hold a place
	srv := &http.Server{
		Handler:           h,
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       body,
		WriteTimeout:      body + h.lim.timeout + 5*time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(h.log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	h.draining.Store(true)
	h.log.Info("shutting down", "in progress", len(h.slots), "drain", drain)
	wait, stop := context.WithTimeout(base, drain)
	defer stop()
	err := srv.Shutdown(wait)
	if errors.Is(err, context.DeadlineExceeded) {
		h.log.Warn("cancelling what is left", "in progress", len(h.slots))
		cancel()
		grace, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer stop()
		if err = srv.Shutdown(grace); errors.Is(err, context.DeadlineExceeded) { // answers that nobody reads
			err = srv.Close()
		}
	}
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	for range cap(h.slots) { // taken for good when the last handler has left
		h.slots <- struct{}{}
	}
	return err
}

// triple reads three numbers, "0.5,0.5,0.5".
func triple(s string) (v [3]float32, err error) {
	parts := strings.Split(s, ",")
	if len(parts) != 3 {
		return v, fmt.Errorf("%q has %d numbers, want 3 with commas between", s, len(parts))
	}
	for i, p := range parts {
		x, err := strconv.ParseFloat(strings.TrimSpace(p), 32)
		if err != nil || x-x != 0 {
			return v, fmt.Errorf("%q is not a number", p)
		}
		v[i] = float32(x)
	}
	return v, nil
}

// readLabels returns the lines of a file, without an empty one at the end.
func readLabels(path string) ([]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text := strings.TrimRight(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n")
	if text == "" {
		return nil, fmt.Errorf("%s has no labels, want one on each line", path)
	}
	return strings.Split(text, "\n"), nil
}
