package ops

import "github.com/gneiss-run/gneiss/onnx"

// Reads is what an operator asked of a node's attributes: for each name the
// defaults it gave (none if it asked only whether the attribute is there), and
// the attributes of the node that it did not ask for.
type Reads struct {
	Defaults map[string][]any
	Unread   []string
}

func (r *Reads) watch(a *attrs) {
	r.Defaults = map[string][]any{}
	a.seen = func(name string, def any) { r.Defaults[name] = append(r.Defaults[name], def) }
}

func (r *Reads) done(a *attrs) {
	for _, name := range a.read {
		if _, ok := r.Defaults[name]; !ok {
			r.Defaults[name] = nil
		}
	}
	r.Unread = a.unread()
}

// ObserveBuild runs v.Build (or v.Expand if there is no Build) on n.
func ObserveBuild(v *Version, n *onnx.Node, g *onnx.Graph, env BuildEnv) (r Reads, k Kernel, err error) {
	if v.Build == nil {
		c := &ExpandContext{Builder: NewBuilder(g), attrs: attrs{node: n}}
		r.watch(&c.attrs)
		_, err = v.Expand(c)
		r.done(&c.attrs)
		return r, nil, err
	}
	b := &BuildContext{attrs: attrs{node: n}, Node: n, env: env}
	r.watch(&b.attrs)
	k, err = v.Build(b)
	if err == nil {
		err = b.err
	}
	r.done(&b.attrs)
	return r, k, err
}

// ObserveInfer runs v.Infer on n.
func ObserveInfer(v *Version, n *onnx.Node, env InferEnv) (r Reads, err error) {
	if v.Infer == nil {
		return r, nil
	}
	c := &InferContext{attrs: attrs{node: n}, Node: n, Out: make([]onnx.Type, len(n.Out)), env: env}
	r.watch(&c.attrs)
	err = v.Infer(c)
	if err == nil {
		err = c.err
	}
	r.done(&c.attrs)
	return r, err
}

// MinStd returns the n-th number of the generator of Sampling.
func MinStd(seed int32, n int) (x uint64) {
	m := newMinStd(seed)
	for range n {
		x = m.next()
	}
	return x
}
