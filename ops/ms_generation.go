package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// The operators of com.microsoft that generate text run a decoder step by step. What they
// have in common is here: their graphs, what these take and give, and the inputs that say
// how to generate. A token is an int32.
//
// model_type 0, a decoder alone (GPT-2):
//
//	decoder: input_ids[b, s], position_ids[b, s], attention_mask[b, p+s], past_i[2, b, heads, p, size]…
//	         → logits[b, s, vocab], present_i[2, b, heads, p+s, size]…
//
// model_type 1, encoder and decoder (T5), of which the encoder takes the first step where it has three inputs:
//
//	encoder: encoder_input_ids[b, e], encoder_attention_mask[b, e] → present_key_cross_i[b, heads, e, size], present_value_cross_i…
//	or:      …, decoder_input_ids[b, 1] → logits[b, 1, vocab], encoder_hidden_states[b, e, hidden],
//	         present_key_self_i[b, heads, 1, size], present_value_self_i…, present_key_cross_i, present_value_cross_i…
//	decoder: input_ids[b, 1], encoder_attention_mask, encoder_hidden_states (or not), past_key_self_i, past_value_self_i…,
//	         past_key_cross_i, past_value_cross_i… → logits[b, 1, vocab], present_key_self_i, present_value_self_i…
//
// model_type 2 (Whisper) is like the second of these without masks, and with float32 features as the
// encoder's input and a list of tokens as decoder_input_ids. A decoder whose input_ids has no fixed
// length of 1 gets the whole sequence in each step.
//
// ONNX Runtime repeats the prompt for each beam before the first step; here the results are repeated.
const (
	modelDecoder = iota
	modelEncoderDecoder
	modelWhisper
)

// generation is what Build finds out about one of these operators.
type generation struct {
	model            int
	eos, pad, start  int32
	ngram, vocab     int
	encoder, initial Body // nil where there is none
	decoder          Body
	heads, size      int  // of the states of a decoder alone
	first            int  // the first of the decoder's inputs that is a state
	grow             int  // states that grow with each step
	hidden           bool // the decoder takes encoder_hidden_states
	whole            bool // the decoder takes the whole sequence
	begun            bool // the encoder takes the first step
	logSoftmax       lines
}

// token reads an attribute that is one; at least says what it must not be below.
func (b *BuildContext) token(name string, def int) int32 {
	v := b.Int(name, def)
	if v != int(int32(v)) {
		b.Fail("attribute %q is %d, want an int32", name, v)
	}
	return int32(v)
}

func buildGeneration(b *BuildContext, model int) (*generation, error) {
	for _, name := range []string{"eos_token_id", "pad_token_id"} {
		if !b.HasAttr(name) {
			return nil, fmt.Errorf("attribute %q is missing", name)
		}
	}
	g := &generation{
		model: b.Int("model_type", model), eos: b.token("eos_token_id", -1), pad: b.token("pad_token_id", -1), start: b.token("decoder_start_token_id", -1),
		ngram: b.Int("no_repeat_ngram_size", 0), vocab: b.Int("vocab_size", -1), logSoftmax: logSoftmaxLines(vec.Best()),
	}
	initial := b.Graph("init_decoder")
	var err error
	if g.decoder, err = b.Body("decoder"); err != nil {
		return nil, err
	}
	names := inputNames(b.Graph("decoder"))
	for _, name := range names {
		if name == "past_sequence_length" {
			return nil, fmt.Errorf("%w: a decoder that takes past_sequence_length writes its states in place", ErrUnsupported)
		}
	}
	switch g.model {
	case modelDecoder:
		b.Ignore("encoder")
		err = g.alone(b, names, initial)
	case modelEncoderDecoder, modelWhisper:
		err = g.paired(b, names)
	default:
		err = fmt.Errorf("%w: attribute \"model_type\" is %d", ErrUnsupported, g.model)
	}
	if d := b.In(0).DType; err == nil && d != tensor.Undefined && d != g.idType() {
		err = unsupportedType(0, d)
	}
	return g, err
}

// idType returns the element type of input 0.
func (g *generation) idType() tensor.DType {
	if g.model == modelWhisper {
		return tensor.Float32
	}
	return tensor.Int32
}

func inputNames(g *onnx.Graph) []string {
	names := make([]string, len(g.Inputs))
	for i, v := range g.Inputs {
		names[i] = v.Name
	}
	return names
}

// alone reads the graphs of a decoder without an encoder.
func (g *generation) alone(b *BuildContext, names []string, initial *onnx.Graph) error {
	g.first, g.grow = 3, len(g.decoder.Out())-1
	if err := g.named("decoder", names, "input_ids", "position_ids", "attention_mask", "past_0"); err != nil {
		return err
	}
	if g.grow < 1 || len(names) != g.first+g.grow {
		return fmt.Errorf("decoder has %d inputs and %d outputs, want logits, a state or more and two inputs more than outputs", len(names), g.grow+1)
	}
	t := g.decoder.In()[g.first]
	if t.Rank() != 5 {
		return fmt.Errorf("%w: past_0 of decoder is %v, want five dimensions", ErrUnsupported, t)
	}
	var ok, fixed bool
	g.heads, ok = t.Dims[2].Size()
	g.size, fixed = t.Dims[4].Size()
	if !ok || !fixed || g.heads < 1 || g.size < 1 {
		return fmt.Errorf("%w: past_0 of decoder is %v, want a fixed number of heads and their size in dimensions 2 and 4", ErrUnsupported, t)
	}
	if initial == nil {
		return floats(g.decoder, g.first)
	}
	var err error
	if g.initial, err = b.Body("init_decoder"); err != nil {
		return err
	}
	if in, out := len(g.initial.In()), len(g.initial.Out()); in != len(names) || out != g.grow+1 {
		return fmt.Errorf("init_decoder has %d inputs and %d outputs, want %d and %d as decoder has", in, out, len(names), g.grow+1)
	}
	return floats(g.decoder, g.first)
}

// paired reads the graphs of an encoder and a decoder.
func (g *generation) paired(b *BuildContext, names []string) error {
	var err error
	if g.encoder, err = b.Body("encoder"); err != nil {
		return err
	}
	want := []string{"input_ids", "encoder_attention_mask", "encoder_hidden_states"}
	encoder := []string{"encoder_input_ids", "encoder_attention_mask", "decoder_input_ids"}
	if g.model == modelWhisper {
		want, encoder = []string{"input_ids", "encoder_hidden_states"}, []string{"encoder_input_ids", "decoder_input_ids"}
	}
	g.first = len(want)
	g.hidden = len(names) >= len(want) && names[len(want)-1] == "encoder_hidden_states"
	if !g.hidden {
		g.first--
	}
	if err := g.named("decoder", names, want[:g.first]...); err != nil {
		return err
	}
	in := inputNames(b.Graph("encoder"))
	g.begun = g.model == modelWhisper || len(in) == 3
	if !g.begun {
		encoder = encoder[:2]
	}
	if len(in) != len(encoder) {
		return fmt.Errorf("encoder has %d inputs, want %d", len(in), len(encoder))
	}
	if err := g.named("encoder", in, encoder...); err != nil {
		return err
	}
	g.grow = len(g.decoder.Out()) - 1
	if g.grow < 2 || g.grow%2 != 0 || len(names) != g.first+2*g.grow {
		return fmt.Errorf("decoder has %d inputs and %d outputs, want logits, two states a layer and four of them as inputs", len(names), g.grow+1)
	}
	made := g.grow
	if g.begun {
		made += g.grow + 2
	}
	if n := len(g.encoder.Out()); n != made {
		return fmt.Errorf("encoder has %d outputs, want %d for the %d states of decoder", n, made, g.grow)
	}
	if !g.begun && g.hidden {
		return fmt.Errorf("%w: a decoder that takes encoder_hidden_states of an encoder that gives none", ErrUnsupported)
	}
	if g.start < 0 && g.model == modelEncoderDecoder {
		return fmt.Errorf("attribute \"decoder_start_token_id\" is %d, want a token", g.start)
	}
	g.whole = true
	if t := g.decoder.In()[0]; t.Rank() == 2 {
		n, ok := t.Dims[1].Size()
		g.whole = !ok || n != 1
	}
	return floats(g.decoder, g.first)
}

// named says whether inputs have the names that tell what they are.
func (g *generation) named(graph string, names []string, want ...string) error {
	for i, w := range want {
		switch {
		case i >= len(names):
			return fmt.Errorf("%s has %d inputs, want %d or more", graph, len(names), len(want))
		case names[i] != w:
			return fmt.Errorf("input %d of %s is %q, want %q", i, graph, names[i], w)
		}
	}
	return nil
}

// floats says whether logits and states are, as far as known, float32.
func floats(decoder Body, first int) error {
	for _, ts := range [][]onnx.Type{decoder.In()[first:], decoder.Out()} {
		for _, t := range ts {
			if t.DType != tensor.Undefined && t.DType != tensor.Float32 {
				return fmt.Errorf("%w: a decoder with states or logits of %v, want float32", ErrUnsupported, t.DType)
			}
		}
	}
	return nil
}

// inferGeneration infers the graphs, whose inputs have of the declared shapes what does not
// depend on a step. It returns the sizes of the batch and of max_length.
func inferGeneration(c *InferContext, model int) (batch, length onnx.Dim, err error) {
	model = c.Int("model_type", model)
	graphs := []string{"decoder", "init_decoder"}
	switch model {
	case modelDecoder:
	case modelEncoderDecoder, modelWhisper:
		graphs = []string{"encoder", "decoder"}
	default:
		return batch, length, fmt.Errorf("%w: attribute \"model_type\" is %d", ErrUnsupported, model)
	}
	for _, name := range graphs {
		g := c.Graph(name)
		if g == nil {
			if name == "init_decoder" {
				continue
			}
			return batch, length, fmt.Errorf("attribute %q is missing", name)
		}
		in := make([]onnx.Type, len(g.Inputs))
		for i, v := range g.Inputs {
			in[i] = steadyType(v.Type)
		}
		if _, err := c.Body(g, in); err != nil {
			return batch, length, fmt.Errorf("%s: %w", name, err)
		}
	}
	if t := c.In(0); t.Ranked && len(t.Dims) > 0 {
		batch = t.Dims[0]
	}
	return batch, c.oneInt(1), nil
}

// oneInt returns what is known of input i, one integer.
func (c *InferContext) oneInt(i int) onnx.Dim {
	if v, ok := c.KnownInts(i); ok && len(v) == 1 {
		return v[0]
	}
	return onnx.Dim{}
}

// steadyType returns what of a graph's input holds in each step: of states, 2 for key and value, the number of
// heads and their size, of tokens, a length of 1.
func steadyType(t onnx.Type) onnx.Type {
	if t.Kind != onnx.TensorKind || !t.Ranked {
		return t
	}
	var keep []int
	switch len(t.Dims) {
	case 2:
		if n, ok := t.Dims[1].Size(); ok && n == 1 && t.DType == tensor.Int32 {
			keep = []int{1}
		}
	case 4:
		keep = []int{1, 3}
	case 5:
		keep = []int{0, 2, 4}
	}
	dims := make([]onnx.Dim, len(t.Dims))
	for _, i := range keep {
		if n, ok := t.Dims[i].Size(); ok {
			dims[i] = onnx.Size(n)
		}
	}
	t.Dims = dims
	return t
}

// optional returns input i, or nil if it is absent or i is negative.
func (c *Call) optional(i int) *tensor.Tensor {
	if i < 0 {
		return nil
	}
	return c.T(i)
}

// oneInt32 returns input i, an int32, or def if it is absent.
func (c *Call) oneInt32(i int, name string, def int) (int, error) {
	t := c.optional(i)
	if t == nil {
		return def, nil
	}
	if t.DType() != tensor.Int32 || t.Len() != 1 {
		return 0, fmt.Errorf("%s is %v, want one int32", name, t)
	}
	return int(tensor.Data[int32](t)[0]), nil
}

// oneFloat32 returns input i, a float32, or def if it is absent.
func (c *Call) oneFloat32(i int, name string, def float32) (float32, error) {
	t := c.optional(i)
	if t == nil {
		return def, nil
	}
	if t.DType() != tensor.Float32 || t.Len() != 1 {
		return 0, fmt.Errorf("%s is %v, want one float32", name, t)
	}
	return tensor.Data[float32](t)[0], nil
}

// int32sOf returns input i, int32 of the given shape, or nil if it is absent.
func (c *Call) int32sOf(i int, name string, shape ...int) ([]int32, error) {
	t := c.optional(i)
	if t == nil {
		return nil, nil
	}
	same := t.DType() == tensor.Int32 && t.Rank() == len(shape)
	for k := 0; same && k < len(shape); k++ {
		same = t.Dim(k) == shape[k]
	}
	if !same {
		return nil, fmt.Errorf("%s is %v, want int32 %v", name, t, append([]int{}, shape...))
	}
	return tensor.Data[int32](t), nil
}

// lowest is what scores of tokens that are not allowed become.
const lowest = -math.MaxFloat32
