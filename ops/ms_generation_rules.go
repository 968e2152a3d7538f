package ops

import (
	"fmt"
	"math"
	"slices"
)

// tokenRules change the scores of the next token, in this order:
//
//	repetition_penalty p: of each token in the sequence, s·p if s < 0, else s/p
//	no_repeat_ngram_size n: the lowest score for what would repeat n tokens of the sequence
//	vocab_mask, and in the first step prefix_vocab_mask: the lowest score where it is 0
//	min_length: the lowest score for eos_token_id in a shorter sequence
//	temperature t > 0: s/t
//	presence_mask, presence_penalty: s - mask·penalty
//	Whisper's timestamps
type tokenRules struct {
	repetition, temperature, presence float32
	minLength                         int
	vocab, prefix, present            []int32
	stamps                            *timestamps
}

// timestamps are the rules for what Whisper writes: a timestamp is a token from begin on.
type timestamps struct {
	eos, sot, lm, translate, transcribe, none, begin int
}

// latest is how far the first timestamp may be from the first of all.
const latest = 50

// masks reads the masks over the vocabulary; a negative index means that there is none.
func (r *textRun) masks(c *Call, vocab, prefix, present int) (err error) {
	t := &r.rules
	if t.vocab, err = c.int32sOf(vocab, "vocab_mask", r.vocab); err != nil {
		return err
	}
	if t.prefix, err = c.int32sOf(prefix, "prefix_vocab_mask", r.batch, r.vocab); err != nil {
		return err
	}
	t.present, err = c.int32sOf(present, "presence_mask", r.batch, r.vocab)
	return err
}

// apply changes the scores x of what may follow sequence row.
func (r *textRun) apply(row int, x []float32) {
	t, g := &r.rules, r.g
	seq := r.seq[row*r.max:][:r.length]
	batch := row / r.beams
	if p := t.repetition; p != 1 {
		for i, id := range seq {
			if id < 0 || int(id) >= len(x) || slices.Contains(seq[:i], id) {
				continue
			}
			if s := &x[id]; *s < 0 {
				*s *= p
			} else {
				*s /= p
			}
		}
	}
	if n := g.ngram; n > 0 && n <= len(seq) {
		tail := seq[len(seq)-n+1:]
		for i := 0; i+n <= len(seq); i++ {
			if id := int(seq[i+n-1]); id >= 0 && id < len(x) && slices.Equal(seq[i:i+n-1], tail) {
				x[id] = lowest
			}
		}
	}
	forbid(x, t.vocab)
	if t.prefix != nil && r.step == 1 {
		forbid(x, t.prefix[batch*len(x):][:len(x)])
	}
	if e := int(g.eos); len(seq) < t.minLength && e >= 0 && e < len(x) {
		x[e] = lowest
	}
	if d := t.temperature; d > 0 && d != 1 {
		for i := range x {
			x[i] /= d
		}
	}
	if t.present != nil && t.presence != 0 {
		for i, m := range t.present[batch*len(x):][:len(x)] {
			x[i] -= float32(m) * t.presence
		}
	}
	if t.stamps != nil {
		t.stamps.apply(seq, x)
	}
}

// forbid gives tokens whose mask is 0 the lowest score.
func forbid(x []float32, mask []int32) {
	for i, m := range mask {
		if m == 0 {
			x[i] = lowest
		}
	}
}

// within says whether all tokens are in the vocabulary.
func (t *timestamps) within(vocab int) error {
	for _, a := range []struct {
		name string
		id   int
	}{
		{"eos_token_id", t.eos}, {"decoder_start_token_id", t.sot}, {"start_of_lm_token_id", t.lm}, {"translate_token_id", t.translate},
		{"transcribe_token_id", t.transcribe}, {"no_timestamps_token_id", t.none}, {"beginning_timestamp_token_id", t.begin},
	} {
		if a.id < 0 || a.id >= vocab {
			return fmt.Errorf("attribute %q is %d, want a token of the %d for timestamps", a.name, a.id, vocab)
		}
	}
	return nil
}

// apply lets timestamps come in pairs and in order, and one come where all of them together are likelier than any other token.
func (t *timestamps) apply(seq []int32, x []float32) {
	stamp := func(i int) bool { return int(seq[i]) >= t.begin }
	n := len(seq)
	first := n // tokens up to the first timestamp, with it
	for i := range n {
		if stamp(i) {
			first = i + 1
			break
		}
	}
	x[t.none], x[t.lm] = lowest, lowest
	if n > first {
		x[t.sot], x[t.translate], x[t.transcribe] = lowest, lowest, lowest
	}
	last := stamp(n - 1)
	pair := n <= first || stamp(n-2)
	if last {
		if pair {
			fill(x[t.begin:], lowest)
		} else {
			fill(x[:t.eos], lowest)
		}
	}
	for i := n - 1; i >= 0; i-- {
		if stamp(i) { // later ones may be equal only where a pair ends
			from := int(seq[i])
			if !last || pair {
				from++
			}
			fill(x[t.begin:min(max(from, t.begin), len(x))], lowest)
			break
		}
	}
	if n == first && t.begin+latest+1 < len(x) {
		fill(x[t.begin+latest+1:], lowest)
	}
	top := slices.Max(x[t.begin:])
	sum := float32(0)
	for _, v := range x[t.begin:] {
		if v > lowest {
			sum += float32(math.Exp(float64(v - top)))
		}
	}
	if sum > 0 && float32(math.Log(float64(sum)))+top > slices.Max(x[:t.begin]) {
		fill(x[:t.begin], lowest)
	}
}

func fill(x []float32, v float32) {
	for i := range x {
		x[i] = v
	}
}
