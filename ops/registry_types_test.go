package ops_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/onnx/schema"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/ops/functions"
	"github.com/gneiss-run/gneiss/tensor"
)

// listed compares what a test found with the lines of a committed list: the
// part before " # " names the entry, the rest says why.
func listed(t *testing.T, file string, found []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	require.NoError(t, err)
	var want []string
	for line := range strings.Lines(string(b)) {
		entry, _, _ := strings.Cut(line, "#")
		if entry = strings.TrimSpace(entry); entry != "" {
			want = append(want, entry)
		}
	}
	for _, f := range found {
		if !slices.Contains(want, f) {
			t.Errorf("testdata/%s lacks %q", file, f)
		}
	}
	for _, w := range want {
		if !slices.Contains(found, w) {
			t.Errorf("testdata/%s has %q, which is not so", file, w)
		}
	}
}

// Operators of the table that neither have a kernel here nor a function body.
func TestRegistryMissing(t *testing.T) {
	var missing []string
	for _, s := range schema.All() {
		name := opName(s.Domain, s.Name)
		if slices.Contains(missing, name) || ops.Standard().Get(s.Domain, s.Name) != nil {
			continue
		}
		newest := schema.Versions(s.Domain, s.Name)
		if last := newest[len(newest)-1]; last.Deprecated {
			continue
		}
		if _, ok := functions.Body(s.Domain, s.Name, max(1, schema.Newest(s.Domain))); !ok {
			missing = append(missing, name)
		}
	}
	listed(t, "missing.txt", missing)
}

// sample returns a value of a type: small, of ones where it can be.
func sample(ty onnx.Type) tensor.Value {
	switch ty.Kind {
	case onnx.TensorKind:
		shape, _ := ty.Static()
		return tensor.New(ty.DType, shape...)
	case onnx.SequenceKind:
		return &tensor.Sequence{}
	}
	return nil
}

// unsupportedBy infers, builds and runs a node on zeros, and says whether the
// error that came of it, if any, is one of missing support.
func unsupportedBy(v *ops.Version, node *onnx.Node, g *onnx.Graph) (bool, error) {
	if _, err := ops.ObserveInfer(v, node, ops.InferEnv{Body: optest.InferBody}); errors.Is(err, ops.ErrUnsupported) {
		return true, err
	}
	_, k, err := ops.ObserveBuild(v, node, g, ops.BuildEnv{Body: optest.Bodies(nil)})
	if err != nil || k == nil {
		return errors.Is(err, ops.ErrUnsupported), err
	}
	in := make([]tensor.Value, len(node.In))
	for i, x := range node.In {
		if in[i] = sample(x.Type); in[i] == nil {
			return false, errors.New("no value")
		}
	}
	_, err = ops.Eval(par.P{Threads: 1}, node, in, ops.BuildEnv{Body: optest.Bodies(nil)})
	return errors.Is(err, ops.ErrUnsupported), err
}

// Every operator, in its newest version, takes every type that the table lists
// for its first input, but for those that are listed.
func TestRegistryTypes(t *testing.T) {
	var bad []string
	for _, o := range ops.Standard().All() {
		all := schema.Versions(o.Domain, o.Name)
		if len(all) == 0 {
			continue
		}
		s := all[len(all)-1]
		v := &o.Versions[len(o.Versions)-1]
		if s.Deprecated || len(s.Inputs) == 0 {
			continue
		}
		variable := s.Inputs[0].Type
		types := s.Types[variable]
		if types == nil {
			types = []string{variable}
		}
		// What a refusal is about shows in an attempt that is not refused: by
		// the number of inputs, attributes and sizes.
		type attempt struct {
			inputs int
			attrs  []string
			dims   []onnx.Dim
		}
		var attempts []attempt
		var required []string
		for name, a := range s.Attributes {
			if a.Required {
				required = append(required, name)
			}
		}
		slices.Sort(required)
		groups := [][]string{required}
		for _, group := range together[s.Name] {
			groups = append(groups, append(slices.Clone(required), slices.DeleteFunc(slices.Clone(group), func(name string) bool { _, ok := s.Attributes[name]; return !ok })...))
		}
		n := min(s.MaxInput, s.MinInput+8)
		for _, inputs := range slices.Compact([]int{s.MinInput, min(max(s.MinInput, 3), n), n}) {
			for _, as := range groups {
				for _, dims := range [][]onnx.Dim{onnx.Sizes(2, 2), onnx.Sizes(1), onnx.Sizes(1, 4, 4), onnx.Sizes(1, 4, 4, 4)} {
					attempts = append(attempts, attempt{inputs, as, dims})
				}
			}
		}
		for _, ty := range types {
			if schemaType(ty).Kind == onnx.UnknownKind {
				bare := strings.Trim(ty[strings.LastIndex(ty, "tensor("):], ")") + ")"
				if unknown := "any " + bare; !slices.Contains(bad, unknown) {
					bad = append(bad, unknown)
				}
				continue
			}
			// An operator refuses a type if it refuses every attempt with it.
			refused := true
			for _, a := range attempts {
				if a.inputs == 0 {
					continue
				}
				var as onnx.Attrs
				scratch := onnx.NewGraph("", nil)
				for _, name := range a.attrs {
					as = append(as, onnx.Attr{Name: name, Value: attributeValue(scratch, s, name, a.inputs)})
				}
				node, g := schemaNode(s, a.inputs, as, true, map[string]string{variable: ty}, a.dims...)
				no, err := unsupportedBy(v, node, g)
				refused = refused && no
				if err == nil {
					break
				}
			}
			if refused {
				bad = append(bad, fmt.Sprint(opName(o.Domain, o.Name), " ", ty))
			}
		}
	}
	listed(t, "unsupported_types.txt", bad)
}

// Build makes a kernel or an error of any node that has as many inputs and
// outputs as it must, also where all are absent and no attribute is given.
func TestBuildNeverPanics(t *testing.T) {
	consts := []*tensor.Tensor{nil, tensor.Of([]float32{1, 2}), tensor.Of([]int64{}), tensor.Scalar(int64(-7)), tensor.Of([]string{"a"})}
	for _, o := range ops.Standard().All() {
		for i := range o.Versions {
			v := &o.Versions[i]
			for _, c := range consts {
				for _, absent := range []bool{true, false} {
					for n := v.In.Min; n <= min(v.In.Max, v.In.Min+3); n++ {
						g := onnx.NewGraph("g", map[string]int{o.Domain: v.Since})
						in := make([]*onnx.Value, n)
						for i := range in {
							switch {
							case absent:
							case c != nil && i > 0:
								in[i] = g.NewConst("", c)
							default:
								in[i] = g.AddInput(fmt.Sprint("x", i), onnx.Type{})
							}
						}
						node := g.NewNodeIn(o.Domain, o.Name, nil, in, max(1, v.Out.Min))
						if absent {
							clear(node.Out)
						}
						func() {
							defer func() {
								if r := recover(); r != nil {
									t.Errorf("%s since %d, inputs absent: %v, constants %v: %v", opName(o.Domain, o.Name), v.Since, absent, c, r)
								}
							}()
							ops.ObserveBuild(v, node, g, ops.BuildEnv{})
						}()
					}
				}
			}
		}
	}
}
