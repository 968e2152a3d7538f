package ops

import "fmt"

// WhisperBeamSearch (com.microsoft): BeamSearch for Whisper, with its rules for timestamps.
//
//	input_ids: float32[b, features, frames]    decoder_input_ids: int32[b, n]    temperature: float32, one element
//	non_speech_probs: float32[b], the probability of no_speech_token_id in the first step
//
// Other inputs and outputs are those of BeamSearch. With a logits_processor of 1 timestamps come in pairs and in order. extra_decoding_ids
// says only for which tokens cross_qk is wanted, and that output is made by decoders that give
// their attention's products, for which ONNX Runtime has no kernel on the CPU. It leaves
// non_speech_probs undefined there.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.WhisperBeamSearch
func init() {
	register(&Op{Domain: "com.microsoft", Name: "WhisperBeamSearch", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: Arity{5, 15}, Absent: []int{2}, Out: Arity{1, 5},
			Infer: func(c *InferContext) error { return inferBeams(c, modelWhisper) },
			Build: buildWhisperBeamSearch},
	}})
}

func buildWhisperBeamSearch(b *BuildContext) (Kernel, error) {
	cross := b.Int("decoder_output_cross_qk", 0) != 0 || b.Wants(3)
	a := &beamAttrs{early: b.Bool("early_stopping", false), noSpeech: b.Int("no_speech_token_id", -1)}
	a.stamps = timestamps{
		lm: b.Int("start_of_lm_token_id", -1), translate: b.Int("translate_token_id", -1), transcribe: b.Int("transcribe_token_id", -1),
		none: b.Int("no_timestamps_token_id", -1), begin: b.Int("beginning_timestamp_token_id", -1),
	}
	if m := b.Int("model_type", modelWhisper); m != modelWhisper {
		return nil, fmt.Errorf("attribute \"model_type\" is %d, want %d", m, modelWhisper)
	}
	g, err := buildGeneration(b, modelWhisper)
	if err != nil {
		return nil, err
	}
	if cross {
		return nil, fmt.Errorf("%w: output cross_qk", ErrUnsupported)
	}
	a.stamps.eos, a.stamps.sot = int(g.eos), int(g.start)
	return beamKernel(g, a, beamInputs{processor: 11, temperature: 14}), nil
}
