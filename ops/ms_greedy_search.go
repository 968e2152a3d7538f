package ops

import "github.com/gneiss-run/gneiss/internal/kernels/vec"

// GreedySearch (com.microsoft): tokens that a decoder generates, always the one with the largest logit.
//
//	input_ids: int32[b, s]    sequences: int32[b, max_length]
//
// Inputs that are one element: max_length, min_length: int32, repetition_penalty: float32. vocab_mask: int32[vocab],
// prefix_vocab_mask: int32[b, vocab], attention_mask: int32[b, s]. The decoder is described in ms_generation.go, what the
// inputs do to logits in ms_generation_rules.go. In a row that has come to eos_token_id, this and all that follows is
// pad_token_id; ONNX Runtime leaves undefined what comes after the step in which the last row ends.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.GreedySearch
func init() {
	register(&Op{Domain: "com.microsoft", Name: "GreedySearch", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: Arity{2, 7}, Out: N(1), Infer: inferGreedy,
			Build: func(b *BuildContext) (Kernel, error) {
				g, err := buildGreedy(b)
				if err != nil {
					return nil, err
				}
				t := vec.Best()
				return func(c *Call) error { return greedy(c, g, -1, tokenRules{}, largestToken{t}) }, nil
			}},
	}})
}

// largestToken chooses the first of the largest scores.
type largestToken struct{ t *vec.Table }

func (largestToken) begin(*Call, *textRun) error { return nil }

func (l largestToken) choose(_ *Call, r *textRun) {
	for i := range r.tokens {
		x := r.scores[i*r.vocab:][:r.vocab]
		top := l.t.Largest(x)
		r.tokens[i] = 0
		for j, v := range x {
			if v == top {
				r.tokens[i] = int32(j)
				break
			}
		}
	}
}
