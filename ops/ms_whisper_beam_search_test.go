package ops_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// whisper gives the request the inputs and attributes that WhisperBeamSearch has beyond BeamSearch's.
func whisper(r *request) {
	if r.forced == nil {
		r.extra = append(r.extra, nil)
	}
	r.extra = append(r.extra, nil, nil, nil, nil)
	if s := r.stamps; s != nil {
		r.extra[len(r.extra)-4] = one(int32(1))
		r.attrs = append(r.attrs, "start_of_lm_token_id", s[1], "translate_token_id", s[2], "transcribe_token_id", s[3],
			"no_timestamps_token_id", s[4], "beginning_timestamp_token_id", s[5])
	}
	if r.IntN(2) == 0 {
		r.heat = 0.5
		r.extra[len(r.extra)-1] = one(r.heat)
	}
}

// TestWhisperBeamSearch compares models, half of them with timestamps, with plain code.
func TestWhisperBeamSearch(t *testing.T) {
	compared, stamped := 0, 0
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := newRequest(seed, "WhisperBeamSearch", 2)
			whisper(r)
			if !compareBeams(t, r) {
				return
			}
			if compared++; r.stamps != nil {
				stamped++
			}
		})
	}
	if compared < 150 || stamped < 60 {
		t.Errorf("%d comparisons, %d with timestamps, want 150 and 60 or more", compared, stamped)
	}
}

func TestWhisperBeamSearchOutputs(t *testing.T) {
	r := newRequest(0, "WhisperBeamSearch", 2)
	r.stamps = nil
	whisper(r)
	as, in := r.node()
	as = with(as, "no_speech_token_id", 3)
	want := make([]float32, r.batch)
	for i := range want {
		x := r.next(i, r.prompt(i))
		sum := 0.0
		for _, v := range x {
			sum += math.Exp(v)
		}
		want[i] = float32(math.Exp(x[3]) / sum)
	}
	n := Node(Case{Op: r.op, Domain: "com.microsoft", Attrs: as, In: in, Want: make([]tensor.Value, 5)}, nil)
	n.Out[1], n.Out[2], n.Out[3] = nil, nil, nil
	got, err := ops.Eval(threads(1), n, in, ops.BuildEnv{Body: Bodies(nil)})
	if err != nil {
		t.Fatal(err)
	}
	if err := tensor.Compare(got[4], tensor.Of(want, r.batch), tensor.Tolerance{Rel: 1e-5}); err != nil {
		t.Error(err)
	}
	n.Attrs = with(as, "no_speech_token_id", -1)
	_, err = ops.Eval(threads(1), n, in, ops.BuildEnv{Body: Bodies(nil)})
	require.ErrorContains(t, err, `attribute "no_speech_token_id" is -1, want a token`)
	bad := func(name string, v any, err string, outs int) Case {
		return Case{Op: r.op, Domain: "com.microsoft", Attrs: with(as, name, v), In: in, Want: make([]tensor.Value, outs), Err: err}
	}
	stamps := bad("beginning_timestamp_token_id", 5, `attribute "start_of_lm_token_id" is -1, want a token`, 1)
	stamps.In = append([]tensor.Value{}, in...)
	stamps.In[11] = one(int32(1))
	Run(t, []Case{
		stamps,
		bad("decoder_output_cross_qk", 1, "not supported: output cross_qk", 1),
		bad("model_type", 1, `attribute "model_type" is 1, want 2`, 1),
		bad("no_speech_token_id", 1, "not supported: output cross_qk", 4),
	})
}
