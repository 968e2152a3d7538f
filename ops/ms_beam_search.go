package ops

// BeamSearch (com.microsoft): tokens that a decoder generates, searched with num_beams beams.
//
//	input_ids: int32[b, s], float32[b, features, frames] of Whisper    sequences: int32[b, num_return_sequences, max_length]
//	sequences_scores: float32[b, num_return_sequences], the sum of the logarithms of its tokens' probabilities over length^length_penalty
//	scores: float32[max_length - length at first, b, num_beams, vocab], of each next token in each step, 0 after the last step
//
// Inputs that are one element: max_length, min_length, num_beams, num_return_sequences, logits_processor: int32;
// length_penalty, repetition_penalty: float32. vocab_mask: int32[vocab], prefix_vocab_mask: int32[b, vocab],
// attention_mask: int32[b, s]. decoder_input_ids: int32[b, n], read for Whisper only, as ONNX Runtime does. Graphs are
// described in ms_generation.go, what the inputs do to scores in ms_generation_rules.go.
//
// In a step each beam has the scores log softmax(logits), changed, plus that of its sequence. Of the 2·num_beams best
// ones an eos_token_id among the first num_beams ends its sequence, and the first num_beams others go on. A row is done when num_beams
// sequences have ended and, unless early_stopping, none that goes on could be better.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.BeamSearch
func init() {
	register(&Op{Domain: "com.microsoft", Name: "BeamSearch", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: Arity{5, 12}, Absent: []int{2}, Out: Arity{1, 3},
			Infer: func(c *InferContext) error { return inferBeams(c, modelDecoder) },
			Build: func(b *BuildContext) (Kernel, error) {
				a := &beamAttrs{early: b.Bool("early_stopping", false), stamps: timestamps{begin: -1}}
				g, err := buildGeneration(b, modelDecoder)
				if err != nil {
					return nil, err
				}
				return beamKernel(g, a, beamInputs{processor: 11, temperature: -1}), nil
			}},
	}})
}
