// Command vae trains a variational autoencoder on small square images and draws new
// ones.
//
//	python3 examples/vae/digits.py        # once: writes digits.npz
//	go run ./examples/vae -data digits.npz -encoder encoder.onnx -decoder decoder.onnx
//	go run ./examples/vae -decoder decoder.onnx -draw samples.png
//
// The data is a float array x [images, side·side] of numbers from 0 to 1. The encoder gives
// the mean and the logarithm of the variance of a code for an image, the decoder an
// image for a code. Training draws codes by these and makes small what is lost of the
// images plus how far the codes are from the standard normal distribution, so that
// codes drawn from the latter make plausible images. The first 90% of the
// images are for training, the others for validation, without noise.
//
// gneiss train does the same with a configuration: model: {name: vae, …}.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"

	"github.com/gneiss-run/gneiss"
	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
	"github.com/gneiss-run/gneiss/train/nn"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second signal has its default effect
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "vae:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	data, encoder, decoder string
	hidden, code, epochs   int
	threads                int
	seed                   uint64
}

// run is the program.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	var o options
	fs := flag.NewFlagSet("vae", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are returned, the usage is printed below
	fs.StringVar(&o.data, "data", "digits.npz", ".npz `file` of the images")
	fs.StringVar(&o.encoder, "encoder", "encoder.onnx", "`file` to write the encoder to")
	fs.StringVar(&o.decoder, "decoder", "decoder.onnx", "`file` to write the decoder to, or to read it from with -draw")
	fs.IntVar(&o.hidden, "hidden", 256, "size of the hidden layers")
	fs.IntVar(&o.code, "code", 8, "size of the code")
	fs.IntVar(&o.epochs, "epochs", 100, "passes over the images")
	fs.IntVar(&o.threads, "threads", 0, "threads, 0: one per CPU")
	fs.Uint64Var(&o.seed, "seed", 1, "decides the first weights, the order of images, the noise and what -draw draws")
	to := fs.String("draw", "", "draw 8×8 new images to this .png `file`")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stdout, "Usage: vae [flags]")
		fs.SetOutput(stdout)
		fs.PrintDefaults()
		return nil
	} else if err != nil {
		return fmt.Errorf("%w; see -help", err)
	}
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("what is %q? see -help", fs.Arg(0))
	case o.hidden < 1 || o.code < 1 || o.epochs < 1 || o.threads < 0:
		return errors.New("want -hidden, -code and -epochs of at least 1, -threads of at least 0")
	case *to != "":
		return draw(ctx, o, *to)
	}
	return learn(ctx, o, stdout)
}

// learn trains and writes both parts.
func learn(ctx context.Context, o options, stdout io.Writer) error {
	src, err := data.Open(o.data, data.Options{})
	if err != nil {
		return err
	}
	all, err := train.Collect(ctx, src)
	if err != nil {
		return fmt.Errorf("%s: %w", o.data, err)
	}
	x := all["x"]
	if x == nil || x.Rank() != 2 || x.DType() != tensor.Float32 || x.Dim(1) < 1 {
		return fmt.Errorf("%s: x is %v, want float32 [images, side·side]", o.data, x)
	}
	for i, v := range tensor.Data[float32](x) {
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("%s: x[%d, %d] is %g, want a number from 0 to 1", o.data, i/x.Dim(1), i%x.Dim(1), v)
		}
	}
	n := all.Len() * 9 / 10
	index := make([]int, all.Len())
	for i := range index {
		index[i] = i
	}
	only := train.Arrays{"x": x}
	training, validation := train.Subset(only, index[:n]), train.Subset(only, index[n:])

	m, err := nn.Build(o.seed, []nn.Input{nn.Floats("x", x.Dim(1))}, func(s *nn.Scope, in []*onnx.Value) []nn.Output {
		return nn.VAE{Hidden: []int{o.hidden}, Code: o.code}.Apply(s, in[0])
	})
	if err != nil {
		return err
	}
	t, err := train.New(m, train.Config{
		Loss: train.VAE{}, Outputs: []string{nn.VAELogits, nn.VAEMean, nn.VAELogVariance}, Target: "x",
		Optimizer: train.Adam{LR: 0.002}, Schedule: train.Cosine{Min: 0.05}, Seed: o.seed, Threads: o.threads,
	})
	if err != nil {
		return err
	}
	defer t.Close()
	_, err = t.Fit(ctx, train.FitOptions{
		Train: &train.Loader{Dataset: training, Shuffle: true, Seed: o.seed}, Validation: &train.Loader{Dataset: validation}, Epochs: o.epochs,
		OnEpoch: func(p *train.Progress) error {
			e := p.History[len(p.History)-1]
			_, err := fmt.Fprintf(stdout, "epoch %d/%d: loss %.3f, validation %.3f\n", e.Epoch, p.Epochs, e.TrainLoss, *e.ValidationLoss)
			return err
		},
	})
	if err != nil {
		return err
	}
	for _, part := range []struct {
		path     string
		from, to []string
	}{
		{o.encoder, []string{"x"}, []string{nn.VAEMean, nn.VAELogVariance}},
		{o.decoder, []string{nn.VAECode}, []string{nn.VAEOutput}},
	} {
		m, err := t.Export(ctx, train.ExportOptions{From: part.from, To: part.to})
		if err != nil {
			return err
		}
		if err := onnx.Save(m, part.path, onnx.SaveOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// rows is how many rows and columns of images draw draws.
const rows = 8

// draw makes images of codes from the standard normal distribution.
func draw(ctx context.Context, o options, path string) (err error) {
	s, err := gneiss.Open(o.decoder, gneiss.Options{Threads: o.threads})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	in := s.Inputs()
	if len(in) != 1 || in[0].Name != nn.VAECode || in[0].Type.Rank() != 2 {
		return fmt.Errorf("%s: its inputs are %v, want a code: is it a decoder?", o.decoder, in)
	}
	size, ok := in[0].Type.Dims[1].Size()
	if !ok {
		return fmt.Errorf("%s: its code is %v, of no known size", o.decoder, in[0].Type)
	}
	code, r := tensor.New(tensor.Float32, rows*rows, size), rand.New(rand.NewPCG(o.seed, 0))
	for i := range tensor.Data[float32](code) {
		tensor.Data[float32](code)[i] = float32(r.NormFloat64())
	}
	out, err := s.Run(ctx, map[string]gneiss.Value{nn.VAECode: code})
	if err != nil {
		return err
	}
	x, ok := out[nn.VAEOutput].(*gneiss.Tensor)
	if !ok || x.Rank() != 2 || x.DType() != tensor.Float32 {
		return fmt.Errorf("%s: its output is %v, want float32 [images, side·side]", o.decoder, out[nn.VAEOutput])
	}
	side := int(math.Sqrt(float64(x.Dim(1))))
	if side*side != x.Dim(1) {
		return fmt.Errorf("%s: its images have %d pixels, which are no square", o.decoder, x.Dim(1))
	}
	img := sheet(tensor.Data[float32](x), side, max(1, 64/side))
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// sheet lays images out in rows, each pixel zoom pixels wide, with a line between images.
func sheet(x []float32, side, zoom int) *image.Gray {
	step := side*zoom + 1
	img := image.NewGray(image.Rect(0, 0, rows*step, rows*step))
	for i := range rows * rows {
		for p := range side * zoom * side * zoom {
			u, v := p%(side*zoom), p/(side*zoom)
			gray := min(max(x[i*side*side+v/zoom*side+u/zoom], 0), 1)
			img.SetGray(i%rows*step+u, i/rows*step+v, color.Gray{Y: uint8(255*gray + 0.5)})
		}
	}
	return img
}
