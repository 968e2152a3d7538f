package optimize

import (
	"math"
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// Pattern matches a value by the nodes that produce it.
type Pattern struct {
	kind   patternKind
	name   string // what Var and ConstAny bind to, or As
	op     string
	domain string
	in     []*Pattern // inputs of an operator; alternatives of anyOf
	out    int        // the output that the value must be
	rest   bool       // further inputs may follow
	shared bool       // the node may have other readers: it stays
	value  float64
	tol    float64
}

type patternKind uint8

const (
	varPattern patternKind = iota
	constPattern
	constAnyPattern
	opPattern
	anyOfPattern
	nonePattern
)

// Var matches any value. The same name must match the same value everywhere.
func Var(name string) *Pattern { return &Pattern{kind: varPattern, name: name} }

// Const matches an initializer all of whose elements are v, to within tol.
func Const(v, tol float64) *Pattern { return &Pattern{kind: constPattern, value: v, tol: tol} }

// ConstAny matches any initializer.
func ConstAny(name string) *Pattern { return &Pattern{kind: constAnyPattern, name: name} }

// Absent matches an input that is not given.
func Absent() *Pattern { return &Pattern{kind: nonePattern} }

// Op matches output 0 of an operator whose inputs match, in either order of
// the first two if the operator is commutative. Inputs beyond those given must
// be absent. An operator of another domain is written "com.microsoft.Gelu".
func Op(name string, in ...*Pattern) *Pattern {
	p := &Pattern{kind: opPattern, op: name, in: in}
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		p.domain, p.op = name[:i], name[i+1:]
	}
	return p
}

// Out is Op for output i.
func Out(i int, name string, in ...*Pattern) *Pattern {
	p := Op(name, in...)
	p.out = i
	return p
}

// As names the node for Match.Node.
func (p *Pattern) As(name string) *Pattern { p.name = name; return p }

// Rest lets the operator have further inputs.
func (p *Pattern) Rest() *Pattern { p.rest = true; return p }

// Shared lets other nodes read the operator's outputs too. It then stays.
func (p *Pattern) Shared() *Pattern { p.shared = true; return p }

// AnyOf matches what one of the patterns matches; the first that fits counts.
func AnyOf(ps ...*Pattern) *Pattern { return &Pattern{kind: anyOfPattern, in: ps} }

// Near matches an initializer all of whose elements are v, but for rounding to
// their type.
func Near(v float64) *Pattern { return Const(v, 2e-6*math.Abs(v)) }

// Chain matches op, a commutative operator of two inputs, applied to all of the
// patterns in any order and grouping.
func Chain(op string, ps ...*Pattern) *Pattern {
	if len(ps) == 1 {
		return ps[0]
	}
	var ways []*Pattern
	// The first stays on one side, to count each grouping once.
	for set := 0; set < 1<<(len(ps)-1)-1; set++ {
		left, right := []*Pattern{ps[0]}, []*Pattern(nil)
		for i, p := range ps[1:] {
			if set>>i&1 != 0 {
				left = append(left, p)
			} else {
				right = append(right, p)
			}
		}
		ways = append(ways, Op(op, Chain(op, left...), Chain(op, right...)))
	}
	return AnyOf(ways...)
}

// Optional matches the operator applied to what inner matches and further
// inputs, or inner itself.
func Optional(name string, inner *Pattern, more ...*Pattern) *Pattern {
	return AnyOf(Op(name, append([]*Pattern{inner}, more...)...), inner)
}

// roots returns the names of the operators that can be at the root of the pattern.
func (p *Pattern) roots() []string {
	switch p.kind {
	case opPattern:
		return []string{p.op}
	case anyOfPattern:
		var all []string
		for _, q := range p.in {
			all = append(all, q.roots()...)
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	return nil
}

// Match is one place where a pattern fits.
type Match struct {
	Root  *onnx.Node
	binds []bind1
	nodes []node1
	also  []replacement
}

type replacement struct{ old, by *onnx.Value }

// Also has Apply put by in the place of old, which another node of the match
// gives than the root; that node's pattern is Shared. Rewrite calls it. The
// rewrite is declined if something before the root reads old.
func (m *Match) Also(old, by *onnx.Value) { m.also = append(m.also, replacement{old, by}) }

type bind1 struct {
	name string
	v    *onnx.Value
}

type node1 struct {
	n      *onnx.Node
	name   string
	shared bool
}

// Var returns what the name was matched by, or nil.
func (m *Match) Var(name string) *onnx.Value {
	for _, b := range m.binds {
		if b.name == name {
			return b.v
		}
	}
	return nil
}

// Const returns the tensor of the initializer that the name was matched by, or nil.
func (m *Match) Const(name string) *tensor.Tensor {
	if v := m.Var(name); v != nil {
		return v.Const
	}
	return nil
}

// Node returns the node that a pattern called name matched, or nil.
func (m *Match) Node(name string) *onnx.Node {
	for _, k := range m.nodes {
		if k.name == name {
			return k.n
		}
	}
	return nil
}

// matcher tries one pattern. Patterns are matched in continuation style, so
// that a choice made early (an alternative, the order of commutative inputs)
// is taken back when a later part does not fit.
type matcher struct {
	set *ops.Set
	m   Match
}

func (x *matcher) value(p *Pattern, v *onnx.Value, then func() bool) bool {
	switch p.kind {
	case anyOfPattern:
		for _, q := range p.in {
			if x.value(q, v, then) {
				return true
			}
		}
		return false
	case opPattern:
		if v == nil {
			return false
		}
		n := v.From
		if n == nil || p.out >= len(n.Out) || n.Out[p.out] != v {
			return false
		}
		return x.node(p, n, then)
	}
	k := len(x.m.binds)
	if x.leaf(p, v) && then() {
		return true
	}
	x.m.binds = x.m.binds[:k]
	return false
}

// leaf matches a pattern without inputs, which leaves no choice. What it has
// bound the caller takes back when a later part does not fit.
func (x *matcher) leaf(p *Pattern, v *onnx.Value) bool {
	switch p.kind {
	case nonePattern:
		return v == nil
	case constPattern:
		return v != nil && v.Const != nil && allEqual(v.Const, p.value, p.tol)
	}
	if v == nil || p.kind == constAnyPattern && v.Const == nil {
		return false
	}
	for _, b := range x.m.binds {
		if b.name == p.name {
			return b.v == v
		}
	}
	x.m.binds = append(x.m.binds, bind1{p.name, v})
	return true
}

// likely reports whether n can be what p matches, as far as n and its inputs
// tell: most nodes are turned down here, before anything is allocated for them.
func (p *Pattern) likely(n *onnx.Node) bool {
	switch p.kind {
	case anyOfPattern:
		for _, q := range p.in {
			if q.likely(n) {
				return true
			}
		}
		return false
	case opPattern:
	default:
		return false
	}
	if n.Op != p.op || ops.NormalDomain(n.Domain) != p.domain {
		return false
	}
	if len(n.In) > len(p.in) && !p.rest {
		for _, v := range n.In[len(p.in):] {
			if v != nil {
				return false
			}
		}
	}
	for i, q := range p.in {
		ok := q.near(input(n, i))
		if !ok && i < 2 && len(p.in) >= 2 && len(n.In) >= 2 { // the operator may be commutative
			ok = q.near(n.In[1-i])
		}
		if !ok {
			return false
		}
	}
	return true
}

// near is likely for a value, of whose producer only the operator counts.
func (p *Pattern) near(v *onnx.Value) bool {
	switch p.kind {
	case nonePattern:
		return v == nil
	case anyOfPattern:
		for _, q := range p.in {
			if q.near(v) {
				return true
			}
		}
		return false
	case constPattern, constAnyPattern:
		return v != nil && v.Const != nil
	case opPattern:
		return v != nil && v.From != nil && v.From.Op == p.op
	}
	return v != nil
}

func (x *matcher) node(p *Pattern, n *onnx.Node, then func() bool) bool {
	if n.Graph != x.m.Root.Graph || !p.likely(n) {
		return false
	}
	k := len(x.m.nodes)
	x.m.nodes = append(x.m.nodes, node1{n, p.name, p.shared})
	if x.inputs(p, n, 0, false, then) {
		return true
	}
	if len(p.in) >= 2 && len(n.In) >= 2 && n.In[0] != n.In[1] {
		if o := x.set.Get(n.Domain, n.Op); o != nil && o.Commutative && x.inputs(p, n, 0, true, then) {
			return true
		}
	}
	x.m.nodes = x.m.nodes[:k]
	return false
}

func (x *matcher) inputs(p *Pattern, n *onnx.Node, i int, swapped bool, then func() bool) bool {
	k := len(x.m.binds)
	for ; i < len(p.in); i++ {
		j := i
		if swapped && i < 2 {
			j = 1 - i
		}
		v := input(n, j)
		if q := p.in[i]; q.kind == opPattern || q.kind == anyOfPattern { // there may be a choice to take back
			if x.value(q, v, func() bool { return x.inputs(p, n, i+1, swapped, then) }) {
				return true
			}
			x.m.binds = x.m.binds[:k]
			return false
		} else if !x.leaf(q, v) {
			x.m.binds = x.m.binds[:k]
			return false
		}
	}
	if then() {
		return true
	}
	x.m.binds = x.m.binds[:k]
	return false
}

// match tries p with n at its root. accept is the last condition; without it
// the search goes on.
func match(set *ops.Set, p *Pattern, n *onnx.Node, accept func(*Match) bool) bool {
	if !p.likely(n) {
		return false
	}
	x := &matcher{set: set, m: Match{Root: n}}
	then := func() bool { return accept(&x.m) }
	return x.root(p, n, then)
}

// root tries p, or one of its alternatives, with n as the node.
func (x *matcher) root(p *Pattern, n *onnx.Node, then func() bool) bool {
	if p.kind == anyOfPattern {
		return slices.ContainsFunc(p.in, func(q *Pattern) bool { return x.root(q, n, then) })
	}
	return p.kind == opPattern && x.node(p, n, then)
}

// allEqual reports whether t has elements and all are want, to within tol.
func allEqual(t *tensor.Tensor, want, tol float64) bool {
	if t.Len() == 0 || t.Len() > 1<<16 {
		return false
	}
	ok := func(x float64) bool { return math.Abs(x-want) <= tol }
	switch t.DType() {
	case tensor.Float32:
		return every(t, func(x float32) bool { return ok(float64(x)) })
	case tensor.Float64:
		return every(t, func(x float64) bool { return ok(x) })
	case tensor.Float16:
		r := tensor.F16Of(float32(want))
		return every(t, func(x tensor.F16) bool { return x == r || ok(float64(x.Float32())) })
	case tensor.BFloat16:
		r := tensor.BF16Of(float32(want))
		return every(t, func(x tensor.BF16) bool { return x == r || ok(float64(x.Float32())) })
	}
	if !t.DType().IsInt() || t.DType().IsPacked() {
		return false
	}
	v, err := ops.IntsOf(t)
	if err != nil {
		return false
	}
	for _, x := range v {
		if !ok(float64(x)) {
			return false
		}
	}
	return true
}

func every[T tensor.Element](t *tensor.Tensor, ok func(T) bool) bool {
	for _, x := range tensor.Data[T](t) {
		if !ok(x) {
			return false
		}
	}
	return true
}
