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
	WeightBytes int64             `json:"weight_bytes"`
	FLOPs       int64             `json:"flops"`
	FLOPsKnown  bool              `json:"flops_known"`      // false: some shapes depend on the inputs; see --dim
	Activations int64             `json:"activation_bytes"` // all values that nodes compute, together
	Functions   []string          `json:"functions,omitempty"`
	Weights     []weight          `json:"weights,omitempty"`
	Note        string            `json:"note,omitempty"` // why shapes could not be inferred
}

type port struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Optional bool   `json:"optional,omitempty"`
}

type opCount struct {
	Op    string `json:"op"`
	Nodes int    `json:"nodes"`
	FLOPs int64  `json:"flops"`
	Bytes int64  `json:"weight_bytes"`
	OK    bool   `json:"supported"`
}

type weight struct {
	Name  string  `json:"name"`
	Type  string  `json:"type"`
	Bytes int64   `json:"bytes"`
	Min   float64 `json:"min"`
	Max   float64 `json:"max"`
	Mean  float64 `json:"mean"`
}

func inspectCommand() *cobra.Command {
	var f sessionFlags
	var asJSON, dot, showOps, weights, text bool
	cmd := &cobra.Command{
		Use:   "inspect MODEL",
		Short: "Show what a model is: inputs, outputs, operators, parameters, FLOPs, memory",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := f.options()
			if err != nil {
				return err
			}
			m, err := onnx.Open(args[0], onnx.DecodeOptions{})
			if err != nil {
				return err
			}
			defer m.Close()
			w := cmd.OutOrStdout()
			r := &inspection{Model: args[0]}
			if err := optimize.Infer(m, optimize.InferOptions{Dims: o.Dims, Trust: true}); err != nil {
				r.Note = err.Error()
			}
			switch {
			case dot:
				writeDot(w, m.Graph)
				return nil
			case text:
				return m.Text(w, onnx.TextOptions{})
			}
			r.fill(m, weights)
			if asJSON {
				b, err := json.Marshal(r)
				if err != nil {
					return err
				}
				fmt.Fprintln(w, string(b))
				return nil
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

func (r *inspection) fill(m *onnx.Model, weights bool) {
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
	for _, v := range m.Graph.Inputs {
		if v.Const != nil && m.IRVersion < 4 {
			continue
		}
		r.Inputs = append(r.Inputs, port{v.Name, v.Type.String(), v.Const != nil})
	}
	for _, v := range m.Graph.Outputs {
		r.Outputs = append(r.Outputs, port{Name: v.Name, Type: v.Type.String()})
	}
	local := map[string]bool{}
	for _, fn := range m.Functions {
		local[fn.Domain+"."+fn.Name] = true
		r.Functions = append(r.Functions, fn.Domain+"."+fn.Name)
	}
	counts := map[string]*opCount{}
	seen := map[*onnx.Value]bool{}
	r.FLOPsKnown = true
	m.Graph.Walk(func(g *onnx.Graph) {
		for _, n := range g.Nodes {
			r.node(n, counts, seen, local)
		}
		for _, v := range slices.Concat(g.Consts, g.Inputs) {
			if v.Const != nil {
				r.weight(v.Name, v.Const, weights)
			}
		}
	})
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
}

func (r *inspection) node(n *onnx.Node, counts map[string]*opCount, seen map[*onnx.Value]bool, local map[string]bool) {
	r.Nodes++
	name := n.Op
	if n.Domain != "" {
		name = n.Domain + "." + n.Op
	}
	c := counts[name]
	if c == nil {
		c = &opCount{Op: name, OK: local[n.Domain+"."+n.Op] || supported(n.Domain, n.Op, n.Opset)}
		counts[name] = c
	}
	c.Nodes++
	if n.Op == "Constant" {
		if a := n.Attrs.Get("value"); a != nil {
			if t, ok := a.Value.(*tensor.Tensor); ok {
				r.WeightBytes += int64(len(t.Bytes()))
			}
		}
	}
	x, ok := flops(n)
	c.FLOPs += x
	r.FLOPs += x
	r.FLOPsKnown = r.FLOPsKnown && ok
	for _, v := range n.In {
		if v != nil && v.Const != nil && !seen[v] {
			seen[v] = true
			c.Bytes += int64(len(v.Const.Bytes()))
		}
	}
	for _, v := range n.Out {
		if v == nil {
			continue
		}
		if shape, ok := v.Type.Static(); ok {
			if size, err := tensor.ByteSize(v.Type.DType, shape); err == nil {
				r.Activations += int64(size)
			}
		}
	}
}

func (r *inspection) weight(name string, t *tensor.Tensor, list bool) {
	size, _ := tensor.ByteSize(t.DType(), t.Shape())
	r.WeightBytes += int64(size)
	r.Parameters += int64(t.Len())
	if !list {
		return
	}
	w := weight{Name: name, Type: t.String(), Bytes: int64(size)}
	if elems, err := tensor.Float64s(t); err == nil && len(elems) > 0 {
		w.Min, w.Max = math.Inf(1), math.Inf(-1)
		for _, x := range elems {
			w.Min, w.Max = min(w.Min, x), max(w.Max, x)
			w.Mean += x / float64(len(elems))
		}
		w.Min, w.Max, w.Mean = finite(w.Min), finite(w.Max), finite(w.Mean)
	}
	r.Weights = append(r.Weights, w)
}

func (r *inspection) print(w io.Writer, showOps bool) {
	fmt.Fprintf(w, "%s: IR version %d", r.Model, r.IRVersion)
	if r.Producer != "" {
		fmt.Fprintf(w, ", by %s", r.Producer)
	}
	fmt.Fprintln(w)
	var opsets []string
	for _, d := range slices.Sorted(maps.Keys(r.Opsets)) {
		opsets = append(opsets, fmt.Sprintf("%s %d", d, r.Opsets[d]))
	}
	fmt.Fprintf(w, "opsets      %s\n", strings.Join(opsets, ", "))
	for i, p := range r.Inputs {
		label := "            "
		if i == 0 {
			label = "inputs      "
		}
		opt := ""
		if p.Optional {
			opt = " (has a default)"
		}
		fmt.Fprintf(w, "%s%s %s%s\n", label, p.Name, p.Type, opt)
	}
	for i, p := range r.Outputs {
		label := "            "
		if i == 0 {
			label = "outputs     "
		}
		fmt.Fprintf(w, "%s%s %s\n", label, p.Name, p.Type)
	}
	fmt.Fprintf(w, "nodes       %d of %d operators\n", r.Nodes, len(r.Operators))
	fmt.Fprintf(w, "parameters  %s in %s\n", countText(r.Parameters), bytesText(r.WeightBytes))
	about := ""
	if !r.FLOPsKnown {
		about = " at least: some shapes depend on the inputs, --dim NAME=N gives them"
	}
	fmt.Fprintf(w, "FLOPs       %s%s\nactivations %s%s\n", countText(r.FLOPs), about, bytesText(r.Activations), about)
	for _, k := range slices.Sorted(maps.Keys(r.Metadata)) {
		fmt.Fprintf(w, "metadata    %s = %.200q\n", k, r.Metadata[k])
	}
	if len(r.Functions) > 0 {
		fmt.Fprintf(w, "functions   %s\n", strings.Join(r.Functions, ", "))
	}
	if len(r.Unsupported) > 0 {
		fmt.Fprintf(w, "this version cannot run  %s\n", strings.Join(r.Unsupported, ", "))
	}
	if r.Note != "" {
		fmt.Fprintf(w, "shapes are incomplete: %s\n", r.Note)
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
		for _, x := range r.Weights {
			t.add(x.Name, x.Type, bytesText(x.Bytes), fmt.Sprintf("%.4g", x.Min), fmt.Sprintf("%.4g", x.Max), fmt.Sprintf("%.4g", x.Mean))
		}
		t.print(w)
	}
}

// writeDot writes the main graph in Graphviz's language: a box per node, an
// edge per value with its type.
func writeDot(w io.Writer, g *onnx.Graph) {
	id := map[*onnx.Node]int{}
	fmt.Fprintf(w, "digraph %q {\n\tnode [shape=box, fontname=\"sans-serif\"];\n", g.Name)
	for i, v := range g.Inputs {
		if v.Const == nil {
			fmt.Fprintf(w, "\ti%d [label=%q, shape=oval];\n", i, v.Name+"\n"+v.Type.String())
		}
	}
	for i, n := range g.Nodes {
		id[n] = i
		fmt.Fprintf(w, "\tn%d [label=%q];\n", i, n.Op+"\n"+n.Name)
	}
	at := func(v *onnx.Value) (string, bool) {
		if v.From != nil && v.From.Graph == g {
			return fmt.Sprintf("n%d", id[v.From]), true
		}
		i := slices.Index(g.Inputs, v)
		return fmt.Sprintf("i%d", i), i >= 0 && v.Const == nil
	}
	for i, n := range g.Nodes {
		for _, v := range n.In {
			if v == nil {
				continue
			}
			if from, ok := at(v); ok {
				fmt.Fprintf(w, "\t%s -> n%d [label=%q];\n", from, i, v.Type.String())
			}
		}
	}
	for i, v := range g.Outputs {
		fmt.Fprintf(w, "\to%d [label=%q, shape=oval];\n", i, v.Name)
		if from, ok := at(v); ok {
			fmt.Fprintf(w, "\t%s -> o%d [label=%q];\n", from, i, v.Type.String())
		}
	}
	fmt.Fprintln(w, "}")
}
