package train

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// VAE is the loss of a variational autoencoder, the negative evidence lower bound: what is
// lost of x, summed over features, plus Beta times the Kullback-Leibler
// divergence of the codes' distribution from the standard normal one, Σ (m² + v - 1 - log v)/2, both as
// means over the batch. It is for three outputs: the reconstruction, of the shape of x, the means m and
// log v, [batch, code] each. The target is x.
//
// Kingma and Welling, Auto-encoding variational Bayes, 2014; Higgins et al., beta-VAE, 2017.
type VAE struct {
	Beta float64 // 0: 1
	// Real is for reconstructions of any numbers, of which half the squared error is lost.
	// Else they are logits of x, which is in [0, 1], and their binary cross entropy is.
	Real bool
}

// Build adds the loss.
func (l VAE) Build(o *Objective) *onnx.Value {
	if len(o.Outputs) != 3 {
		o.Fail(fmt.Errorf("the VAE loss is for 3 outputs, reconstruction, mean and log variance: found %d", len(o.Outputs)))
		return nil
	}
	if l.Beta == 0 {
		l.Beta = 1
	}
	y, mean, logs := o.Outputs[0], o.Outputs[1], o.Outputs[2]
	x := o.Target(y.Type)
	var lost *onnx.Value
	if l.Real {
		d := o.sub(y, x)
		lost = o.mul(o.mul(d, d), o.Scalar(0.5))
	} else {
		lost = o.binaryCrossEntropy(y, x)
	}
	kl := o.mul(o.sub(o.add(o.mul(mean, mean), o.Op("Exp", nil, logs)), o.add(logs, o.Scalar(1))), o.Scalar(0.5*l.Beta))
	return o.Op("Div", nil, o.add(sumAll(o, lost), sumAll(o, kl)), o.batch(y))
}

// batch returns the first dimension of x in its element type.
func (o *Objective) batch(x *onnx.Value) *onnx.Value {
	first := o.Op("Shape", onnx.NewAttrs("end", 1), x)
	return o.Op("Squeeze", nil, o.Op("Cast", onnx.NewAttrs("to", int(o.DTypeOf(x))), first))
}

// binaryCrossEntropy returns (1-y)·x + softplus(-x) of logits x and targets y.
func (o *Objective) binaryCrossEntropy(x, y *onnx.Value) *onnx.Value {
	return o.add(o.mul(o.sub(o.Scalar(1), y), x), o.Op("Softplus", nil, o.Op("Neg", nil, x)))
}
