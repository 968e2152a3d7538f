package ops_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/internal/shared"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/onnx/schema"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func opName(domain, name string) string {
	if domain == "" {
		domain = "ai.onnx"
	}
	return domain + "." + name
}

// registered calls f for every version of the standard's table that an operator
// of the registry covers, with the Version that it resolves to.
func registered(t *testing.T, f func(id string, s *schema.Op, v *ops.Version)) {
	for _, o := range ops.Standard().All() {
		for _, s := range schema.Versions(o.Domain, o.Name) {
			if s.Deprecated {
				continue
			}
			id := fmt.Sprintf("%s %d", opName(o.Domain, o.Name), s.Since)
			_, v, err := ops.Standard().Lookup(o.Domain, o.Name, s.Since)
			if err != nil {
				t.Errorf("%s: %v", id, err)
				continue
			}
			f(id, s, v)
		}
	}
}

// outside lists what the registry has beyond the table, and why.
var outside = map[string]string{
	"ai.onnx.LayerNormalization 1":         "ONNX Runtime writes it before opset 17 too",
	"ai.onnx.SimplifiedLayerNormalization": "ONNX Runtime writes it",
	"qonnx.custom_op.general.BipolarQuant": "QONNX and Brevitas write it",
	"qonnx.custom_op.general.IntQuant":     "QONNX and Brevitas write it",
	"qonnx.custom_op.general.Quant":        "QONNX and Brevitas write it",
	"qonnx.custom_op.general.Trunc":        "QONNX and Brevitas write it",
}

// slips lists where the registry does not follow the table, and why.
var slips = map[string]string{
	"ai.onnx.GRU 1 outputs":      "version 3 has 0 to 2, as RNN and LSTM have in version 1",
	"ai.onnx.GRU 1 direction":    `the table's default is "foward"`,
	"ai.onnx.RNN 1 activations":  "one Tanh for each direction",
	"ai.onnx.RNN 7 activations":  "one Tanh for each direction",
	"ai.onnx.RNN 14 activations": "one Tanh for each direction",
	"ai.onnx.RNN 22 activations": "one Tanh for each direction",
}

// Every operator is in the standard's table, no Version begins where the table
// has none, and each takes as many inputs and outputs as the table says.
func TestRegistryVersions(t *testing.T) {
	for _, o := range ops.Standard().All() {
		vs := schema.Versions(o.Domain, o.Name)
		if len(vs) == 0 {
			if o.Domain == "x" || outside[opName(o.Domain, o.Name)] != "" { // x: private, what rules write
				continue
			}
			t.Errorf("%s is not in the table", opName(o.Domain, o.Name))
			continue
		}
		for _, v := range o.Versions {
			if outside[fmt.Sprintf("%s %d", opName(o.Domain, o.Name), v.Since)] == "" && !slices.ContainsFunc(vs, func(s *schema.Op) bool { return s.Since == v.Since }) {
				t.Errorf("%s: the table has no version %d", opName(o.Domain, o.Name), v.Since)
			}
		}
	}
	registered(t, func(id string, s *schema.Op, v *ops.Version) {
		if want := (ops.Arity{Min: s.MinInput, Max: s.MaxInput}); v.In != want {
			t.Errorf("%s: %v inputs, want %v", id, v.In, want)
		}
		if want := (ops.Arity{Min: s.MinOutput, Max: s.MaxOutput}); v.Out != want && slips[id+" outputs"] == "" {
			t.Errorf("%s: %v outputs, want %v", id, v.Out, want)
		}
	})
}

// The table in the tree is the one of the shared data.
func TestRegistrySchemaFile(t *testing.T) {
	b, err := os.ReadFile(shared.File(t, "conformance", "schema.json"))
	require.NoError(t, err)
	var list []struct {
		Domain, Name string
		Since        int
		MinInput     int `json:"min_input"`
		MaxInput     int `json:"max_input"`
		Attributes   map[string]struct{ Default any }
	}
	require.NoError(t, json.Unmarshal(b, &list))
	require.Len(t, schema.All(), len(list))
	for _, want := range list {
		got := schema.Lookup(want.Domain, want.Name, want.Since)
		require.NotNil(t, got, want.Name)
		assert.Equal(t, []int{want.Since, want.MinInput, want.MaxInput}, []int{got.Since, got.MinInput, got.MaxInput}, want.Name)
		require.Len(t, got.Attributes, len(want.Attributes), want.Name)
		for name, a := range want.Attributes {
			assert.Equal(t, a.Default, got.Attributes[name].Default, "%s.%s", want.Name, name)
		}
	}
}

// plausible has attribute values that an operator does not refuse, where those
// of their type's would be: by name, or by operator and name.
var plausible = map[string]any{
	"BitShift.direction":               "LEFT",
	"Cast.to":                          int64(tensor.Float32),
	"Momentum.mode":                    "standard",
	"TfIdfVectorizer.mode":             "TF",
	"TfIdfVectorizer.ngram_counts":     []int64{0},
	"TfIdfVectorizer.ngram_indexes":    []int64{0},
	"TfIdfVectorizer.pool_int64s":      []int64{1},
	"TfIdfVectorizer.pool_strings":     []string{"a"},
	"MatMulNBits.K":                    int64(32),
	"MatMulNBits.N":                    int64(2),
	"MatMulNBits.bits":                 int64(4),
	"MatMulNBits.block_size":           int64(32),
	"MatMulBnb4.K":                     int64(32),
	"MatMulBnb4.N":                     int64(2),
	"MatMulBnb4.block_size":            int64(32),
	"MatMulBnb4.quant_type":            int64(1),
	"MRotaryEmbedding.mrope_section":   []int64{1, 1, 0},
	"LabelEncoder.keys_tensor":         tensor.Of([]int64{1}),
	"LabelEncoder.values_tensor":       tensor.Of([]int64{1}),
	"LabelEncoder.keys_int64s":         []int64{1},
	"LabelEncoder.values_int64s":       []int64{1},
	"SVMClassifier.classlabels_ints":   []int64{0, 1},
	"SVMClassifier.rho":                []float32{0},
	"SVMClassifier.vectors_per_class":  []int64{1, 1},
	"SVMClassifier.support_vectors":    []float32{0, 1},
	"SVMClassifier.coefficients":       []float32{0, 1},
	"GroupQueryAttention.k_quant_type": "NONE",
	"GroupQueryAttention.v_quant_type": "NONE",
}

// ports has what operators want graphs to look like: names of inputs, their type and the number of outputs.
var ports = map[string]struct {
	in     string
	states onnx.Type
	out    int
}{
	"BeamSearch.decoder":        {"input_ids position_ids attention_mask past_0", gptState, 2},
	"BeamSearch.init_decoder":   {"input_ids position_ids attention_mask past_0", gptState, 2},
	"GreedySearch.decoder":      {"input_ids position_ids attention_mask past_0", gptState, 2},
	"GreedySearch.init_decoder": {"input_ids position_ids attention_mask past_0", gptState, 2},
	"Sampling.decoder":          {"input_ids position_ids attention_mask past_0", gptState, 2},
	"Sampling.init_decoder":     {"input_ids position_ids attention_mask past_0", gptState, 2},
	"WhisperBeamSearch.decoder": {"input_ids k v ck cv", onnx.UnrankedType(tensor.Float32), 3},
	"WhisperBeamSearch.encoder": {"encoder_input_ids decoder_input_ids", onnx.UnrankedType(tensor.Float32), 6},
}

var gptState = onnx.TensorType(tensor.Float32, onnx.Sizes(2, 1, 1, 0, 1)...)

// together lists attributes of which an operator wants some, though each is
// optional.
var together = map[string][][]string{
	"LabelEncoder":      {{"keys_floats", "values_floats"}, {"keys_int64s", "values_int64s"}, {"keys_strings", "values_strings"}, {"keys_tensor", "values_tensor"}},
	"RandomNormalLike":  {{"dtype"}},
	"WhisperBeamSearch": {{"encoder"}},
	"RandomUniformLike": {{"dtype"}},
	"EyeLike":           {{"dtype"}},
	"SVMClassifier":     {{"classlabels_ints", "coefficients", "rho", "support_vectors", "vectors_per_class"}},
}

// attributeValue returns a value for an attribute: the default if it has one.
func attributeValue(g *onnx.Graph, s *schema.Op, name string, inputs int) any {
	a := s.Attributes[name]
	for _, key := range []string{s.Name + "." + name, name} {
		if v, ok := plausible[key]; ok && (s.Name != "Cast" || a.Type == "INT") {
			return v
		}
	}
	list, _ := a.Default.([]any)
	switch a.Type {
	case "INT":
		if d, ok := a.Default.(float64); ok {
			return int64(d)
		}
		return int64(1)
	case "FLOAT":
		if d, ok := a.Default.(float64); ok {
			return float32(d)
		}
		return float32(1)
	case "STRING":
		if s.Name == "Cast" {
			return "FLOAT"
		}
		if d, ok := a.Default.(string); ok {
			return d
		}
		return "a"
	case "INTS":
		v := []int64{}
		for _, x := range list {
			v = append(v, int64(x.(float64)))
		}
		if a.Default == nil {
			v = append(v, 1, 1)
		}
		return v
	case "FLOATS":
		v := []float32{}
		for _, x := range list {
			v = append(v, float32(x.(float64)))
		}
		if a.Default == nil {
			v = append(v, 1)
		}
		return v
	case "STRINGS":
		v := []string{}
		for _, x := range list {
			v = append(v, x.(string))
		}
		if a.Default == nil {
			v = append(v, "a")
		}
		return v
	case "TENSOR":
		return tensor.Of([]float32{1})
	case "SPARSE_TENSOR":
		return &tensor.Sparse{Values: tensor.Of([]float32{1}), Indices: tensor.Of([]int64{0}), Shape: []int{1}}
	case "TYPE_PROTO":
		return onnx.TensorType(tensor.Float32)
	case "GRAPH":
		b := g.NewBody("body")
		if ports, ok := ports[s.Name+"."+name]; ok {
			for _, p := range strings.Fields(ports.in) {
				b.AddInput(p, ports.states)
			}
			for range ports.out {
				b.Outputs = append(b.Outputs, b.Inputs[0])
			}
			return b
		}
		if s.Name == "Loop" {
			b.AddInput("", onnx.TensorType(tensor.Int64))
			b.Outputs = append(b.Outputs, b.AddInput("", onnx.TensorType(tensor.Bool)))
			for range inputs - 2 {
				b.Outputs = append(b.Outputs, b.AddInput("", onnx.UnrankedType(tensor.Float32)))
			}
			return b
		}
		x := b.AddInput("", onnx.UnrankedType(tensor.Float32))
		b.Outputs = []*onnx.Value{x}
		return b
	}
	panic("attribute of type " + a.Type)
}

// schemaType returns the type that the table spells "tensor(float)".
func schemaType(s string, dims ...onnx.Dim) onnx.Type {
	kind, rest, _ := strings.Cut(strings.TrimSuffix(s, ")"), "(")
	switch kind {
	case "tensor":
		if rest == "float" {
			rest = "float32"
		}
		if rest == "double" {
			rest = "float64"
		}
		for d := tensor.DType(1); d.Valid(); d++ {
			if d.String() == rest {
				t := onnx.UnrankedType(d)
				if dims != nil {
					t = onnx.TensorType(d, dims...)
				}
				return t
			}
		}
		return onnx.Type{}
	case "map":
		key, value, _ := strings.Cut(rest, ", ")
		e := schemaType("tensor("+value+")", []onnx.Dim{}...)
		return onnx.Type{Kind: onnx.MapKind, DType: schemaType("tensor(" + key + ")").DType, Elem: &e}
	case "seq", "optional":
		e := schemaType(rest, dims...)
		if e.Kind == onnx.UnknownKind {
			return e
		}
		k := onnx.SequenceKind
		if kind == "optional" {
			k = onnx.OptionalKind
		}
		return onnx.Type{Kind: k, Elem: &e}
	}
	return onnx.Type{}
}

// pick returns a type of a variable's: float if it may be.
func pick(s *schema.Op, variable string) string {
	list, ok := s.Types[variable]
	if !ok {
		return variable
	}
	for _, want := range []string{"tensor(float)", "tensor(int64)", "tensor(uint8)", "seq(tensor(float))"} {
		if slices.Contains(list, want) {
			return want
		}
	}
	return list[0]
}

// schemaNode makes a node of s with n inputs. types gives the types of variables.
func schemaNode(s *schema.Op, n int, as onnx.Attrs, typed bool, types map[string]string, dims ...onnx.Dim) (*onnx.Node, *onnx.Graph) {
	g := onnx.NewGraph("g", map[string]int{s.Domain: s.Since})
	for i := range as {
		if b, ok := as[i].Value.(*onnx.Graph); ok {
			b.Outer = g
		}
	}
	in := make([]*onnx.Value, n)
	for i := range in {
		var ty onnx.Type
		if p := s.InputParam(i); typed && p != nil {
			name, ok := types[p.Type]
			if !ok {
				name = pick(s, p.Type)
			}
			ty = schemaType(name, dims...)
		}
		in[i] = g.AddInput(fmt.Sprint("x", i), ty)
	}
	node := g.NewNodeIn(s.Domain, s.Name, as, in, max(1, s.MinOutput))
	g.Insert(nil, node)
	return node, g
}

// equalDefault says whether a reader's default is the table's.
func equalDefault(got, want any) bool {
	if want == nil {
		return true
	}
	v := reflect.ValueOf(got)
	switch w := want.(type) {
	case float64:
		switch v.Kind() {
		case reflect.Int64:
			return float64(v.Int()) == w
		case reflect.Int:
			return float64(v.Int()) == w
		case reflect.Float32:
			return float32(v.Float()) == float32(w)
		}
	case string:
		return v.Kind() == reflect.String && v.String() == w
	case []any:
		if v.Kind() != reflect.Slice || v.Len() != len(w) {
			return false
		}
		for i, x := range w {
			if !equalDefault(v.Index(i).Interface(), x) {
				return false
			}
		}
		return true
	}
	return false
}

// Build reads every attribute of the table, with its default, and none that no
// version of the operator has: one that another version brought can mean
// nothing else. Infer has the same defaults, though it need not read all.
func TestRegistryAttributes(t *testing.T) {
	env := ops.BuildEnv{Body: optest.Bodies(nil)}
	registered(t, func(id string, s *schema.Op, v *ops.Version) {
		if len(s.Attributes) == 0 && v.Build == nil {
			return
		}
		n := s.MaxInput
		if n > 32 {
			n = s.MinInput + 1
		}
		if s.Name == "QLinearConcat" {
			n = 5
		}
		read := map[string]bool{}
		defaults := map[string][]any{}
		built := false
		var last error
		try := func(n int, typed bool, names []string, dims ...onnx.Dim) {
			var as onnx.Attrs
			scratch := onnx.NewGraph("", nil)
			for _, name := range names {
				as = append(as, onnx.Attr{Name: name, Value: attributeValue(scratch, s, name, n)})
			}
			node, g := schemaNode(s, n, as, typed, nil, dims...)
			defer func() {
				if r := recover(); r != nil {
					t.Errorf("%s: inputs %d, attributes %q, types %v: panic: %v", id, n, names, typed, r)
				}
			}()
			r, _, err := ops.ObserveBuild(v, node, g, env)
			built = built || err == nil
			if err != nil {
				last = err
			}
			if err == nil && len(r.Unread) > 0 {
				t.Errorf("%s: with %q Build does not read %q", id, names, r.Unread)
			}
			q, _ := ops.ObserveInfer(v, node, ops.InferEnv{Body: optest.InferBody})
			for name, d := range r.Defaults {
				read[name] = true
				defaults[name] = append(defaults[name], d...)
			}
			for name, d := range q.Defaults {
				defaults[name] = append(defaults[name], d...)
			}
		}
		var all, required []string
		for name, a := range s.Attributes {
			all = append(all, name)
			if a.Required {
				required = append(required, name)
			}
		}
		slices.Sort(all)
		slices.Sort(required)
		dims := onnx.Sizes(1, 4, 4, 4)
		for _, inputs := range slices.Compact([]int{s.MinInput, min(max(s.MinInput, 3), n), n}) {
			try(inputs, false, nil)
			try(inputs, false, required)
			try(inputs, true, required)
			try(inputs, true, required, dims...)
			try(inputs, true, all, dims...)
			for _, group := range together[s.Name] {
				group = slices.DeleteFunc(slices.Clone(group), func(name string) bool { _, ok := s.Attributes[name]; return !ok })
				if len(group) == 0 {
					continue
				}
				for _, name := range append(slices.Clone(all), group[0]) {
					try(inputs, true, slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(group), name)))), dims...)
				}
			}
			for _, name := range all {
				if !slices.Contains(required, name) {
					try(inputs, true, append(slices.Clone(required), name), dims...)
				}
			}
		}
		for _, name := range all {
			if !read[name] {
				t.Errorf("%s: attribute %q is not read (built: %v, error: %v)", id, name, built, last)
			}
		}
		for name, list := range defaults {
			a, ok := s.Attributes[name]
			if !ok {
				if !slices.ContainsFunc(schema.Versions(s.Domain, s.Name), func(o *schema.Op) bool { _, ok := o.Attributes[name]; return ok }) {
					t.Errorf("%s: reads %q, which the table has in no version", id, name)
				}
				continue
			}
			for _, d := range list {
				if !equalDefault(d, a.Default) && slips[id+" "+name] == "" {
					t.Errorf("%s: the default of %q is %v, want %v", id, name, d, a.Default)
					break
				}
			}
		}
		if !built {
			t.Errorf("%s: Build refuses every attempt: %v", id, last)
		}
	})
}

// TestRegistryPrivate: nobody can take the place of an operator that rewrites write.
func TestRegistryPrivate(t *testing.T) {
	conv := *ops.Standard().Get("", "Relu")
	conv.Domain, conv.Name = ops.Private, "Conv"
	_, err := ops.NewSet(&conv)
	require.ErrorContains(t, err, `the domain "x" is reserved`)
}

// TestForeignDomains: an operator that belongs to another runtime's machine
// says what the model is; an unknown one of an unknown domain does not.
func TestForeignDomains(t *testing.T) {
	_, _, err := ops.Standard().Lookup("com.microsoft.nchwc", "Conv", 1)
	require.ErrorIs(t, err, ops.ErrUnsupported)
	require.ErrorContains(t, err, "com.microsoft.nchwc.Conv: the model was saved by ONNX Runtime in the layout of one machine")
	_, _, err = ops.Standard().Lookup("example", "Conv", 1)
	require.ErrorIs(t, err, ops.ErrUnsupported)
	require.NotContains(t, err.Error(), "saved")
}
