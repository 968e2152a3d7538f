package train

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// rowsSuffix is that of the rows that a step changes.
const rowsSuffix = "/rows"

// table is a parameter that is updated by rows. Its state exists once: the graph
// gives the new rows, which are written when the step has succeeded.
type table struct {
	param *onnx.Value
	reads []*onnx.Node // Gather
	// of the graph: the indices of rows, each once in rising order, int64[u], and the
	// sums of their gradients, [u, …]
	rows, grads *onnx.Value
	state       []string // the parameter and its memories
}

// lazyTables returns the parameters that can be updated by rows, by name.
func (t *Trainer) lazyTables(g *onnx.Graph, params []*onnx.Value) map[*onnx.Value]*table {
	if !t.cfg.lazy() {
		return nil
	}
	out := map[*onnx.Value]*table{}
	for _, p := range params {
		if len(p.Type.Dims) < 2 || g.IsOutput(p) || t.state[p.Name].Len() == 0 {
			continue
		}
		b := &table{param: p}
		for _, n := range p.Users() {
			if n.Op != "Gather" || n.Graph != g || n.In[0] != p || gatherAxis(n) != 0 {
				b = nil
				break
			}
			b.reads = append(b.reads, n)
		}
		if b != nil && len(b.reads) > 0 {
			out[p] = b
		}
	}
	return out
}

func gatherAxis(n *onnx.Node) int64 {
	if a := n.Attrs.Get("axis"); a != nil {
		if v, ok := a.Value.(int64); ok {
			return v
		}
	}
	return 0
}

// gradients is gradient, with those of tables as rows: for a table it returns the
// sums of the rows that are read.
func (t *Trainer) gradients(m *onnx.Model, loss, seed *onnx.Value, params []*onnx.Value) ([]*onnx.Value, error) {
	tables := t.lazyTables(m.Graph, params)
	var wrt []*onnx.Value
	for _, p := range params {
		if b := tables[p]; b != nil {
			for _, n := range b.reads {
				wrt = append(wrt, n.Out[0])
			}
		} else {
			wrt = append(wrt, p)
		}
	}
	all, err := gradient(m, loss, seed, wrt)
	if err != nil {
		return nil, err
	}
	b := ops.NewBuilder(m.Graph)
	grads := make([]*onnx.Value, len(params))
	for i, p := range params {
		n := 1
		if x := tables[p]; x == nil {
			grads[i] = all[0]
		} else {
			n = len(x.reads)
			if x.sum(b, all[:n], t.state[p.Name].Shape()); x.grads != nil {
				if t.tables == nil {
					t.tables = map[string]*table{}
				}
				t.tables[p.Name], grads[i] = x, x.grads
			}
		}
		all = all[n:]
	}
	if b.Err() == nil {
		b.Insert(nil)
	}
	return grads, b.Err()
}

// sum adds the nodes of rows and grads, from the gradients of what is read.
func (x *table) sum(b *ops.Builder, grads []*onnx.Value, shape []int) {
	var at, rows []*onnx.Value
	for i, d := range grads {
		if d == nil {
			continue
		}
		index := b.Op("Cast", onnx.NewAttrs("to", int(tensor.Int64)), x.reads[i].In[1])
		at = append(at, b.Op("Reshape", nil, index, b.Ints(-1)))
		rows = append(rows, b.Op("Reshape", nil, d, b.Ints(append([]int{-1}, shape[1:]...)...)))
	}
	if len(at) == 0 {
		return
	}
	index, row := at[0], rows[0]
	if len(at) > 1 {
		index, row = b.Op("Concat", onnx.NewAttrs("axis", 0), at...), b.Op("Concat", onnx.NewAttrs("axis", 0), rows...)
	}
	negative := b.Op("Less", nil, index, b.Const(tensor.Scalar(int64(0))))
	index = b.Op("Where", nil, negative, b.Op("Add", nil, index, b.Const(tensor.Scalar(int64(shape[0])))), index)
	u := b.Ops("", "Unique", nil, 3, index)
	to := b.Op("Concat", onnx.NewAttrs("axis", 0), b.Op("Shape", nil, u[0]), b.Ints(shape[1:]...))
	x.rows, x.grads = u[0], b.Ops(ops.Private, "GatherGrad", onnx.NewAttrs("axis", 0), 1, row, to, u[2])[0]
}

// taken returns the rows of v, a tensor like the table.
func (x *table) taken(b *ops.Builder, v *onnx.Value) *onnx.Value {
	return b.Op("Gather", onnx.NewAttrs("axis", 0), v, x.rows)
}

// writeRows puts the new rows of the tables, outputs of a step, into the state.
func (t *Trainer) writeRows(out map[string]tensor.Value) error {
	for name, x := range t.tables {
		rows, ok := out[name+rowsSuffix+nextSuffix].(*tensor.Tensor)
		if !ok {
			return fmt.Errorf("train: parameter %q: there are no rows to update", name)
		}
		at := tensor.Data[int64](rows)
		for _, s := range x.state {
			to := t.state[s]
			from, ok := out[s+nextSuffix].(*tensor.Tensor)
			size := len(to.Bytes()) / to.Dim(0)
			if !ok || len(from.Bytes()) != size*len(at) {
				return fmt.Errorf("train: %q: the new rows are %v, want %d of %v", s, out[s+nextSuffix], len(at), to)
			}
		}
	}
	for name, x := range t.tables {
		at := tensor.Data[int64](out[name+rowsSuffix+nextSuffix].(*tensor.Tensor))
		for _, s := range x.state {
			to, from := t.state[s].Bytes(), out[s+nextSuffix].(*tensor.Tensor).Bytes()
			size := len(to) / t.state[s].Dim(0)
			for i, row := range at {
				copy(to[int(row)*size:][:size], from[i*size:][:size])
			}
		}
	}
	return nil
}

// wants returns where a step writes: the state itself, the second set of statistics,
// and nil for what has a shape of its own in each step.
func (t *Trainer) wants() map[string]tensor.Value {
	out := map[string]tensor.Value{lossName: t.loss}
	for name, x := range t.state {
		out[name+nextSuffix] = x
	}
	for name, x := range t.next {
		out[name+nextSuffix] = x
	}
	for name, x := range t.tables {
		out[name+rowsSuffix+nextSuffix] = nil
		for _, s := range x.state {
			out[s+nextSuffix] = nil
		}
	}
	return out
}
