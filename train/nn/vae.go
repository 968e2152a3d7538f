package nn

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
)

// Names of the values of a VAE, in its model.
const (
	VAEOutput      = "output" // [batch, in]
	VAELogits      = "logits" // [batch, in]
	VAEMean        = "mean"   // [batch, Code]
	VAELogVariance = "log_variance"
	VAECode        = "code" // what the decoder reads, [batch, Code]
)

// VAE is a variational autoencoder: a perceptron gives the mean and the logarithm of
// the variance of a normal distribution for each vector x, and another makes x
// again of a code drawn from it. Inference takes the mean for the code; trained with
// train.VAE, the decoder makes new vectors of codes drawn from the standard normal
// distribution.
//
//	x: [batch, in]    output: [batch, in]
//
// Kingma and Welling, Auto-encoding variational Bayes, 2014.
type VAE struct {
	Hidden []int // from the input to the code
	Code   int
	// Real has the decoder give any numbers. Else its outputs are probabilities, the
	// sigmoids of logits.
	Real bool
}

// Apply builds the network and returns its outputs: output, logits unless Real, mean and
// log_variance.
func (l VAE) Apply(s *Scope, x *onnx.Value) []Output {
	if s.Rank(x) != 2 || l.Code < 1 {
		s.Fail(fmt.Errorf("VAE with a code of %d of %v, want at least 1 and [batch, in]", l.Code, x.Type))
		return nil
	}
	in := s.Size(x, 1)
	h := x
	if n := len(l.Hidden); n > 0 {
		h = s.Op("Relu", nil, s.Apply("encoder", MLP{Hidden: l.Hidden[:n-1], Out: l.Hidden[n-1]}, x))
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
