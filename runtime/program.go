package runtime

import (
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
	consts   []constant
	inputs   []port
	outputs  []port
	captures []capture // nested programs: what is copied in from the frame around
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
	initial tensor.Value // the default of an input that has one
	meta    []onnx.Prop
	doc     string
}

// capture copies slot from of the frame around into slot to.
type capture struct{ from, to int }

// instr is one node: a kernel, where its operands are and what dies with it.
type instr struct {
	kernel   ops.Kernel
	in, out  []int // slots; -1 where absent
	captured []int // slots that its nested graphs read
	free     []int // slots dead after this instruction
	reuse    []int // inputs (by index) whose storage output 0 may take over if they die here
	bodies   bool  // has nested graphs
	name     string
	op       string
}

// liveness notes, for each instruction, the slots that no later one reads.
// What a nested graph captures lives until its node ends.
func (p *program) liveness() {
	fixed := make([]bool, len(p.names))
	copy(fixed, p.keep)
	for _, k := range p.consts {
		fixed[k.slot] = true
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
		if i >= 0 && !fixed[s] {
			p.code[i].free = append(p.code[i].free, s)
		}
	}
}
