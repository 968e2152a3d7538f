package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
)

// writeDot writes the main graph in Graphviz's language: a box per node, an
// edge per value with its type. What the graphs in a node read from around it
// are dashed edges.
func writeDot(w io.Writer, g *onnx.Graph) {
	fmt.Fprintf(w, "digraph %s {\n\tnode [shape=box, fontname=\"sans-serif\"];\n", dotText(g.Name))
	from := map[*onnx.Value]string{}
	for i, v := range g.Inputs {
		if v.Const == nil {
			from[v] = fmt.Sprintf("i%d", i)
			fmt.Fprintf(w, "\ti%d [label=%s, shape=oval];\n", i, dotText(v.Name, v.Type.String()))
		}
	}
	for i, n := range g.Nodes {
		fmt.Fprintf(w, "\tn%d [label=%s];\n", i, dotText(operatorName(n), n.Name))
		for _, v := range n.Out {
			if v != nil {
				from[v] = fmt.Sprintf("n%d", i)
			}
		}
	}
	edge := func(v *onnx.Value, to, style string) {
		if f, ok := from[v]; ok && v != nil {
			fmt.Fprintf(w, "\t%s -> %s [label=%s%s];\n", f, to, dotText(v.Type.String()), style)
		}
	}
	for i, n := range g.Nodes {
		to := fmt.Sprintf("n%d", i)
		for _, v := range n.In {
			edge(v, to, "")
		}
		for _, b := range n.Bodies() {
			for _, v := range b.Captures() {
				edge(v, to, ", style=dashed")
			}
		}
	}
	for i, v := range g.Outputs {
		fmt.Fprintf(w, "\to%d [label=%s, shape=oval];\n", i, dotText(v.Name))
		edge(v, fmt.Sprintf("o%d", i), "")
	}
	fmt.Fprintln(w, "}")
}

// dotText quotes lines of text for Graphviz.
func dotText(lines ...string) string {
	var kept []string
	for _, l := range lines {
		if l != "" {
			l = strings.ReplaceAll(printable(l), `\`, `\\`)
			kept = append(kept, strings.ReplaceAll(l, `"`, `\"`))
		}
	}
	return `"` + strings.Join(kept, `\n`) + `"`
}
