package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// chooser chooses the next token of each row of scores, which it may change, by r.tokens.
type chooser interface {
	begin(c *Call, r *textRun) error
	choose(c *Call, r *textRun)
}

// inferGreedy infers an operator that generates one sequence for each prompt.
func inferGreedy(c *InferContext) error {
	batch, length, err := inferGeneration(c, modelDecoder)
	if err == nil {
		c.Out[0] = onnx.TensorType(tensor.Int32, batch, length)
	}
	return err
}

// buildGreedy reads what such an operator has: only decoders alone, as in ONNX Runtime.
func buildGreedy(b *BuildContext) (*generation, error) {
	g, err := buildGeneration(b, modelDecoder)
	if err == nil && g.model != modelDecoder {
		err = fmt.Errorf("%w: attribute \"model_type\" is %d, want %d", ErrUnsupported, g.model, modelDecoder)
	}
	return g, err
}

// greedy runs such an operator: presence is the input presence_mask, if there is one, and rules what attributes say.
func greedy(c *Call, g *generation, presence int, rules tokenRules, ch chooser) error {
	r := State[textRun](c)
	defer r.end()
	r.rules = rules
	t := &r.rules
	var err error
	if t.minLength, err = c.oneInt32(2, "min_length", 0); err != nil {
		return err
	}
	if t.repetition, err = c.oneFloat32(3, "repetition_penalty", 1); err != nil {
		return err
	}
	if !(t.repetition > 0) {
		return fmt.Errorf("repetition_penalty is %g, want a positive number", t.repetition)
	}
	if err := r.begin(c, g, 1, 6, -1); err != nil {
		return err
	}
	if err := r.masks(c, 4, 5, presence); err != nil {
		return err
	}
	r.scores = Scratch[float32](c, product(c, r.rows, r.vocab))
	if err := ch.begin(c, r); err != nil {
		return err
	}
	done := Scratch[uint8](c, r.rows)
	clear(done)
	for i := range r.from {
		r.from[i] = int32(i)
	}
	for live := r.rows; ; {
		r.last(c)
		for i := range r.rows {
			r.apply(i, r.scores[i*r.vocab:][:r.vocab])
		}
		ch.choose(c, r)
		for i, id := range r.tokens {
			if id == g.eos && done[i] == 0 {
				done[i] = 1
				live--
			}
			if done[i] != 0 {
				r.tokens[i] = g.pad
			}
		}
		r.extend()
		if live == 0 || r.length == r.max {
			break
		}
		if err := r.advance(c); err != nil {
			return err
		}
	}
	out := tensor.Data[int32](c.Output(0, tensor.Int32, r.rows, r.max))
	for i := range r.rows {
		row := out[i*r.max:][:r.max]
		for k := copy(row, r.seq[i*r.max:][:r.length]); k < r.max; k++ {
			row[k] = g.pad
		}
	}
	return nil
}
