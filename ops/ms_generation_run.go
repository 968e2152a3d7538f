package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/tensor"
)

// textRun is one run of an operator that generates text. It stays with the node for its memory: end lets go of all else.
type textRun struct {
	g      *generation
	enc    nested // arguments and results of encoder
	dec    nested // of decoder
	logits *tensor.Tensor
	have   int // rows of logits and of the states that come with them: batch in the first step, then rows
	step   int // steps taken

	batch, beams, rows int // rows = batch·beams
	prompt, max        int // lengths
	length             int // of sequences now
	vocab              int

	mask     []int32 // [batch, prompt] of a decoder alone
	count    []int32 // [batch]: tokens of the prompt that are no pads
	seq, alt []int32 // [rows, max]: sequences, and place for the next
	tokens   []int32 // [rows]: the last token of each
	from     []int32 // [rows]: the row that it continues
	scores   []float32
	shape    [5]int
	rules    tokenRules
	beam     beamState
}

// maxGenerated is the largest max_length, and maxBeams the largest number of beams, as ONNX Runtime has them.
const (
	maxGenerated = 4096
	maxBeams     = 128
)

// begin reads input 0, the lengths and what the prompt of the decoder is.
func (r *textRun) begin(c *Call, g *generation, beams, attention, forced int) error {
	r.g, r.beams, r.step = g, beams, 0
	ids := c.T(0)
	rank := 2
	if g.model == modelWhisper {
		rank = 3
	}
	if ids == nil || ids.DType() != g.idType() || ids.Rank() != rank || ids.Len() == 0 {
		return fmt.Errorf("input_ids is %v, want %v with %d dimensions and elements", ids, g.idType(), rank)
	}
	r.batch = ids.Dim(0)
	r.rows = product(c, r.batch, beams)
	max, err := c.oneInt32(1, "max_length", 0)
	if err != nil {
		return err
	}
	prompt := 1
	var given []int32
	switch {
	case g.model == modelDecoder:
		prompt, given = ids.Dim(1), tensor.Data[int32](ids)
	case g.model == modelWhisper && c.Has(forced):
		t := c.T(forced)
		if t.Rank() != 2 || t.Dim(1) < 1 {
			return fmt.Errorf("decoder_input_ids has shape %v, want [%d n]", t.Shape(), r.batch)
		}
		prompt = t.Dim(1)
		if given, err = c.int32sOf(forced, "decoder_input_ids", r.batch, prompt); err != nil {
			return err
		}
	case g.start < 0:
		return fmt.Errorf("attribute \"decoder_start_token_id\" is %d and decoder_input_ids is absent, want one of them", g.start)
	}
	if max > maxGenerated {
		return fmt.Errorf("max_length is %d, want at most %d", max, maxGenerated)
	}
	if max <= prompt {
		return fmt.Errorf("max_length is %d, want more than the %d tokens there are at first", max, prompt)
	}
	r.prompt, r.length, r.max = prompt, prompt, max
	n := product(c, r.rows, max)
	r.seq, r.alt = Scratch[int32](c, n), Scratch[int32](c, n)
	r.tokens, r.from = Scratch[int32](c, r.rows), Scratch[int32](c, r.rows)
	for i := range r.rows {
		row := r.seq[i*max:][:prompt]
		if given == nil {
			row[0] = g.start
		} else {
			copy(row, given[i/beams*prompt:])
		}
	}
	if g.encoder != nil {
		return r.encode(c, attention)
	}
	return r.prefill(c, attention)
}

// product returns a·b, or does not return if there can be no such array.
func product(c *Call, a, b int) int {
	if _, err := tensor.ByteSize(tensor.Float64, c.list(a, b)); err != nil {
		panic(Abort{err})
	}
	return a * b
}

// lend is Call.Lend without memory for the shape, which each step would take.
func (r *textRun) lend(c *Call, d tensor.DType, shape ...int) *tensor.Tensor {
	return c.Lend(d, append(r.shape[:0], shape...))
}

// end lets go of all that belongs to the run.
func (r *textRun) end() {
	enc, dec := r.enc, r.dec
	clear(enc.args)
	clear(enc.out)
	clear(dec.args)
	clear(dec.out)
	*r = textRun{enc: enc, dec: dec}
}

// prefill takes the first step of a decoder alone.
func (r *textRun) prefill(c *Call, attention int) error {
	g, b, s := r.g, r.batch, r.prompt
	ids := tensor.Data[int32](c.T(0))
	r.mask, r.count = Scratch[int32](c, b*s), Scratch[int32](c, b)
	given, err := c.int32sOf(attention, "attention_mask", b, s)
	if err != nil {
		return err
	}
	for i, id := range ids {
		if given != nil {
			r.mask[i] = given[i]
		} else if r.mask[i] = 1; id == g.pad {
			r.mask[i] = 0
		}
	}
	args := r.dec.arguments(g.first + g.grow)
	pos, mask := r.lend(c, tensor.Int32, b, s), r.lend(c, tensor.Int32, b, s)
	copy(tensor.Data[int32](mask), r.mask)
	for i := range b {
		r.count[i] = 0
		for j := range s {
			p := &tensor.Data[int32](pos)[i*s+j]
			if *p = 0; ids[i*s+j] != g.pad { // also where attention_mask is given: so ONNX Runtime has it
				*p = r.count[i]
				r.count[i]++
			}
		}
	}
	args[0], args[1], args[2] = c.In[0], pos, mask
	for i := range g.grow {
		args[g.first+i] = r.lend(c, tensor.Float32, 2, b, g.heads, 0, g.size)
	}
	body := g.decoder
	if g.initial != nil {
		body = g.initial
	}
	return r.run(c, body, b)
}

// encode runs the encoder, and the decoder's first step where the encoder does not take it.
func (r *textRun) encode(c *Call, attention int) error {
	g := r.g
	in := r.enc.arguments(len(g.encoder.In()))
	in[0] = c.In[0]
	var err error
	if g.model == modelEncoderDecoder {
		if in[1], err = r.encoderMask(c, attention); err != nil {
			return err
		}
	}
	first := r.lend(c, tensor.Int32, r.batch, r.prompt)
	for i := range r.batch {
		copy(tensor.Data[int32](first)[i*r.prompt:][:r.prompt], r.seq[i*r.beams*r.max:])
	}
	if g.begun {
		in[len(in)-1] = first
	}
	out := r.enc.results(len(g.encoder.Out()))
	if err := runBody(c, g.encoder, in, out); err != nil {
		return err
	}
	args := r.dec.arguments(g.first + 2*g.grow)
	if g.model == modelEncoderDecoder {
		args[1] = in[1]
	}
	if g.hidden {
		args[g.first-1] = out[1]
	}
	cross := out[len(out)-g.grow:]
	copy(args[g.first+g.grow:], cross)
	if g.begun {
		c.Free(first)
		states := r.dec.results(1 + g.grow)
		copy(states[1:], out[2:])
		states[0] = out[0]
		r.have = r.batch
		return r.read(c)
	}
	args[0] = first
	for i := range g.grow {
		t, ok := cross[i].(*tensor.Tensor)
		if !ok || t.Rank() != 4 {
			return fmt.Errorf("output %d of encoder is %v, want a tensor of four dimensions", i, cross[i])
		}
		args[g.first+i] = r.lend(c, tensor.Float32, r.batch, t.Dim(1), 0, t.Dim(3))
	}
	return r.run(c, g.decoder, r.batch)
}

// encoderMask returns attention_mask, or 0 for the pads before the first other token and 1 for all else.
func (r *textRun) encoderMask(c *Call, attention int) (tensor.Value, error) {
	ids := c.T(0)
	if given, err := c.int32sOf(attention, "attention_mask", r.batch, ids.Dim(1)); err != nil || given != nil {
		return c.T(attention), err
	}
	mask := c.Lend(tensor.Int32, ids.Shape())
	x, m, n := tensor.Data[int32](ids), tensor.Data[int32](mask), ids.Dim(1)
	for i := range r.batch {
		on := int32(0)
		for j := range n {
			if x[i*n+j] != r.g.pad {
				on = 1
			}
			m[i*n+j] = on
		}
	}
	return mask, nil
}

// run runs a decoder for so many rows, and gives back what its arguments were made of for this step alone.
func (r *textRun) run(c *Call, body Body, rows int) error {
	g, args := r.g, r.dec.args
	if err := runBody(c, body, args, r.dec.results(1+g.grow)); err != nil {
		return err
	}
	own := 1
	if g.model == modelDecoder {
		own = 3
	}
	for i := range own {
		c.Free(args[i])
	}
	for i := range g.grow {
		c.Free(args[g.first+i])
	}
	r.have = rows
	return r.read(c)
}

// read looks at the logits that came.
func (r *textRun) read(c *Call) error {
	t, ok := r.dec.out[0].(*tensor.Tensor)
	if !ok || t.DType() != tensor.Float32 || t.Rank() != 3 || t.Dim(0) != r.have || t.Dim(1) < 1 {
		return fmt.Errorf("logits are %v, want float32 [%d length vocab]", r.dec.out[0], r.have)
	}
	if r.step == 0 {
		if r.vocab = r.g.vocab; r.vocab <= 0 {
			r.vocab = t.Dim(2)
		}
	}
	if t.Dim(2) < r.vocab || r.vocab < 1 {
		return fmt.Errorf("logits have shape %v, want %d in the last dimension", t.Shape(), max(r.vocab, 1))
	}
	r.logits = t
	r.step++
	return nil
}

// last copies the logits of the last position of each row to scores, in which they are the first rows, and frees them.
func (r *textRun) last(c *Call) {
	t, v := r.logits, r.vocab
	n, wide := t.Dim(1), t.Dim(2)
	x := tensor.Data[float32](t)
	for i := range r.have {
		copy(r.scores[i*v:][:v], x[((i+1)*n-1)*wide:])
	}
	c.Free(t)
	r.logits, r.dec.out[0] = nil, nil
}

// repeat gives each beam the scores of its row of the batch, where there is one of all beams.
func (r *textRun) repeat() {
	if r.have == r.rows {
		return
	}
	for i, v := r.rows-1, r.vocab; i > 0; i-- {
		copy(r.scores[i*v:][:v], r.scores[i/r.beams*v:][:v])
	}
}

// extend appends tokens to the sequences that they continue.
func (r *textRun) extend() {
	n := r.length
	for i, f := range r.from {
		row := r.alt[i*r.max:][:n+1]
		copy(row, r.seq[int(f)*r.max:][:n])
		row[n] = r.tokens[i]
	}
	r.seq, r.alt = r.alt, r.seq
	r.length++
}

// advance makes the decoder's arguments of the last results, and runs it.
func (r *textRun) advance(c *Call) error {
	g, args, out := r.g, r.dec.args, r.dec.out
	outer := 1
	if g.model == modelDecoder {
		outer = 2
	}
	if r.have != r.rows && g.encoder != nil { // what stays as it is from now on
		for i := 1; i < len(args); i++ {
			if i < g.first || i >= g.first+g.grow {
				v, err := r.pick(c, args[i], 1)
				if err != nil {
					return err
				}
				args[i] = v
			}
		}
	}
	for i := range g.grow {
		v, err := r.pick(c, out[1+i], outer)
		if err != nil {
			return err
		}
		args[g.first+i], out[1+i] = v, nil
	}
	n := 1
	if g.whole {
		n = r.length
	}
	ids := r.lend(c, tensor.Int32, r.rows, n)
	for i := range r.rows {
		copy(tensor.Data[int32](ids)[i*n:][:n], r.seq[i*r.max+r.length-n:])
	}
	args[0] = ids
	if g.model == modelDecoder {
		pos, mask := r.lend(c, tensor.Int32, r.rows, 1), r.lend(c, tensor.Int32, r.rows, r.length)
		for i := range r.rows {
			tensor.Data[int32](pos)[i] = r.count[i/r.beams] + int32(r.length-r.prompt-1)
			m := tensor.Data[int32](mask)[i*r.length:][:r.length]
			for j := copy(m, r.mask[i/r.beams*r.prompt:][:r.prompt]); j < len(m); j++ {
				m[j] = 1
			}
		}
		args[1], args[2] = pos, mask
	}
	return r.run(c, g.decoder, r.rows)
}

// pick returns the rows of v, a tensor [outer…, rows, …], that the sequences continue, and frees v if it is another.
func (r *textRun) pick(c *Call, v tensor.Value, outer int) (tensor.Value, error) {
	t, ok := v.(*tensor.Tensor)
	axis := outer - 1 // 0 or 1
	if !ok || t.Rank() <= axis || t.Dim(axis) != r.have || axis == 1 && t.Dim(0) != 2 || t.DType().Bits()%8 != 0 || t.DType() == tensor.String {
		return nil, fmt.Errorf("a state is %v, want %d in dimension %d", v, r.have, axis)
	}
	same := r.have == r.rows
	for i := 0; same && r.beams > 1 && i < r.rows; i++ {
		same = int(r.from[i]) == i
	}
	if same {
		return v, nil
	}
	shape := append(r.shape[:0], t.Shape()...)
	shape[axis] = r.rows
	y := c.Lend(t.DType(), shape)
	src, dst := t.Bytes(), y.Bytes()
	size := len(src) / (outer * r.have)
	for o := range outer {
		for i, f := range r.from {
			row := int(f)
			if r.have != r.rows {
				row /= r.beams
			}
			copy(dst[(o*r.rows+i)*size:][:size], src[(o*r.have+row)*size:][:size])
		}
	}
	c.Free(v)
	return y, nil
}
