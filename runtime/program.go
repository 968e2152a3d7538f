package runtime

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// program is a compiled graph: a flat list of instructions over numbered
// slots. It is immutable once built.
type program struct {
	model    string // file name, for errors
	code     []instr
	names    []string // of the value in each slot
	types    []onnx.Type
	keep     []bool // slots that outlive their last reader: outputs
	constant []bool // slots of consts
	consts   []constant
	inputs   []port
	outputs  []port
	captures []capture // nested programs: what is copied in from the frame around
	results  int       // of all instructions
	symbols  int       // different symbolic sizes of the inputs
	plain    bool      // all inputs are tensors whose types have a check
}

type constant struct {
	slot  int
	value tensor.Value
}

// port is an input or output of a program.
type port struct {
	name    string
	slot    int
	typ     onnx.Type
	check   []dimCheck   // what typ says of the shape of a tensor; nil: nothing
	initial tensor.Value // the default of an input that has one
	spare   bool         // an input that only branches of If read, see takes
	meta    []onnx.Prop
	doc     string
}

// dimCheck is what a type says of one dimension.
type dimCheck struct {
	size   int // -1: any
	symbol int // the number of its symbolic size, -1: none
}

// capture copies slot from of the frame around into slot to.
type capture struct{ from, to int }

// instr is one node: a kernel, where its operands are and what dies with it.
type instr struct {
	kernel   ops.Kernel
	in, out  []int         // slots; -1 where absent
	first    int           // number of out[0] among the results of the program
	captured []int         // slots that its nested graphs read
	free     []int         // slots dead after this instruction
	reuse    []int         // inputs (by index) whose storage output 0 may take over if they die here
	beside   []int         // by output but the first: the input whose storage it may take over, -1: none
	packed   []packedInput // what became of inputs that are in the kernel; profiles tell of it
	bodies   bool          // has nested graphs
	name     string
	op       string
}

// packedInput is a constant that is inside of a kernel, in its own form.
type packedInput struct {
	at    int // its place among the inputs
	dtype tensor.DType
	shape []int
	bytes int
}

// liveness notes, for each instruction, the slots that no later one reads.
// What a nested graph captures lives until its node ends.
func (p *program) liveness() {
	p.constant = make([]bool, len(p.names))
	for _, k := range p.consts {
		p.constant[k.slot] = true
	}
	last := make([]int, len(p.names))
	for i := range last {
		last[i] = -1
	}
	for i := range p.code {
		n := &p.code[i]
		for _, list := range [][]int{n.in, n.captured, n.out} { // a result that nobody reads dies at once
			for _, s := range list {
				if s >= 0 {
					last[s] = i
				}
			}
		}
	}
	for s, i := range last {
		if i >= 0 && !p.keep[s] && !p.constant[s] {
			p.code[i].free = append(p.code[i].free, s)
		}
	}
}

// number counts the results of the instructions.
func (p *program) number() {
	p.results = 0
	for i := range p.code {
		p.code[i].first = p.results
		p.results += len(p.code[i].out)
	}
}

// takes reports whether dimension of size n may have a symbolic size that is
// another number elsewhere. What the branch that is taken does not read gets a
// stand-in: decoders that exporters merge are given a past without elements, or
// with one, while nothing is cached.
func (p *port) takes(n int) bool { return p.spare && n < 2 }

// checks prepares what bind does with every run of g.
func (p *program) checks(g *onnx.Graph) {
	branches := map[*onnx.Graph]bool{}
	for _, n := range g.Nodes {
		if n.Op == "If" && ops.NormalDomain(n.Domain) == "" {
			for _, b := range n.Bodies() {
				b.Walk(func(h *onnx.Graph) { branches[h] = true })
			}
		}
	}
	symbols := map[string]int{}
	p.plain = true
	for i := range p.inputs {
		in := &p.inputs[i]
		in.spare = len(branches) > 0 && !g.IsOutput(g.Inputs[i]) &&
			!slices.ContainsFunc(g.Inputs[i].Users(), func(n *onnx.Node) bool { return !branches[n.Graph] })
		if in.typ.Kind != onnx.TensorKind {
			p.plain = false
			continue
		}
		if !in.typ.Ranked {
			continue
		}
		in.check = make([]dimCheck, len(in.typ.Dims))
		for k, d := range in.typ.Dims {
			c := dimCheck{-1, -1}
			if n, ok := d.Size(); ok {
				c.size = n
			} else if name := d.Expr(); name != "" {
				id, ok := symbols[name]
				if !ok {
					id = len(symbols)
					symbols[name] = id
				}
				c.symbol = id
			}
			in.check[k] = c
		}
	}
	p.symbols = len(symbols)
}
