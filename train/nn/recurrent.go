package nn

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
)

// Recurrent is an RNN (tanh), GRU or LSTM over the second dimension.
//
//	x: [batch, time, in]    y: [batch, time, Hidden], or twice Hidden with Bidirectional
//
// Parameters of layer k, d = 2 with Bidirectional, g = 1, 3 or 4 gates in ONNX's order
// (GRU: z, r, h; LSTM: i, o, f, c), as ONNX has them:
//
//	"k.weight_ih": [d, g·Hidden, in]    "k.weight_hh": [d, g·Hidden, Hidden]    "k.bias": [d, 2·g·Hidden]
//
// Elman, Finding structure in time, 1990; Cho et al., Learning phrase
// representations, 2014; Hochreiter and Schmidhuber, Long short-term memory, 1997.
type Recurrent struct {
	Kind          string // RNN, GRU or LSTM
	Hidden        int
	Layers        int // 0: 1
	Bidirectional bool
	Dropout       float64 // between layers
	// Last has y be the state after the last step, [batch, Hidden·d].
	Last bool
	// Lengths says how many steps each sequence has, int32 [batch]: y is 0 behind them. nil: all.
	Lengths *onnx.Value
	// ResetAfter has a GRU apply the reset gate behind the product, as PyTorch does.
	ResetAfter bool
	// HiddenInit gives the first values of weight_hh, for each direction's and each gate's
	// matrix [Hidden, Hidden] by itself. nil: uniform in ±1/sqrt(Hidden). Orthogonal(1) keeps the
	// gradients of long sequences from vanishing.
	HiddenInit Init
}

// hiddenInit returns the first values of weight_hh.
func (l Recurrent) hiddenInit() Init {
	if l.HiddenInit == nil {
		return byFan(l.Hidden)
	}
	return func(r *rand.Rand, data []float32, _ []int) {
		for gate := range slices.Chunk(data, l.Hidden*l.Hidden) {
			l.HiddenInit(r, gate, []int{l.Hidden, l.Hidden})
		}
	}
}

// Forward implements Layer.
func (l Recurrent) Forward(s *Scope, x *onnx.Value) *onnx.Value {
	gates := map[string]int{"RNN": 1, "GRU": 3, "LSTM": 4}[l.Kind]
	if gates == 0 || l.Hidden < 1 || l.Layers < 0 {
		s.Fail(fmt.Errorf("Recurrent of kind %q with %d hidden units and %d layers; kinds are RNN, GRU and LSTM", l.Kind, l.Hidden, l.Layers))
		return nil
	}
	if s.Rank(x) != 3 && s.Err() == nil {
		s.Fail(fmt.Errorf("%s of %v, want [batch, time, features]", l.Kind, x.Type))
	}
	dirs, direction := 1, "forward"
	if l.Bidirectional {
		dirs, direction = 2, "bidirectional"
	}
	x = s.Op("Transpose", onnx.NewAttrs("perm", []int{1, 0, 2}), x) // time first
	layers := max(l.Layers, 1)
	var lengths []*onnx.Value
	if l.Lengths != nil {
		lengths = append(lengths, l.Lengths)
	}
	for k := range layers {
		in := s.Size(x, 2)
		part := s.Sub(fmt.Sprint(k))
		as := onnx.NewAttrs("hidden_size", l.Hidden, "direction", direction)
		if l.Kind == "GRU" && l.ResetAfter {
			as = as.Set("linear_before_reset", 1)
		}
		w := part.Param("weight_ih", byFan(l.Hidden), dirs, gates*l.Hidden, in)
		r := part.Param("weight_hh", l.hiddenInit(), dirs, gates*l.Hidden, l.Hidden)
		b := part.Param("bias", byFan(l.Hidden), dirs, 2*gates*l.Hidden)
		out := s.Ops("", l.Kind, as, 2, append([]*onnx.Value{x, w, r, b}, lengths...)...) // y: [time, d, batch, hidden], last: [d, batch, hidden]
		if k == layers-1 && l.Last {
			y := s.Op("Transpose", onnx.NewAttrs("perm", []int{1, 0, 2}), out[1])
			return s.Op("Reshape", nil, y, s.Ints(0, dirs*l.Hidden))
		}
		y := s.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1, 3}), out[0])
		x = s.Op("Reshape", nil, y, s.Ints(0, 0, dirs*l.Hidden))
		if l.Dropout > 0 && k < layers-1 {
			x = part.Apply("dropout", Dropout{l.Dropout}, x)
		}
	}
	return s.Op("Transpose", onnx.NewAttrs("perm", []int{1, 0, 2}), x)
}
