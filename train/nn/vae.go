package nn

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
)

// Names of the values of a VAE, in its model.
const (
	VAEOutput      = "output" // the input's shape
	VAELogits      = "logits" // the input's shape
	VAEMean        = "mean"   // [batch, Code]
	VAELogVariance = "log_variance"
	VAECode        = "code" // what the decoder reads, [batch, Code]
)

// VAE is a variational autoencoder: a perceptron, behind convolutions if x are images, gives the mean and the logarithm of
// the variance of a normal distribution for each x, and another makes x
// again of a code drawn from it. Inference takes the mean for the code; trained with
// train.VAE, the decoder makes new vectors of codes drawn from the standard normal
// distribution.
//
//	x: [batch, in], or with Channels [batch, channels, height, width]    output: x's shape
//
// Kingma and Welling, Auto-encoding variational Bayes, 2014.
type VAE struct {
	// Channels are those of convolutions of stride 2 before the perceptron, each of
	// which halves height and width, and of transposed ones behind the other.
	Channels []int
	Hidden   []int // from the input, or what the convolutions made of it, to the code
	Code     int
	// Real has the decoder give any numbers. Else its outputs are probabilities, the
	// sigmoids of logits.
	Real bool
}

// Apply builds the network and returns its outputs: output, logits unless Real, mean and
// log_variance.
func (l VAE) Apply(s *Scope, x *onnx.Value) []Output {
	rank, want := 2, "[batch, in]"
	if len(l.Channels) > 0 {
		rank, want = 4, "[batch, channels, height, width]"
	}
	if s.Rank(x) != rank || l.Code < 1 {
		s.Fail(fmt.Errorf("VAE with a code of %d of %v, want at least 1 and %s", l.Code, x.Type, want))
		return nil
	}
	h := x
	var image []int // what the convolutions make
	if rank == 4 {
		halves := 1 << min(len(l.Channels), 30)
		if height, width := s.Size(x, 2), s.Size(x, 3); height%halves != 0 || width%halves != 0 {
			s.Fail(fmt.Errorf("VAE of images of %d×%d with %d convolutions, want multiples of %d", height, width, len(l.Channels), halves))
			return nil
		}
		for i, n := range l.Channels {
			h = s.Op("Relu", nil, s.Apply(fmt.Sprint("encoder_conv.", i), Conv{Out: n, Kernel: 4, Stride: 2, Pad: 1}, h))
		}
		image = []int{s.Size(h, 1), s.Size(h, 2), s.Size(h, 3)}
		h = s.Op("Flatten", nil, h)
	}
	in := s.Size(h, 1)
	if n := len(l.Hidden); n > 0 {
		h = s.Op("Relu", nil, s.Apply("encoder", MLP{Hidden: l.Hidden[:n-1], Out: l.Hidden[n-1]}, h))
	}
	mean, logs := s.Apply("mean", Linear{Out: l.Code}, h), s.Apply("log_variance", Linear{Out: l.Code}, h)
	deviation := s.Op("Exp", nil, s.Op("Mul", nil, logs, s.Float(x.Type.DType, 0.5)))
	code := s.Op("Add", nil, mean, s.Op("Mul", nil, deviation, s.TrainingNoise(mean)))
	if s.Err() != nil {
		return nil
	}
	code.Name = VAECode
	back := slices.Clone(l.Hidden)
	slices.Reverse(back)
	y := s.Apply("decoder", MLP{Hidden: back, Out: in}, code)
	if rank == 4 {
		y = s.Op("Reshape", nil, y, s.Ints(append([]int{-1}, image...)...))
		for i := range l.Channels {
			out := s.Size(x, 1)
			if left := len(l.Channels) - 2 - i; left >= 0 {
				out = l.Channels[left]
			}
			y = s.Apply(fmt.Sprint("decoder_conv.", i), ConvTranspose{Out: out, Kernel: 4, Stride: 2, Pad: 1}, s.Op("Relu", nil, y))
		}
	}
	if l.Real {
		return []Output{{VAEOutput, y}, {VAEMean, mean}, {VAELogVariance, logs}}
	}
	return []Output{{VAEOutput, s.Op("Sigmoid", nil, y)}, {VAELogits, y}, {VAEMean, mean}, {VAELogVariance, logs}}
}

// TrainingNoise is standard normal noise in the shape of x while training, 0 otherwise: a
// RandomNormalLike of scale 0, which package train knows, and which other runtimes take for
// the zeros it is.
func (s *Scope) TrainingNoise(x *onnx.Value) *onnx.Value {
	return s.Op("RandomNormalLike", onnx.NewAttrs("scale", float32(0)), x)
}
