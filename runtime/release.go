package runtime

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// releaseUnread gives back the pages of mapped files that hold initializers
// which no program reads any more: each kernel that used them has packed them.
// Another session over the same model finds them in the file again.
func (c *compiler) releaseUnread(g *onnx.Graph, main *program) {
	read := map[*tensor.Tensor]bool{}
	see := func(p *program) {
		for _, k := range p.consts {
			if t, ok := k.value.(*tensor.Tensor); ok {
				read[t] = true
			}
		}
	}
	see(main)
	for _, b := range c.bodies {
		see(b)
	}
	g.Walk(func(h *onnx.Graph) {
		for _, v := range h.Consts {
			if t := v.Const; t != nil && !read[t] {
				release(t)
			}
		}
	})
}

// initializers lists the initializers of g and of its nested graphs.
func initializers(g *onnx.Graph) []*tensor.Tensor {
	var all []*tensor.Tensor
	g.Walk(func(h *onnx.Graph) {
		for _, v := range h.Consts {
			if v.Const != nil {
				all = append(all, v.Const)
			}
		}
	})
	return all
}

// releaseReplaced gives back the pages of mapped files that hold initializers of before for which g has
// others, computed from them.
func releaseReplaced(before []*tensor.Tensor, g *onnx.Graph) {
	there := map[*byte]bool{}
	for _, t := range initializers(g) {
		there[unsafe.SliceData(t.Bytes())] = true
	}
	for _, t := range before {
		if !there[unsafe.SliceData(t.Bytes())] {
			release(t)
		}
	}
}

func release(t *tensor.Tensor) {
	m, ok := t.Owner().(*tensor.Mapping)
	if !ok || len(t.Bytes()) == 0 {
		return
	}
	file := m.Bytes()
	off := address(t.Bytes()) - address(file)
	if len(file) == 0 || off > uintptr(len(file)) {
		return
	}
	// An error is about a range that is not the file's: nothing to give back.
	_ = m.Release(int(off), len(t.Bytes()))
}
