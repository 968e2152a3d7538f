package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/tensor"
)

// inspection is what inspect --json prints.
type inspection struct {
	Model       string            `json:"model"`
	IRVersion   int64             `json:"ir_version"`
	Opsets      map[string]int    `json:"opsets"`
	Producer    string            `json:"producer"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Inputs      []port            `json:"inputs"`
	Outputs     []port            `json:"outputs"`
	Nodes       int               `json:"nodes"`
	Operators   []opCount         `json:"operators"`
	Unsupported []string          `json:"unsupported"` // operators that this version cannot run
	Parameters  int64             `json:"parameters"`
	WeightBytes int64             `json:"weight_bytes"` // attributes with weights, of trees for one, included
	FLOPs       int64             `json:"flops"`
	FLOPsKnown  bool              `json:"flops_known"`       // false: some shapes are not known
	Symbols     []string          `json:"symbols,omitempty"` // names of sizes that --dim could give
	Activations int64             `json:"activation_bytes"`  // all values that nodes compute, together
	ShapesKnown bool              `json:"shapes_known"`      // false: activations and peak are at least that
	PeakBytes   int64             `json:"peak_bytes"`        // weights, and the values that are needed at a time
	Functions   []function        `json:"functions,omitempty"`
	Weights     []weight          `json:"weights,omitempty"`
	Notes       []string          `json:"notes,omitempty"` // what is missing here, and why
}

type port struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Optional bool   `json:"optional,omitempty"`
}

type function struct {
	Name  string `json:"name"`
	Nodes int    `json:"nodes"`
	Calls int    `json:"calls"`
}

type opCount struct {
	Op    string `json:"op"`
	Nodes int    `json:"nodes"`
	FLOPs int64  `json:"flops"`
	Bytes int64  `json:"weight_bytes"`
	OK    bool   `json:"supported"`
}

// stat is a figure that may be no number: null in JSON.
type stat float64

// MarshalJSON writes null for what JSON has no number for.
func (x stat) MarshalJSON() ([]byte, error) {
	return json.Marshal(jsonFloat(float64(x)))
}

type weight struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Bytes int64  `json:"bytes"`
	Min   *stat  `json:"min,omitempty"`
	Max   *stat  `json:"max,omitempty"`
	Mean  *stat  `json:"mean,omitempty"`
}

func inspectCommand() *cobra.Command {
	var f sessionFlags
	var asJSON, dot, showOps, weights, text bool
	cmd := &cobra.Command{
		Use:   "inspect MODEL",
		Short: "Show what a model is: inputs, outputs, operators, parameters, FLOPs, memory",
		Long: "Shows what a model is. It works on models with operators that gneiss cannot run and on models whose\n" +
			"external data is missing. Sizes that the model leaves open are given by --dim.",
		Example: "  gneiss inspect model.onnx --dim batch=1 --ops\n  gneiss inspect model.onnx --dot | dot -Tsvg > model.svg",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON && dot || asJSON && text || dot && text {
				return usageError("inspect: --json, --dot and --text: give one of them")
			}
			o, err := f.options()
			if err != nil {
				return err
			}
			m, lost, err := openWithout(args[0])
			if m == nil {
				return err
			}
			defer m.Close()
			warnDims(cmd, args[0], o.Dims)
			r := &inspection{Model: args[0]}
			if lost != nil {
				r.Notes = append(r.Notes, fmt.Sprintf("weights are not read: %v", lost))
			}
			for _, s := range symbols(m.Graph) {
				if _, ok := o.Dims[s]; !ok {
					r.Symbols = append(r.Symbols, s)
				}
			}
			if err := optimize.Infer(m, optimize.InferOptions{Dims: o.Dims, Trust: true}); err != nil {
				r.Notes = append(r.Notes, fmt.Sprintf("shapes are incomplete: %v", err))
			}
			w := cmd.OutOrStdout()
			switch {
			case dot:
				writeDot(w, m.Graph)
				return nil
			case text:
				return m.Text(w, onnx.TextOptions{})
			}
			r.fill(m, o.Dims, weights)
			if asJSON {
				return writeJSON(w, r)
			}
			r.print(w, showOps)
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.dims, "dim", nil, "give a symbolic size, NAME=N (repeatable)")
	fl.BoolVar(&asJSON, "json", false, "print one JSON object")
	fl.BoolVar(&dot, "dot", false, "print the graph for Graphviz")
	fl.BoolVar(&text, "text", false, "print the whole graph as text")
	fl.BoolVar(&showOps, "ops", false, "list the operators with their nodes, FLOPs and weights")
	fl.BoolVar(&weights, "weights", false, "list the initializers with their ranges")
	return cmd
}

func (r *inspection) fill(m *onnx.Model, dims map[string]int, weights bool) {
	r.IRVersion, r.Opsets = m.IRVersion, map[string]int{}
	for d, v := range m.Opsets {
		if d == "" {
			d = "ai.onnx"
		}
		r.Opsets[d] = v
	}
	r.Producer = strings.TrimSpace(m.ProducerName + " " + m.ProducerVersion)
	for _, p := range m.Metadata {
		if r.Metadata == nil {
			r.Metadata = map[string]string{}
		}
		r.Metadata[p.Key] = p.Value
	}
	r.Inputs, r.Outputs, r.Unsupported, r.Operators = []port{}, []port{}, []string{}, []opCount{}
	for _, v := range m.Graph.Inputs {
		if v.Const != nil && m.IRVersion < 4 {
			continue
		}
		r.Inputs = append(r.Inputs, port{v.Name, v.Type.String(), v.Const != nil})
	}
	for _, v := range m.Graph.Outputs {
		r.Outputs = append(r.Outputs, port{Name: v.Name, Type: v.Type.String()})
	}
	local := localFunctions(m)
	counts := map[string]*opCount{}
	seen := map[*onnx.Value]bool{}
	m.Graph.Walk(func(g *onnx.Graph) {
		for _, n := range g.Nodes {
			r.node(n, counts, seen, local)
		}
		for _, v := range g.Consts {
			r.weight(v, weights)
		}
		for _, v := range g.Inputs {
			if v.Const != nil && !slices.Contains(g.Consts, v) {
				r.weight(v, weights)
			}
		}
	})
	for _, f := range m.Functions {
		name := f.Domain + "." + f.Name
		calls := 0
		if c := counts[strings.TrimPrefix(name, ".")]; c != nil {
			calls = c.Nodes
		}
		r.Functions = append(r.Functions, function{name, len(f.Graph.Nodes), calls})
	}
	for _, c := range counts {
		r.Operators = append(r.Operators, *c)
		if !c.OK {
			r.Unsupported = append(r.Unsupported, c.Op)
		}
	}
	slices.Sort(r.Unsupported)
	slices.SortFunc(r.Operators, func(a, b opCount) int {
		if a.Nodes != b.Nodes {
			return b.Nodes - a.Nodes
		}
		return strings.Compare(a.Op, b.Op)
	})
	if len(m.Functions) > 0 { // what functions compute shows when they are written out
		c := m.Clone()
		if err := optimize.Inline(c, nil); err == nil {
			m = c
			if err := optimize.Infer(m, optimize.InferOptions{Dims: dims, Trust: true}); err != nil {
				r.Notes = append(r.Notes, fmt.Sprintf("shapes are incomplete: %v", err))
			}
		} else {
			r.Notes = append(r.Notes, fmt.Sprintf("functions are not counted: %v", err))
		}
	}
	r.work(m.Graph)
}

// work sums up FLOPs and memory. Nested graphs count once, as if they ran once.
func (r *inspection) work(main *onnx.Graph) {
	r.FLOPsKnown, r.ShapesKnown = true, true
	main.Walk(func(g *onnx.Graph) {
		for _, n := range g.Nodes {
			x, ok := flops(n)
			r.FLOPs = add(r.FLOPs, x)
			r.FLOPsKnown = r.FLOPsKnown && ok
			for _, v := range n.Out {
				r.Activations = add(r.Activations, sizeOf(v))
				if v != nil {
					_, ok := v.Type.Static()
					r.ShapesKnown = r.ShapesKnown && ok
				}
			}
		}
	})
	last := map[*onnx.Value]int{} // the node after which a value is not needed
	for i, n := range main.Nodes {
		read := n.In
		for _, b := range n.Bodies() {
			read = slices.Concat(read, b.Captures())
		}
		for _, v := range slices.Concat(read, n.Out) {
			if v != nil {
				last[v] = i
			}
		}
	}
	for _, v := range main.Outputs {
		last[v] = len(main.Nodes)
	}
	frees := make([][]*onnx.Value, len(main.Nodes)+1)
	live, peak := int64(0), int64(0)
	for v, i := range last {
		if v.From != nil && v.From.Graph == main {
			frees[i] = append(frees[i], v)
		} else if slices.Contains(main.Inputs, v) && v.Const == nil {
			live = add(live, sizeOf(v)) // the caller holds inputs for the whole run
		}
	}
	for i, n := range main.Nodes {
		for _, v := range n.Out {
			live = add(live, sizeOf(v))
		}
		peak = max(peak, live)
		for _, v := range frees[i] {
			live -= sizeOf(v)
		}
	}
	r.PeakBytes = add(r.WeightBytes, peak)
}

// sizeOf is the size of a value in bytes, 0 where its shape is not known.
func sizeOf(v *onnx.Value) int64 {
	if v == nil {
		return 0
	}
	shape, ok := v.Type.Static()
	if !ok || v.Type.Kind != onnx.TensorKind {
		return 0
	}
	size, err := tensor.ByteSize(v.Type.DType, shape)
	if err != nil || int64(size) > math.MaxInt64/(1<<20) { // sums of a million of these fit
		return 0
	}
	return int64(size)
}

func (r *inspection) node(n *onnx.Node, counts map[string]*opCount, seen map[*onnx.Value]bool, local map[string]bool) {
	r.Nodes++
	name := operatorName(n)
	c := counts[name]
	if c == nil {
		c = &opCount{Op: name, OK: local[n.Domain+"."+n.Op] || supported(n.Domain, n.Op, n.Opset)}
		counts[name] = c
	}
	c.Nodes++
	x, _ := flops(n)
	c.FLOPs = add(c.FLOPs, x)
	if n.Op == "Constant" || strings.HasPrefix(n.Domain, "ai.onnx.ml") {
		params, bytes := attributeWeights(n.Attrs)
		r.Parameters += params
		r.WeightBytes += bytes
		c.Bytes += bytes
	}
	for _, v := range n.In {
		if v != nil && v.From == nil && !seen[v] {
			seen[v] = true
			if v.Const != nil || slices.Contains(n.Graph.Consts, v) {
				_, size := weightSize(v)
				c.Bytes += size
			}
		}
	}
}

// attributeWeights counts what attributes hold: tensors and lists. Numbers of
// lists take what they take in the file; the parameters are those that are
// floats.
func attributeWeights(as onnx.Attrs) (params, bytes int64) {
	for _, a := range as {
		switch v := a.Value.(type) {
		case *tensor.Tensor:
			params += int64(v.Len())
			size, _ := tensor.ByteSize(v.DType(), v.Shape())
			bytes += int64(size)
		case []float32:
			params += int64(len(v))
			bytes += 4 * int64(len(v))
		case []int64:
			bytes += 8 * int64(len(v))
		case []string:
			for _, s := range v {
				bytes += int64(len(s))
			}
		}
	}
	return params, bytes
}

// weightSize returns the number of elements and bytes of an initializer, also
// of one whose data was not read.
func weightSize(v *onnx.Value) (elems, bytes int64) {
	d, shape := v.Type.DType, []int(nil)
	switch {
	case v.Const != nil:
		d, shape = v.Const.DType(), v.Const.Shape()
	case v.Sparse != nil:
		n := int64(v.Sparse.Values.Len())
		return n, int64(len(v.Sparse.Values.Bytes())) + int64(len(v.Sparse.Indices.Bytes()))
	default:
		var ok bool
		if shape, ok = v.Type.Static(); !ok {
			return 0, 0
		}
	}
	n, err := tensor.Count(shape)
	if err != nil {
		return 0, 0
	}
	size, err := tensor.ByteSize(d, shape)
	if err != nil || int64(size) > 1<<50 { // more than a file holds: the type is wrong
		return 0, 0
	}
	return int64(n), int64(size)
}

func (r *inspection) weight(v *onnx.Value, list bool) {
	n, size := weightSize(v)
	r.WeightBytes = add(r.WeightBytes, size)
	r.Parameters = add(r.Parameters, n)
	if !list {
		return
	}
	w := weight{Name: v.Name, Type: v.Type.String(), Bytes: size}
	if v.Const != nil {
		w.Type = onnx.TypeOf(v.Const).String()
		if elems, err := tensor.Float64s(v.Const); err == nil && len(elems) > 0 {
			low, high, mean := stat(math.Inf(1)), stat(math.Inf(-1)), stat(0)
			for _, x := range elems {
				low, high = min(low, stat(x)), max(high, stat(x))
				mean += stat(x) / stat(len(elems))
			}
			w.Min, w.Max, w.Mean = &low, &high, &mean
		}
	}
	r.Weights = append(r.Weights, w)
}

func (r *inspection) print(w io.Writer, showOps bool) {
	fmt.Fprintf(w, "%s: IR version %d", paint(w, bold, r.Model), r.IRVersion)
	if r.Producer != "" {
		fmt.Fprintf(w, ", by %s", printable(r.Producer))
	}
	fmt.Fprintln(w)
	line := func(label, format string, args ...any) {
		fmt.Fprintf(w, "%-11s %s\n", label, printable(fmt.Sprintf(format, args...)))
	}
	var opsets []string
	for _, d := range slices.Sorted(maps.Keys(r.Opsets)) {
		opsets = append(opsets, fmt.Sprintf("%s %d", d, r.Opsets[d]))
	}
	line("opsets", "%s", strings.Join(opsets, ", "))
	ports := func(label string, ps []port) {
		for _, p := range ps {
			opt := ""
			if p.Optional {
				opt = " (has a default)"
			}
			line(label, "%s %s%s", p.Name, p.Type, opt)
			label = ""
		}
	}
	ports("inputs", r.Inputs)
	ports("outputs", r.Outputs)
	line("nodes", "%d of %s", r.Nodes, counted(len(r.Operators), "operator"))
	line("parameters", "%s in %s", countText(r.Parameters), bytesText(r.WeightBytes))
	least := func(known bool) string {
		if known {
			return ""
		}
		return " at least"
	}
	line("FLOPs", "%s%s", countText(r.FLOPs), least(r.FLOPsKnown))
	line("activations", "%s%s", bytesText(r.Activations), least(r.ShapesKnown))
	line("memory", "%s%s: weights, and the values needed at a time", bytesText(r.PeakBytes), least(r.ShapesKnown))
	if !r.FLOPsKnown || !r.ShapesKnown {
		if len(r.Symbols) > 0 {
			line("not known", "%s: give sizes with --dim NAME=N", strings.Join(r.Symbols, ", "))
		} else {
			line("not known", "some shapes, before a run")
		}
	}
	for _, k := range slices.Sorted(maps.Keys(r.Metadata)) {
		line("metadata", "%s = %.200q", k, r.Metadata[k])
	}
	label := "functions"
	for _, f := range r.Functions {
		line(label, "%s: %s, called %s", f.Name, counted(f.Nodes, "node"), counted(f.Calls, "time"))
		label = ""
	}
	if len(r.Unsupported) > 0 {
		fmt.Fprintln(w, paint(w, yellow, "this version cannot run  "+printable(strings.Join(r.Unsupported, ", "))))
	}
	for _, n := range r.Notes {
		fmt.Fprintln(w, paint(w, yellow, "note: "+printable(n)))
	}
	if showOps {
		fmt.Fprintln(w)
		t := table{head: []string{"operator", ">nodes", ">FLOPs", ">weights", "supported"}}
		for _, c := range r.Operators {
			yes := "yes"
			if !c.OK {
				yes = "no"
			}
			t.add(c.Op, c.Nodes, countText(c.FLOPs), bytesText(c.Bytes), yes)
		}
		t.print(w)
	}
	if len(r.Weights) > 0 {
		fmt.Fprintln(w)
		t := table{head: []string{"initializer", "type", ">size", ">min", ">max", ">mean"}}
		figure := func(x *stat) string {
			if x == nil {
				return "-"
			}
			return fmt.Sprintf("%.4g", float64(*x))
		}
		for _, x := range r.Weights {
			t.add(clip(x.Name, 60), x.Type, bytesText(x.Bytes), figure(x.Min), figure(x.Max), figure(x.Mean))
		}
		t.print(w)
	}
}
