package optimize

import (
	"maps"
	"slices"
	"sync"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
)

// stage is a list of passes that is repeated until nothing changes.
type stage struct {
	name   string
	passes []pass
}

// stages returns the pipeline of a level: what it rewrites, in order. It is
// shared: nobody may change it.
func stages(l Level) []stage {
	switch l {
	case None:
		return nil
	case Portable:
		return pipeline()[:1]
	}
	return pipeline()
}

// pipeline is the whole of it, put together once.
var pipeline = sync.OnceValue(func() []stage {
	wide := []pass{{name: "precision", doc: "keep values of 16 bits in float32 between operators", run: (*state).precision}}
	all := []stage{{"portable", portable()}, {"machine", append(machine(), tidy()...)},
		{"precision", slices.Concat(wide, machine(), tidy())},
		{"products", append([]pass{
			{name: "dequantized", doc: "rules for quantized constants that no integer operator takes", rules: dequantized},
			{name: "products", doc: "rules that join matrix products with what surrounds them", rules: products},
			{name: "parts", doc: "rules about taking values apart", rules: parts}}, tidy()...)},
		{"layout", append(layout(), tidy()...)},
		{"inputs", append([]pass{
			{name: "conv parts", doc: "rules that let convolutions read the parts of what was joined", rules: convParts},
			{name: "convolutions", doc: "rules that join convolutions with what surrounds them", rules: convolutions}}, tidy()...)},
		{"weights", []pass{{name: "fold", doc: "compute nodes whose inputs are all constant", run: (*state).lift}}}}
	for _, st := range all {
		for i := range st.passes {
			st.passes[i].index = indexOf(st.passes[i].rules)
		}
	}
	return all
})

// machine is what this package knows to make faster here, whether or not the
// result can be saved: its rules may write operators of any opset, of the
// domain com.microsoft, and those of ops.Private.
func machine() []pass {
	return []pass{
		{name: "apart", doc: "rules that take apart what another optimizer has joined", rules: apart},
		{name: "unsigned", doc: "rules that quantize activations to unsigned bytes", rules: unsigned},
		{name: "cse", doc: "compute equal nodes once", run: (*state).cse},
		{name: "selections", doc: "compute only the part of a product that is read", run: (*state).selections},
		{name: "einsums", doc: "rules that write Einsum as products", rules: einsums},
		{name: "block weights", doc: "rules that keep weights which are quantized in blocks as they are", rules: blockWeights},
		{name: "integers", doc: "rules that compute with quantized numbers as they are", rules: integerOps},
		{name: "integer convolutions", doc: "rules that convolve quantized numbers to floats", rules: append(floatConvs, floatConvEnds...)},
		{name: "dynamic integers", doc: "rules that join integer products with the scales of dynamic quantization", rules: dynamicProducts},
		{name: "scans", doc: "rules that compute at once what a Scan computes slice by slice", rules: scans},
		{name: "scatters", doc: "rules that write to slices at once what a scatter writes index by index", rules: scatters},
		{name: "functions", doc: "rules that find functions of single elements", rules: activationForms},
		{name: "convolutions", doc: "rules that join convolutions with what surrounds them", rules: convolutions},
		{name: "norms", doc: "rules that find normalizations", rules: append(channelNorms, norms...)},
		{name: "moves", doc: "rules that shorten and gather what reorders elements", rules: moves},
		{name: "rotaries", doc: "rules that find rotary position embeddings", rules: rotaries},
		{name: "attentions", doc: "rules that find Attention", rules: append(attentionViews, attentions...)},
	}
}

// layout decides in which order convolutions and what lies between them keep
// their dimensions. It comes when nodes are fused, so that there is less to move.
func layout() []pass {
	return []pass{
		{name: "layout", doc: "keep values in the order of dimensions that moves least, convolutions channels-last", run: (*state).arrange},
		{name: "convolutions", doc: "rules that join convolutions with what surrounds them", rules: convolutions},
		{name: "integer convolutions", doc: "rules that join integer convolutions with functions of single elements", rules: floatConvEnds},
		{name: "bounds", doc: "rules that fuse bounds into integer convolutions", rules: boundConvs},
	}
}

// tidy are the portable passes that clean up behind others.
func tidy() []pass {
	var out []pass
	for _, p := range portable() {
		switch p.name {
		case "fold", "identities", "forms", "cse", "dce":
			out = append(out, p)
		}
	}
	return out
}

// machineOpsets are the versions that rules write once the graph is for this
// process alone.
var machineOpsets = map[string]int{"": 24, "com.microsoft": 1, ops.Private: 1}

// anyOpset lets rules write machineOpsets in g and the graphs nested in it
// until restore is called. Nodes that are there keep theirs.
func anyOpset(g *onnx.Graph) (restore func()) {
	old := map[*onnx.Graph]map[string]int{}
	g.Walk(func(h *onnx.Graph) {
		old[h] = h.Opsets
		h.Opsets = maps.Clone(h.Opsets)
		if h.Opsets == nil {
			h.Opsets = map[string]int{}
		}
		maps.Copy(h.Opsets, machineOpsets)
	})
	return func() {
		for h, o := range old {
			h.Opsets = o
		}
	}
}
