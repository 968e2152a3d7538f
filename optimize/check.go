package optimize

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// check says what is wrong with the structure of g and the graphs nested in it:
// a value read before it is computed, made twice, or with a wrong list of readers.
func check(g *onnx.Graph) error {
	c := &checker{seen: map[*onnx.Value]bool{}, reads: map[*onnx.Value]int{}}
	if err := c.graph(g); err != nil {
		return err
	}
	for v := range c.seen {
		if v.Uses() != c.reads[v] {
			return fmt.Errorf("%q has %d readers, but lists %d", v.Name, c.reads[v], v.Uses())
		}
	}
	return nil
}

type checker struct {
	seen  map[*onnx.Value]bool
	reads map[*onnx.Value]int
}

func (c *checker) graph(g *onnx.Graph) error {
	for _, v := range g.Inputs {
		c.seen[v] = true
	}
	for _, v := range g.Consts {
		c.seen[v] = true
	}
	for _, n := range g.Nodes {
		if n.Graph != g {
			return fmt.Errorf("%v is listed in graph %q but belongs to another", n, g.Name)
		}
		for _, v := range n.In {
			if v == nil {
				continue
			}
			if !c.seen[v] {
				return fmt.Errorf("%v reads %q, which is not computed before it", n, v.Name)
			}
			c.reads[v]++
		}
		for _, b := range n.Bodies() {
			if b.Outer != g {
				return fmt.Errorf("%v: graph %q does not belong to graph %q", n, b.Name, g.Name)
			}
			if err := c.graph(b); err != nil {
				return fmt.Errorf("%v: %w", n, err)
			}
			for _, v := range b.Outputs {
				if v.From != nil && v.From.Graph != b || v.From == nil && !listed(b, v) {
					c.reads[v]++
				}
			}
		}
		for _, v := range n.Out {
			if v == nil {
				continue
			}
			if v.From != n || c.seen[v] {
				return fmt.Errorf("%q has two producers", v.Name)
			}
			c.seen[v] = true
		}
	}
	for _, v := range g.Outputs {
		if !c.seen[v] {
			return fmt.Errorf("output %q is not computed", v.Name)
		}
	}
	return nil
}

func listed(g *onnx.Graph, v *onnx.Value) bool {
	for _, w := range g.Inputs {
		if w == v {
			return true
		}
	}
	for _, w := range g.Consts {
		if w == v {
			return true
		}
	}
	return false
}
