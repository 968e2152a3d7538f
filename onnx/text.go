package onnx

import (
	"bufio"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gneiss-run/gneiss/tensor"
)

// TextOptions say what a dump shows.
type TextOptions struct {
	// Elements is how many elements of a tensor are shown; 0 means 8, a negative
	// number none. Behind the first of a longer tensor stands "...".
	Elements int
	// Sums shows a CRC-32 of the data of tensors that are not shown completely,
	// so that a diff tells them apart. All data is read for it.
	Sums bool
	// NoTypes leaves out the types of nodes' outputs.
	NoTypes bool
	// Docs shows documentation and metadata.
	Docs bool
}

// Text writes the model in a readable form, one node per line in file order,
// that is the same for the same model. It is for people and for diff; nothing
// reads it back.
//
//	model ir_version 8, opset 17
//	graph "main" (x: float32[N,3]) -> (y: float32[N,3]) {
//	  const w: float32[3] = [1 2 3]
//	  h: float32[N,3] = Mul(x, w)  # "scale"
//	  ...
//	}
func (m *Model) Text(w io.Writer, o TextOptions) error {
	t := newTexter(w, o)
	t.printf("model ir_version %d%s", m.IRVersion, opsetText(m.Opsets))
	if m.ProducerName != "" {
		t.printf(", producer %s", strconv.Quote(strings.TrimSpace(m.ProducerName+" "+m.ProducerVersion)))
	}
	if m.ModelVersion != 0 || m.Domain != "" {
		t.printf(", domain %s version %d", strconv.Quote(m.Domain), m.ModelVersion)
	}
	t.printf("\n")
	t.docs("", m.Doc, m.Metadata)
	if m.Graph != nil {
		t.graph(m.Graph, "", "")
	}
	for _, f := range m.Functions {
		t.function(f)
	}
	for _, tr := range m.Training {
		t.printf("training%s%s\n", bindings(" initialization", tr.InitializationBinding), bindings(" update", tr.UpdateBinding))
		if tr.Initialization != nil {
			t.graph(tr.Initialization, "", "initialization: ")
		}
		if tr.Algorithm != nil {
			t.graph(tr.Algorithm, "", "algorithm: ")
		}
	}
	return t.w.Flush()
}

// Text writes the graph as Model.Text does.
func (g *Graph) Text(w io.Writer, o TextOptions) error {
	t := newTexter(w, o)
	t.graph(g, "", "")
	return t.w.Flush()
}

// Text returns the node as Model.Text writes it, without graphs nested in it.
func (n *Node) Text() string {
	var b strings.Builder
	t := newTexter(&b, TextOptions{})
	t.flat = true
	t.node(n, "")
	_ = t.w.Flush() // to memory
	return strings.TrimSuffix(b.String(), "\n")
}

type texter struct {
	w    *bufio.Writer
	o    TextOptions
	flat bool // bodies are only named
}

func newTexter(w io.Writer, o TextOptions) *texter {
	if o.Elements == 0 {
		o.Elements = 8
	}
	return &texter{w: bufio.NewWriter(w), o: o}
}

// printf writes to the buffer, whose Flush returns the first error.
func (t *texter) printf(format string, args ...any) { fmt.Fprintf(t.w, format, args...) }

func opsetText(opsets map[string]int) string {
	var b strings.Builder
	for _, d := range slices.Sorted(maps.Keys(opsets)) {
		if d == "" {
			fmt.Fprintf(&b, ", opset %d", opsets[d])
		} else {
			fmt.Fprintf(&b, ", opset %s %d", d, opsets[d])
		}
	}
	return b.String()
}

func bindings(what string, ps []Prop) string {
	if len(ps) == 0 {
		return ""
	}
	parts := make([]string, len(ps))
	for i, p := range ps {
		parts[i] = ident(p.Key) + " = " + ident(p.Value)
	}
	return what + " (" + strings.Join(parts, ", ") + ")"
}

func (t *texter) docs(indent, doc string, ps []Prop) {
	if !t.o.Docs {
		return
	}
	if doc != "" {
		t.printf("%s# %s\n", indent, strings.ReplaceAll(strings.TrimSpace(doc), "\n", "\n"+indent+"# "))
	}
	for _, p := range ps {
		t.printf("%s# %s: %s\n", indent, p.Key, strconv.Quote(p.Value))
	}
}

// ident returns a name, quoted if it could be misread.
func ident(s string) string {
	plain := s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_./:-", r))
	}) < 0
	if plain {
		return s
	}
	return strconv.Quote(s)
}

func (t *texter) typed(v *Value) string {
	if v == nil {
		return "_"
	}
	if v.Type.Kind == UnknownKind || t.o.NoTypes {
		return ident(v.Name)
	}
	return ident(v.Name) + ": " + v.Type.String()
}

func (t *texter) list(vs []*Value, f func(*Value) string) string {
	parts := make([]string, len(vs))
	for i, v := range vs {
		parts[i] = f(v)
	}
	return strings.Join(parts, ", ")
}

func (t *texter) graph(g *Graph, indent, what string) {
	t.printf("%s%sgraph %s (%s) -> (%s) {\n", indent, what, strconv.Quote(g.Name), t.list(g.Inputs, t.typed), t.list(g.Outputs, t.typed))
	t.body(g, indent)
}

func (t *texter) function(f *Function) {
	t.printf("function %s(%s) -> (%s)%s", ident(f.qualified()), t.list(f.Graph.Inputs, t.typed), t.list(f.Graph.Outputs, t.typed), opsetText(f.Opsets))
	attrs := slices.Clone(f.AttrNames)
	for i := range f.AttrDefaults {
		attrs = append(attrs, t.attr(&f.AttrDefaults[i]))
	}
	if len(attrs) > 0 {
		t.printf(", attributes %s", strings.Join(attrs, ", "))
	}
	t.printf(" {\n")
	t.docs("  ", f.Doc, f.Metadata)
	t.body(f.Graph, "")
}

func (t *texter) body(g *Graph, indent string) {
	inner := indent + "  "
	t.docs(inner, g.Doc, g.Metadata)
	for _, v := range g.Consts {
		t.constant(v, inner)
	}
	for _, n := range g.Nodes {
		t.node(n, inner)
	}
	for _, q := range g.Quantization {
		t.printf("%squantization of %s%s\n", inner, ident(q.Tensor), bindings("", q.Params))
	}
	t.printf("%s}\n", indent)
}

func (t *texter) constant(v *Value, indent string) {
	t.docs(indent, v.Doc, v.Metadata)
	switch {
	case v.Const != nil:
		t.printf("%sconst %s: %v = %s\n", indent, ident(v.Name), TypeOf(v.Const), t.tensor(v.Const))
	case v.Sparse != nil:
		t.printf("%sconst %s: %v = %s at %s\n", indent, ident(v.Name), TypeOf(v.Sparse), t.tensor(v.Sparse.Values), t.tensor(v.Sparse.Indices))
	case v.init != nil:
		t.printf("%sconst %s: %v, external%s\n", indent, ident(v.Name), v.init.typ, bindings("", v.init.external))
	default:
		t.printf("%sconst %s\n", indent, ident(v.Name))
	}
}

func (t *texter) tensor(x *tensor.Tensor) string {
	if x == nil {
		return "?"
	}
	n := x.Len()
	shown := max(min(n, t.o.Elements), 0)
	parts := make([]string, 0, shown+2)
	for i := range shown {
		parts = append(parts, element(x.At(i)))
	}
	if shown < n {
		parts = append(parts, "...")
	}
	s := strings.Join(parts, " ")
	if x.Rank() > 0 || shown < n {
		s = "[" + s + "]"
	}
	if t.o.Sums && shown < n {
		h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
		if x.DType() == tensor.String {
			for _, e := range tensor.Data[string](x) {
				fmt.Fprintf(h, "%q", e)
			}
		} else {
			_, _ = h.Write(littleEndian(x)) // never fails
		}
		s += fmt.Sprintf(" crc32c %08x", h.Sum32())
	}
	return s
}

func element(v any) string {
	switch v := v.(type) {
	case float32:
		return strconv.FormatFloat(float64(v), 'g', -1, 32)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		return strconv.Quote(v)
	}
	return fmt.Sprint(v)
}

func (t *texter) node(n *Node, indent string) {
	t.docs(indent, n.Doc, n.Metadata)
	op := n.Op
	if n.Domain != "" {
		op = n.Domain + "." + op
	}
	if n.Overload != "" {
		op += ":" + n.Overload
	}
	if n.Graph != nil {
		if v, ok := n.Graph.Opsets[n.Domain]; ok && v != n.Opset {
			op += "@" + strconv.Itoa(n.Opset)
		}
	}
	t.printf("%s", indent)
	if len(n.Out) > 0 {
		t.printf("%s = ", t.list(n.Out, t.typed))
	}
	t.printf("%s", op)
	var bodies []*Attr
	var attrs []string
	for i := range n.Attrs {
		if a := &n.Attrs[i]; isGraph(a.Value) && a.Ref == "" && !t.flat {
			bodies = append(bodies, a)
		} else {
			attrs = append(attrs, t.attr(a))
		}
	}
	if len(attrs) > 0 {
		t.printf("<%s>", strings.Join(attrs, ", "))
	}
	t.printf("(%s)", t.list(n.In, func(v *Value) string {
		if v == nil {
			return "_"
		}
		return ident(v.Name)
	}))
	if n.Name != "" {
		t.printf("  # %s", strconv.Quote(n.Name))
	}
	t.printf("\n")
	for _, a := range bodies {
		gs, _ := a.Value.([]*Graph)
		if g, ok := a.Value.(*Graph); ok {
			gs = []*Graph{g}
		}
		for _, g := range gs {
			if g != nil {
				t.graph(g, indent+"  ", a.Name+": ")
			}
		}
	}
}

// attr returns name=value.
func (t *texter) attr(a *Attr) string {
	if a.Ref != "" {
		return a.Name + "=@" + a.Ref
	}
	return a.Name + "=" + t.attrValue(a.Value)
}

func (t *texter) attrValue(v any) string {
	switch v := v.(type) {
	case []float32:
		return shortList(v, t.o.Elements, func(x float32) string { return element(x) })
	case []int64:
		return shortList(v, max(t.o.Elements, 16), func(x int64) string { return strconv.FormatInt(x, 10) })
	case []string:
		return shortList(v, t.o.Elements, strconv.Quote)
	case *tensor.Tensor:
		if v == nil {
			return "?"
		}
		return TypeOf(v).String() + " " + t.tensor(v)
	case []*tensor.Tensor:
		return shortList(v, len(v), func(x *tensor.Tensor) string { return t.attrValue(x) })
	case *tensor.Sparse:
		if v == nil {
			return "?"
		}
		return TypeOf(v).String() + " " + t.tensor(v.Values) + " at " + t.tensor(v.Indices)
	case []*tensor.Sparse:
		return shortList(v, len(v), func(x *tensor.Sparse) string { return t.attrValue(x) })
	case *Graph:
		if v == nil {
			return "?"
		}
		return "graph " + strconv.Quote(v.Name)
	case []*Graph:
		return shortList(v, len(v), func(x *Graph) string { return t.attrValue(x) })
	case Type:
		return v.String()
	case []Type:
		return shortList(v, len(v), Type.String)
	}
	return element(v)
}

// shortList returns the first most elements of s; a negative number shows none.
func shortList[T any](s []T, most int, f func(T) string) string {
	shown := max(min(len(s), most), 0)
	parts := make([]string, 0, shown+1)
	for _, x := range s[:shown] {
		parts = append(parts, f(x))
	}
	if shown < len(s) {
		parts = append(parts, fmt.Sprintf("... %d more", len(s)-shown))
	}
	return "[" + strings.Join(parts, " ") + "]"
}
