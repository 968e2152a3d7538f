package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// beamInputs says which inputs of an operator with beams are what; -1 where it has none.
type beamInputs struct{ processor, temperature int }

// beamAttrs is what such an operator has beside generation.
type beamAttrs struct {
	early    bool
	noSpeech int
	stamps   timestamps
}

// beamState is the state of a search with beams: of each row of the batch, the sequences that have ended.
type beamState struct {
	penalty  float32
	early    bool
	keep     int       // sequences to return
	sum      []float32 // [rows]: the scores of the sequences
	top      []float32 // [rows, 2·beams]: the best scores of each row, then of each row of the batch
	topID    []int32   // and their tokens
	topRow   []int32
	all      []float32 // the output scores
	ended    []int32   // [rows, max]: the tokens of the sequences that have ended
	endedLen []int32
	score    []float32 // [rows]
	place    []int32   // [rows]: where in ended these are, best first
	used     []int32   // [batch]
	done     []uint8   // [batch]: 1 if nothing goes on
	live     int       // rows of the batch that are not done
}

// inferBeams infers an operator that searches with beams.
func inferBeams(c *InferContext, model int) error {
	batch, length, err := inferGeneration(c, model)
	if err != nil {
		return err
	}
	keep := c.oneInt(4)
	for i := range c.Out {
		switch i {
		case 0:
			c.Out[i] = onnx.TensorType(tensor.Int32, batch, keep, length)
		case 1:
			c.Out[i] = onnx.TensorType(tensor.Float32, batch, keep)
		case 2:
			c.Out[i] = onnx.TensorType(tensor.Float32, onnx.Dim{}, batch, c.oneInt(3), onnx.Dim{})
		case 4:
			c.Out[i] = onnx.TensorType(tensor.Float32, batch)
		}
	}
	return nil
}

func beamKernel(g *generation, a *beamAttrs, in beamInputs) Kernel {
	return func(c *Call) error {
		r := State[textRun](c)
		defer r.end()
		if err := r.beginBeams(c, g, a, in); err != nil {
			return err
		}
		for {
			r.chooseBeams(c)
			r.extend()
			if r.beam.live == 0 || r.length == r.max {
				break
			}
			if err := r.advance(c); err != nil {
				return err
			}
			r.last(c)
		}
		r.finish(c)
		return nil
	}
}

// beginBeams reads the inputs and takes the first step.
func (r *textRun) beginBeams(c *Call, g *generation, a *beamAttrs, in beamInputs) error {
	var ints [3]int
	for i, name := range [...]string{"min_length", "num_beams", "num_return_sequences"} {
		var err error
		if ints[i], err = c.oneInt32(2+i, name, 0); err != nil {
			return err
		}
	}
	beams, keep := ints[1], ints[2]
	if beams < 1 || beams > maxBeams {
		return fmt.Errorf("num_beams is %d, want 1 to %d", beams, maxBeams)
	}
	if keep < 1 || keep > beams {
		return fmt.Errorf("num_return_sequences is %d, want 1 to %d as num_beams", keep, beams)
	}
	penalty, err := c.oneFloat32(5, "length_penalty", 1)
	if err != nil {
		return err
	}
	processor, err := c.oneInt32(in.processor, "logits_processor", 0)
	if err != nil {
		return err
	}
	if processor < 0 {
		return fmt.Errorf("logits_processor is %d, want 0 or more", processor)
	}
	if err := r.begin(c, g, beams, 9, 10); err != nil {
		return err
	}
	t := &r.rules
	t.minLength = ints[0]
	if t.repetition, err = c.oneFloat32(6, "repetition_penalty", 1); err != nil {
		return err
	}
	if !(t.repetition > 0) {
		return fmt.Errorf("repetition_penalty is %g, want a positive number", t.repetition)
	}
	if t.temperature, err = c.oneFloat32(in.temperature, "temperature", 1); err != nil {
		return err
	}
	if err := r.masks(c, 7, 8, -1); err != nil {
		return err
	}
	if processor == 1 && g.model == modelWhisper {
		if err := a.stamps.within(r.vocab); err != nil {
			return err
		}
		t.stamps = &a.stamps
	}
	if r.vocab < 2 {
		return fmt.Errorf("a vocabulary of %d, want two tokens or more", r.vocab)
	}
	r.scores = Scratch[float32](c, product(c, r.rows, r.vocab))
	b := &r.beam
	*b = beamState{penalty: penalty, early: a.early, keep: keep, live: r.batch}
	n := r.rows
	b.sum, b.score = Scratch[float32](c, n), Scratch[float32](c, n)
	b.top, b.topID, b.topRow = Scratch[float32](c, 2*beams*n), Scratch[int32](c, 2*beams*n), Scratch[int32](c, 2*beams*n)
	b.ended, b.endedLen, b.place = Scratch[int32](c, n*r.max), Scratch[int32](c, n), Scratch[int32](c, n)
	b.used, b.done = Scratch[int32](c, r.batch), Scratch[uint8](c, r.batch)
	clear(b.used)
	clear(b.done)
	for i := range b.sum {
		if b.sum[i] = -1e9; i%beams == 0 { // or all beams would choose the same
			b.sum[i] = 0
		}
	}
	if c.Wants(2) {
		y := c.Output(2, tensor.Float32, r.max-r.prompt, r.batch, beams, r.vocab)
		b.all = tensor.Data[float32](y)
		clear(b.all)
	}
	r.last(c)
	if c.Wants(4) {
		if a.noSpeech < 0 || a.noSpeech >= r.vocab {
			return fmt.Errorf("attribute \"no_speech_token_id\" is %d, want a token of the %d", a.noSpeech, r.vocab)
		}
		y := tensor.Data[float32](c.Output(4, tensor.Float32, r.batch))
		for i := range y {
			y[i] = probability(r.scores[i*r.vocab:][:r.vocab], a.noSpeech)
		}
	}
	return nil
}

// probability returns that of token id by logits.
func probability(logits []float32, id int) float32 {
	top, sum := float64(maxOf(logits)), 0.0
	for _, v := range logits {
		sum += math.Exp(float64(v) - top)
	}
	return float32(math.Exp(float64(logits[id])-top) / sum)
}

// beamRows is the loop over rows of a step.
type beamRows struct{ r *textRun }

// Chunk finds the best tokens of each row.
func (l *beamRows) Chunk(lo, hi int) {
	r := l.r
	k := 2 * r.beams
	for i := lo; i < hi; i++ {
		x := r.scores[i*r.vocab:][:r.vocab]
		r.apply(i, x)
		s := r.beam.sum[i]
		for j := range x {
			x[j] += s
		}
		best(r.beam.top[i*k:][:k], r.beam.topID[i*k:][:k], x)
	}
}

// best sets top to the largest of x and id to where they are, the first of equal ones first. What
// is too much for x is -Inf and -1.
func best(top []float32, id []int32, x []float32) {
	n := 0
	for i, v := range x {
		if n == len(top) && !(v > top[n-1]) {
			continue
		}
		if n < len(top) {
			n++
		}
		j := n - 1
		for ; j > 0 && v > top[j-1]; j-- {
			top[j], id[j] = top[j-1], id[j-1]
		}
		top[j], id[j] = v, int32(i)
	}
	for ; n < len(top); n++ {
		top[n], id[n] = float32(math.Inf(-1)), -1
	}
}

// chooseBeams scores the next tokens and chooses those that sequences go on with.
func (r *textRun) chooseBeams(c *Call) {
	b, x := &r.beam, r.scores[:r.have*r.vocab]
	r.g.logSoftmax(c.P, x, x, r.have, r.vocab, 1)
	r.repeat()
	par.Run(c.P, r.rows, par.Grain(r.rows, 2*float64(r.vocab)), par.With(beamRows{r}))
	if b.all != nil {
		copy(b.all, r.scores)
		b.all = b.all[len(r.scores):]
	}
	for i := range r.batch {
		r.merge(i)
	}
	for i := range r.batch {
		if b.done[i] == 0 {
			r.choose(i)
			continue
		}
		for j := i * r.beams; j < (i+1)*r.beams; j++ { // as ONNX Runtime has it: nobody reads these, but for the output scores
			b.sum[j], r.tokens[j], r.from[j] = 0, r.g.pad, 0
		}
	}
}

// merge makes the best of the beams of row i of the batch the best of that row, at its start.
func (r *textRun) merge(i int) {
	b, k := &r.beam, 2*r.beams
	top, id, row := b.top[i*r.beams*k:][:r.beams*k], b.topID[i*r.beams*k:][:r.beams*k], b.topRow[i*r.beams*k:][:k]
	for j := range row {
		row[j] = 0
	}
	for beam := 1; beam < r.beams; beam++ {
		for j := range k {
			v, t := top[beam*k+j], id[beam*k+j]
			if t < 0 || id[k-1] >= 0 && !(v > top[k-1]) {
				break
			}
			p := k - 1
			for ; p > 0 && (v > top[p-1] || id[p-1] < 0); p-- {
				top[p], id[p], row[p] = top[p-1], id[p-1], row[p-1]
			}
			top[p], id[p], row[p] = v, t, int32(beam)
		}
	}
}

// choose takes the best tokens of row i of the batch in turn: an end goes to the sequences that have ended, others go on.
func (r *textRun) choose(i int) {
	b, k := &r.beam, 2*r.beams
	at := i * r.beams * k
	top, id, row := b.top[at:][:k], b.topID[at:][:k], b.topRow[at:][:k]
	n := 0
	for j := 0; j < k && n < r.beams; j++ {
		from := i*r.beams + int(row[j])
		if r.g.eos >= 0 && id[j] == r.g.eos {
			if j < r.beams {
				b.add(r, i, r.seq[from*r.max:][:r.length], top[j])
			}
			continue
		}
		to := i*r.beams + n
		b.sum[to], r.tokens[to], r.from[to] = top[j], id[j], int32(from)
		n++
	}
	if int(b.used[i]) < r.beams {
		return
	}
	if !b.early && b.score[(i+1)*r.beams-1] < r.promise(i)/float32(math.Pow(float64(r.length), float64(b.penalty))) {
		return // a sequence that goes on can still be better than the worst that has ended
	}
	b.done[i] = 1
	b.live--
}

// promise returns the best score of what could go on in row i of the batch. ONNX Runtime takes the largest of as many scores as there are
// for a row, but from where they would begin if there were half as many: of other rows, unless i is 0. Which
// sequences end as the best depends on it, so it is done here, too.
func (r *textRun) promise(i int) float32 {
	k := 2 * r.beams
	best := float32(math.Inf(-1))
	for j := i * r.beams; j < i*r.beams+k; j++ {
		best = max(best, r.beam.top[j/k*r.beams*k+j%k])
	}
	return best
}

// add puts a sequence among those of row i of the batch that have ended, if it is good enough.
func (b *beamState) add(r *textRun, i int, seq []int32, sum float32) {
	score := sum / float32(math.Pow(float64(len(seq)), float64(b.penalty)))
	lo := i * r.beams
	scores, place := b.score[lo:][:r.beams], b.place[lo:][:r.beams]
	n := int(b.used[i])
	var at int32
	if n == r.beams {
		if n--; !(score > scores[n]) {
			return
		}
		at = place[n]
	} else {
		at = int32(lo + n)
		b.used[i]++
	}
	for ; n > 0 && score > scores[n-1]; n-- {
		scores[n], place[n] = scores[n-1], place[n-1]
	}
	scores[n], place[n] = score, at
	copy(b.ended[int(at)*r.max:], seq)
	b.endedLen[at] = int32(len(seq))
}

// finish writes the best sequences.
func (r *textRun) finish(c *Call) {
	b := &r.beam
	out := tensor.Data[int32](c.Output(0, tensor.Int32, r.batch, b.keep, r.max))
	var scores []float32
	if c.Wants(1) {
		scores = tensor.Data[float32](c.Output(1, tensor.Float32, r.batch, b.keep))
	}
	for i := range r.batch {
		for j := i * r.beams; b.done[i] == 0 && j < (i+1)*r.beams; j++ {
			b.add(r, i, r.seq[j*r.max:][:r.length], b.sum[j])
		}
		for j := range b.keep {
			at := int(b.place[i*r.beams+j])
			row := out[(i*b.keep+j)*r.max:][:r.max]
			for k := copy(row, b.ended[at*r.max:][:b.endedLen[at]]); k < r.max; k++ {
				row[k] = r.g.pad
			}
			if scores != nil {
				scores[i*b.keep+j] = b.score[i*r.beams+j]
			}
		}
	}
}
