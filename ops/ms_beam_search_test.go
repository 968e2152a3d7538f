package ops_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func threads(n int) par.P { return par.P{Threads: n} }

// TestBeamSearch compares models of all types with plain code.
func TestBeamSearch(t *testing.T) {
	for kind := range 3 {
		compared := 0
		for seed := range uint64(120) {
			t.Run(fmt.Sprintf("%d/%d", kind, seed), func(t *testing.T) {
				if compareBeams(t, newRequest(seed, "BeamSearch", kind)) {
					compared++
				}
			})
		}
		if compared < 80 {
			t.Errorf("model_type %d: %d comparisons, want 80 or more", kind, compared)
		}
	}
}

// with returns a copy of as in which a replaces the attribute of its name.
func with(as onnx.Attrs, name string, v any) onnx.Attrs {
	var out onnx.Attrs
	for _, a := range as {
		if a.Name != name {
			out = append(out, a)
		}
	}
	return append(out, onnx.NewAttrs(name, v)...)
}

func TestBeamSearchRefuses(t *testing.T) {
	r := newRequest(3, "BeamSearch", 0)
	r.batch, r.ids, r.mask, r.vocab, r.prefix, r.max, r.beams, r.keep = 1, [][]int32{{1, 2}}, nil, nil, nil, 4, 2, 1
	as, in := r.node()
	pair := newRequest(4, "BeamSearch", 1)
	pair.max = 3
	two, twoIn := pair.node()
	put := func(in []tensor.Value, i int, v tensor.Value) []tensor.Value {
		in = append([]tensor.Value{}, in...)
		for len(in) <= i {
			in = append(in, nil)
		}
		in[i] = v
		return in
	}
	bad := func(as onnx.Attrs, in []tensor.Value, err string) Case {
		return Case{Op: "BeamSearch", Domain: "com.microsoft", Attrs: as, In: in, Want: Vals(nil), Err: err}
	}
	long := tensor.Of([]int32{1, 2}, 2)
	states := r.m.alone("input_ids")
	states.Inputs[3].Type = onnx.UnrankedType(tensor.Float32)
	half := r.m.alone("input_ids")
	half.Inputs[3].Type.DType = tensor.Float16
	shared := r.m.alone("input_ids")
	shared.Inputs[2].Name = "past_sequence_length"
	n := Node(bad(with(as, "decoder", half), in, ""), nil)
	_, _, err := ops.Build(n, ops.BuildEnv{Body: Bodies(nil)})
	require.ErrorIs(t, err, ops.ErrUnsupported)
	require.ErrorContains(t, err, "a decoder with states or logits of float16")
	n = Node(bad(with(as, "decoder", states), in, ""), nil)
	_, _, err = ops.Build(n, ops.BuildEnv{Body: Bodies(nil)})
	require.ErrorIs(t, err, ops.ErrUnsupported)
	Run(t, []Case{
		bad(as, put(in, 1, one(int32(2))), "max_length is 2, want more than the 2 tokens there are at first"),
		bad(as, put(in, 1, long), "max_length is int32 [2], want one int32"),
		bad(as, put(in, 3, one(int32(0))), "num_beams is 0, want 1 to 128"),
		bad(as, put(in, 3, one(int32(129))), "num_beams is 129, want 1 to 128"),
		bad(as, put(in, 4, one(int32(3))), "num_return_sequences is 3, want 1 to 2"),
		bad(as, put(in, 6, one(float32(0))), "repetition_penalty is 0, want a positive number"),
		bad(as, put(in, 7, long), fmt.Sprintf("vocab_mask is int32 [2], want int32 [%d]", r.m.vocab)),
		bad(as, put(in, 8, long), "prefix_vocab_mask is int32 [2], want int32 [1"),
		bad(as, put(in, 9, long), "attention_mask is int32 [2], want int32 [1 2]"),
		bad(as, put(in, 11, one(int32(-1))), "logits_processor is -1, want 0 or more"),
		bad(as, put(in, 0, tensor.New(tensor.Int32, 0, 2)), "input_ids is int32 [0 2]"),
		bad(as, put(in, 0, tensor.New(tensor.Int32, 1, 0)), "input_ids is int32 [1 0]"),
		bad(as, put(in, 0, tensor.New(tensor.Int64, 1, 2)), "element type int64 of input 0"),
		bad(with(as, "model_type", 3), in, "not supported: attribute \"model_type\" is 3"),
		bad(with(as, "vocab_size", r.m.vocab+1), in, fmt.Sprintf("want %d in the last dimension", r.m.vocab+1)),
		bad(with(as, "vocab_size", 1), in, "a vocabulary of 1, want two tokens or more"),
		bad(with(as, "decoder", r.m.alone("ids")), in, `input 0 of decoder is "ids", want "input_ids"`),
		bad(with(as, "decoder", shared), in, "not supported: a decoder that takes past_sequence_length"),
		bad(with(as, "model_type", 1), in, `attribute "encoder" is missing`),
		bad(with(two, "decoder_start_token_id", -1), twoIn, `attribute "decoder_start_token_id" is -1, want a token`),
		bad(with(two, "encoder", r.m.alone("encoder_input_ids")), twoIn, "encoder has 4 inputs, want 2"),
		bad(onnx.NewAttrs("eos_token_id", 1, "decoder", r.m.alone("input_ids")), in, `attribute "pad_token_id" is missing`),
		bad(as, put(in, 1, one(int32(4097))), "max_length is 4097, want at most 4096"),
	})
}

// TestBeamSearchParts: a graph for the first step alone, fewer tokens than logits, and logits_processor without Whisper.
func TestBeamSearchParts(t *testing.T) {
	r := newRequest(11, "BeamSearch", 0)
	r.mask, r.vocab, r.prefix = nil, nil, nil
	as, in := r.node()
	in = append(in, nil, nil)[:12]
	in[11] = one(int32(1))
	c := Case{Op: "BeamSearch", Domain: "com.microsoft", Attrs: as, In: in, Want: make([]tensor.Value, 2), Tol: tensor.Tolerance{Rel: 1e-4, Abs: 1e-4}}
	out, scores, _ := r.search(t)
	c.Want = Vals(tensor.Of(out, r.batch, r.keep, r.max), tensor.Of(scores, r.batch, r.keep))
	Run(t, []Case{c})

	// What begins with other embeddings goes on as if they had been those of the prompt's end.
	first := newToy(r.Rand, r.m.vocab, 0)
	r.begin = first
	out, scores, _ = r.search(t)
	c.Want = Vals(tensor.Of(out, r.batch, r.keep, r.max), tensor.Of(scores, r.batch, r.keep))
	c.Attrs = with(as, "init_decoder", first.alone("input_ids"))
	Run(t, []Case{c})

	r.begin = nil
	all := *r.m
	r.m.vocab -= 2 // the last two are padding
	r.m.wide = all.vocab
	r.eos = 1
	for i := range r.ids {
		for j := range r.ids[i] {
			r.ids[i][j] %= int32(r.m.vocab)
		}
	}
	if r.pad >= int32(r.m.vocab) {
		r.pad = 0
	}
	out, scores, _ = r.search(t)
	full := *r
	full.m = &all
	as, in = full.node()
	Run(t, []Case{{
		Op: "BeamSearch", Domain: "com.microsoft", Attrs: with(as, "vocab_size", r.m.vocab), In: in, Tol: c.Tol,
		Want: Vals(tensor.Of(out, r.batch, r.keep, r.max), tensor.Of(scores, r.batch, r.keep)),
	}})
}
