package optimize

import (
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
)

// einsums are rules that write sums over labels as matrix products, which other
// rules know: those of attention, and those that pack constant weights.
var einsums = []*Rule{
	{
		Name: "einsum-matmul", Doc: "Einsum of two operands that sums over labels of both => MatMul of Transposes",
		Pattern: Op("Einsum", Var("a"), Var("b")),
		Rewrite: rewriteEinsum,
		Example: func(b *ops.Builder) {
			sum := func(equation string, x, y *onnx.Value) *onnx.Value {
				return b.Op("Einsum", onnx.NewAttrs("equation", equation), x, y)
			}
			x, w, v := in(b, "x", 2, 5, 12), floats(b, 12, 3, 4), in(b, "v", 2, 7, 3, 4)
			q := sum("abc, cde", x, w) // [2, 5, 3, 4]
			// The keys first, as Keras writes it.
			s := sum("aecd,abcd->acbe", v, q)
			y := sum("acbe,aecd->abcd", b.Op("Softmax", nil, s), v)
			// Labels of one operand alone before those of the product, several that are summed up.
			ret(b, y, sum("abcd,ecd->abe", y, floats(b, 6, 3, 4)), sum("binh,tnh->bnit", q, in(b, "r", 9, 3, 4)), sum("ij,kj", in(b, "i", 2, 3), in(b, "j", 4, 3)),
				sum("bij,bik->bkj", x, in(b, "k", 2, 5, 6)))
		},
	},
}

// rewriteEinsum writes an Einsum as a product [batch…, row, sum] × [batch…, sum, column].
// Labels of both operands are summed over, or batch if the output has them.
func rewriteEinsum(m *Match, b *ops.Builder) []*onnx.Value {
	a, c := m.Var("a"), m.Var("b")
	equation, err := onnx.Attribute(m.Root, "equation", "")
	if err != nil || !isFloating(a) || a.Type.DType != c.Type.DType {
		return nil
	}
	in, out, err := ops.EinsumLabels(equation)
	if err != nil || len(in) != 2 || strings.Contains(in[0]+in[1], ".") || len(in[0]) != a.Type.Rank() || len(in[1]) != c.Type.Rank() {
		return nil
	}
	la, lc := in[0], in[1]
	dims := map[rune]onnx.Dim{}
	var batch, rows, columns, sums string
	for i, l := range la {
		d := a.Type.Dims[i]
		if strings.Count(la, string(l)) > 1 || strings.Count(lc, string(l)) > 1 || !d.Known() {
			return nil
		}
		dims[l] = d
		switch j, kept := strings.IndexRune(lc, l), strings.ContainsRune(out, l); {
		case j >= 0 && !d.Equal(c.Type.Dims[j]), j < 0 && !kept: // broadcast, or summed in one operand
			return nil
		case j >= 0 && !kept:
			sums += string(l)
		}
	}
	for j, l := range lc {
		if !strings.ContainsRune(la, l) && !strings.ContainsRune(out, l) || strings.Count(lc, string(l)) > 1 || !c.Type.Dims[j].Known() {
			return nil
		}
		dims[l] = c.Type.Dims[j]
	}
	for _, l := range out {
		switch inA, inC := strings.ContainsRune(la, l), strings.ContainsRune(lc, l); {
		case inA && inC:
			batch += string(l)
		case inA:
			rows += string(l)
		default:
			columns += string(l)
		}
	}
	if rows == "" || columns == "" || sums == "" {
		return nil
	}
	if strings.IndexByte(out, rows[len(rows)-1]) > strings.IndexByte(out, columns[len(columns)-1]) {
		a, c, la, lc, rows, columns = c, a, lc, la, columns, rows
	}
	order := func(v *onnx.Value, have, want string) *onnx.Value {
		perm := make([]int, len(want))
		for i := range want {
			perm[i] = strings.IndexByte(have, want[i])
		}
		if isIdentityPerm(perm) {
			return v
		}
		return b.Op("Transpose", onnx.NewAttrs("perm", perm), v)
	}
	sizes := func(labels string) (n []int, product int, ok bool) {
		product = 1
		for _, l := range labels {
			s, known := dims[l].Size()
			if !known || s < 1 {
				return nil, 0, false
			}
			n, product = append(n, s), product*s
		}
		return n, product, true
	}
	var y *onnx.Value
	var have string
	if batch == "" {
		// A matrix on the right: rows and what is summed over may be several dimensions.
		a, c = order(a, la, rows+sums), order(c, lc, sums+columns)
		if len(sums) > 1 || len(columns) > 1 {
			_, k, ok := sizes(sums)
			n, cols, ok2 := sizes(columns)
			if !ok || !ok2 {
				return nil
			}
			if len(sums) > 1 {
				a = b.Op("Reshape", nil, a, b.Ints(append(make([]int, len(rows)), k)...))
			}
			y = b.Op("MatMul", nil, a, b.Op("Reshape", nil, c, b.Ints(k, cols)))
			if len(columns) > 1 {
				y = b.Op("Reshape", nil, y, b.Ints(append(make([]int, len(rows)), n...)...))
			}
		} else {
			y = b.Op("MatMul", nil, a, c)
		}
		have = rows + columns
	} else {
		if len(sums) > 1 || len(columns) > 1 {
			return nil
		}
		row := rows[len(rows)-1:]
		var lead string // the batch and the other rows, over which c is broadcast
		var missing []int
		for _, l := range out {
			switch {
			case strings.ContainsRune(batch, l):
			case strings.ContainsRune(rows, l) && string(l) != row:
				missing = append(missing, len(lead))
			default:
				continue
			}
			lead += string(l)
		}
		a, c = order(a, la, lead+row+sums), order(c, lc, batch+sums+columns)
		if len(missing) > 0 {
			c = b.Op("Unsqueeze", nil, c, b.Ints(missing...))
		}
		y, have = b.Op("MatMul", nil, a, c), lead+row+columns
	}
	if slices.Contains([]*onnx.Value{a, c, y}, nil) { // the Builder has an error
		return nil
	}
	return only(m, order(y, have, out))
}
