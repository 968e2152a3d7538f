package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// decoder is a session whose inputs and outputs are known by their use.
type decoder struct {
	s             *gneiss.Session
	ids           gneiss.ValueInfo
	mask, pos     *gneiss.ValueInfo // nil: the model has none
	logits        string
	vocabulary    int // 0: not known
	cached        bool
	past, present []string                // in pairs
	empty         map[string]gneiss.Value // the cache of no tokens
}

// newDecoder finds what the model of s takes and gives. Without cache the
// decoder computes all tokens at every step.
func newDecoder(s *gneiss.Session, cache bool) (*decoder, error) {
	d := &decoder{s: s, empty: map[string]gneiss.Value{}}
	outputs := s.Outputs()
	present := map[string]string{} // by the name without prefix
	for _, o := range outputs {
		if key, ok := cacheKey(o.Name, "present_key_values", "present_key_value", "present"); ok {
			present[key] = o.Name
		}
	}
	var pasts []gneiss.ValueInfo
	for _, in := range s.Inputs() {
		key, past := cacheKey(in.Name, "past_key_values", "past_key_value", "past")
		switch {
		case in.Name == "input_ids":
			d.ids = in
		case in.Name == "attention_mask":
			d.mask = &in
		case in.Name == "position_ids":
			d.pos = &in
		case past:
			out, ok := present[key]
			if !ok {
				return nil, fmt.Errorf("no output for input %q, want %q", in.Name, "present"+key)
			}
			pasts = append(pasts, in)
			d.past, d.present = append(d.past, in.Name), append(d.present, out)
		case !in.Optional:
			return nil, fmt.Errorf("input %q is not one that the program knows", in.Name)
		}
	}
	if d.ids.Name == "" {
		return nil, fmt.Errorf("no input input_ids; this is not a decoder of text")
	}
	for _, in := range []*gneiss.ValueInfo{&d.ids, d.mask, d.pos} {
		if in == nil {
			continue
		}
		if t := in.Type; t.Kind != onnx.TensorKind || t.DType != tensor.Int64 && t.DType != tensor.Int32 || t.Ranked && len(t.Dims) != 2 {
			return nil, fmt.Errorf("input %q is %v, want int64[1,length] or int32", in.Name, t)
		}
	}
	for _, in := range pasts {
		shape, err := emptyCache(in.Type, d.ids.Type)
		if err != nil {
			return nil, fmt.Errorf("input %q is %v: %w", in.Name, in.Type, err)
		}
		d.empty[in.Name] = tensor.New(in.Type.DType, shape...)
	}
	at := slices.IndexFunc(outputs, func(o gneiss.ValueInfo) bool { return o.Name == "logits" })
	if at < 0 {
		return nil, fmt.Errorf("no output logits; was the model exported with its language-model head?")
	}
	o := outputs[at]
	d.logits = o.Name
	if n := o.Type.Rank(); n > 0 {
		d.vocabulary, _ = o.Type.Dims[n-1].Size()
	}
	d.cached = cache && len(d.past) > 0
	return d, nil
}

// cacheKey returns name without the first prefix that it has.
func cacheKey(name string, prefixes ...string) (string, bool) {
	for _, p := range prefixes {
		if key, ok := strings.CutPrefix(name, p); ok {
			return key, true
		}
	}
	return "", false
}

// emptyCache returns the shape of a cache input of type t with no tokens: the
// batch is 1 and the one other open size, the length, is 0.
func emptyCache(t, ids onnx.Type) ([]int, error) {
	if t.Kind != onnx.TensorKind || !t.Ranked || !t.DType.IsFloat() {
		return nil, fmt.Errorf("want a float tensor of known rank")
	}
	shape := make([]int, len(t.Dims))
	lengths := 0
	for i, dim := range t.Dims {
		n, known := dim.Size()
		switch {
		case known:
			shape[i] = n
		case i == 0 || ids.Ranked && dim.Equal(ids.Dims[0]):
			shape[i] = 1
		default:
			lengths++
		}
	}
	if lengths != 1 {
		return nil, fmt.Errorf("%d of its sizes are open besides the batch, want one: the length", lengths)
	}
	return shape, nil
}

// state is a text as far as it was computed.
type state struct {
	tokens []int
	cache  map[string]gneiss.Value // nil: empty
}

// step adds tokens to the text and returns the logits that follow the last of
// them. After an error the state is as it was before.
func (d *decoder) step(ctx context.Context, st *state, tokens []int) ([]float32, error) {
	for _, t := range tokens {
		if d.vocabulary > 0 && t >= d.vocabulary {
			return nil, fmt.Errorf("token %d is not in the model's vocabulary of %d", t, d.vocabulary)
		}
	}
	all := slices.Concat(st.tokens, tokens)
	past, cache := len(st.tokens), st.cache
	if !d.cached || cache == nil {
		past, cache, tokens = 0, d.empty, all
	}
	in := make(map[string]gneiss.Value, 3+len(cache))
	for name, v := range cache {
		in[name] = v
	}
	in[d.ids.Name] = row(d.ids, len(tokens), func(i int) int { return tokens[i] })
	if d.mask != nil {
		in[d.mask.Name] = row(*d.mask, len(all), func(int) int { return 1 })
	}
	if d.pos != nil {
		in[d.pos.Name] = row(*d.pos, len(tokens), func(i int) int { return past + i })
	}
	want := []string{d.logits}
	if d.cached {
		want = append(want, d.present...)
	}
	out, err := d.s.Run(ctx, in, want...)
	if err != nil {
		return nil, err
	}
	t, ok := out[d.logits].(*gneiss.Tensor)
	if !ok || !t.DType().IsFloat() || t.Len() == 0 || t.Rank() == 0 {
		return nil, fmt.Errorf("output %q is %v, want float[1,length,vocabulary]", d.logits, out[d.logits])
	}
	st.tokens = all
	if d.cached {
		st.cache = make(map[string]gneiss.Value, len(d.past))
		for i, name := range d.past {
			st.cache[name] = out[d.present[i]]
		}
	}
	vocabulary := t.Dim(t.Rank() - 1)
	last := make([]float32, vocabulary)
	tensor.WidenTo(last, t, t.Len()-vocabulary)
	return last, nil
}

// row returns an input of one row.
func row(in gneiss.ValueInfo, n int, value func(i int) int) *gneiss.Tensor {
	t := tensor.New(in.Type.DType, 1, n)
	for i := range n {
		if t.DType() == tensor.Int32 {
			gneiss.Data[int32](t)[i] = int32(value(i))
		} else {
			gneiss.Data[int64](t)[i] = int64(value(i))
		}
	}
	return t
}

// generate continues prompt: it calls yield with each new token until yield
// returns false.
func (d *decoder) generate(ctx context.Context, prompt []int, pick sampler, yield func(token int) bool) error {
	st := &state{}
	next := prompt
	for {
		logits, err := d.step(ctx, st, next)
		if err != nil {
			return err
		}
		token, err := pick(logits)
		if err != nil {
			return err
		}
		if !yield(token) {
			return nil
		}
		next = []int{token}
	}
}
