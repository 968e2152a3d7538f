package train

import (
	"fmt"
	"regexp"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// slot is a weight as files have it: an initializer, or rows of one.
type slot struct {
	name  string // in files
	shape []int
	v     *onnx.Value
	rows  []rows // nil: all of v
}

// rows are elements of an initializer, in a file's order: n of them from at on.
type rows struct{ at, n int }

// get returns the weight.
func (s *slot) get() *tensor.Tensor {
	if s.rows == nil {
		return s.v.Const
	}
	y, size := tensor.New(s.v.Const.DType(), s.shape...), s.v.Const.DType().Size()
	to := 0
	for _, r := range s.rows {
		to += copy(y.Bytes()[to:], s.v.Const.Bytes()[r.at*size:(r.at+r.n)*size])
	}
	return y
}

// put writes the weight x, of s's shape and dst's type, to its place in dst.
func (s *slot) put(dst, x *tensor.Tensor) {
	if s.rows == nil {
		copy(dst.Bytes(), x.Bytes())
		return
	}
	size, from := x.DType().Size(), 0
	for _, r := range s.rows {
		from += copy(dst.Bytes()[r.at*size:(r.at+r.n)*size], x.Bytes()[from:])
	}
}

// gateOrder is where ONNX has each gate of PyTorch: i, f, g, o of LSTM among i, o, f, c, and r, z, n of GRU
// among z, r, h.
var gateOrder = map[string][]int{"RNN": {0}, "GRU": {1, 0, 2}, "LSTM": {0, 2, 3, 1}}

// recurrentWeight takes the name of a recurrent layer's weight apart.
var recurrentWeight = regexp.MustCompile(`^((?:.*\.)?)(\d+)\.(weight_ih|weight_hh|bias)$`)

// weightSlots returns the weights of m: parameters and running statistics, in the graph's order.
func weightSlots(m *onnx.Model, lenient bool) ([]*slot, error) {
	weights := map[*onnx.Value]bool{}
	for _, v := range Parameters(m) {
		weights[v] = true
	}
	parts := map[*onnx.Value][]*slot{}
	for _, n := range m.Graph.Nodes {
		if n.Domain != "" {
			continue
		}
		if n.Op == "BatchNormalization" {
			for _, v := range n.In[min(3, len(n.In)):] {
				if v != nil && v.Const != nil {
					weights[v] = true
				}
			}
		}
		if gateOrder[n.Op] != nil {
			if err := recurrentSlots(n, parts, lenient); err != nil {
				return nil, err
			}
		}
	}
	var out []*slot
	for _, v := range m.Graph.Consts {
		switch {
		case !weights[v] || v.Const == nil:
		case parts[v] != nil:
			out = append(out, parts[v]...)
		default:
			out = append(out, &slot{name: v.Name, shape: v.Const.Shape(), v: v})
		}
	}
	seen := map[string]bool{}
	for _, s := range out {
		if seen[s.name] {
			return nil, fmt.Errorf("the model has two weights %q", s.name)
		}
		seen[s.name] = true
	}
	return out, nil
}

// recurrentSlots adds the weights of a recurrent layer of package nn; nodes from elsewhere have other
// names, and keep them.
func recurrentSlots(n *onnx.Node, parts map[*onnx.Value][]*slot, lenient bool) error {
	order := gateOrder[n.Op]
	for i := 1; i <= 3 && i < len(n.In); i++ {
		v := n.In[i]
		if v == nil || v.Const == nil {
			continue
		}
		name := recurrentWeight.FindStringSubmatch(v.Name)
		if name == nil || parts[v] != nil {
			continue
		}
		shape := v.Const.Shape()
		rank, gates := 3, len(order)
		if i == 3 {
			rank, gates = 2, 2*gates
		}
		if len(shape) != rank || shape[1]%gates != 0 {
			return fmt.Errorf("%s %q has %q of %v, want %d gates of each direction", n.Op, n.Name, v.Name, v.Const, gates)
		}
		if n.Op == "GRU" && !lenient {
			after, err := onnx.Attribute(n, "linear_before_reset", int64(0))
			if err != nil {
				return err
			}
			if after == 0 {
				return fmt.Errorf("GRU of %q applies the reset gate before the product, PyTorch's behind it: build it with ResetAfter", v.Name)
			}
		}
		hidden, width := shape[1]/gates, 1
		if i < 3 {
			width = shape[2]
		}
		for d := range shape[0] {
			end := "_l" + name[2]
			if d == 1 {
				end += "_reverse"
			}
			block := hidden * width // of a gate
			slotOf := func(name string, first int) *slot {
				s := &slot{name: name, v: v, shape: []int{len(order) * hidden}}
				if i < 3 {
					s.shape = append(s.shape, width)
				}
				for _, g := range order {
					s.rows = append(s.rows, rows{(d*gates + first + g) * block, block})
				}
				return s
			}
			if i < 3 {
				parts[v] = append(parts[v], slotOf(name[1]+name[3]+end, 0))
			} else {
				parts[v] = append(parts[v], slotOf(name[1]+"bias_ih"+end, 0), slotOf(name[1]+"bias_hh"+end, len(order)))
			}
		}
	}
	return nil
}
