package ops_test

import (
	"fmt"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

// TestGreedySearch compares decoders with plain code.
func TestGreedySearch(t *testing.T) {
	for seed := range uint64(150) {
		r := newRequest(seed, "GreedySearch", 0)
		r.pick = first
		as, in := r.node()
		Run(t, []Case{{
			Name: fmt.Sprint(seed), Op: r.op, Domain: "com.microsoft", Attrs: as, In: in,
			Want: Vals(tensor.Of(r.greedy(), r.batch, r.max)),
		}})
	}
	r := newRequest(1, "GreedySearch", 0)
	as, in := r.node()
	pair := newRequest(2, "GreedySearch", 1)
	two, twoIn := pair.node()
	Run(t, []Case{
		{Op: r.op, Domain: "com.microsoft", Attrs: two, In: twoIn, Want: Vals(nil), Err: `not supported: attribute "model_type" is 1`},
		{Op: r.op, Domain: "com.microsoft", Attrs: as, In: append(in[:1:1], one(int32(0))), Want: Vals(nil), Err: "max_length is 0"},
	})
}
