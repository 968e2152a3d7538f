package tensor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
)

// Rule says when the outputs of a model count as right. Shapes, element types,
// integers, strings and bools must be equal. Floats are compared
//
//   - element by element, |got - want| <= ATol + RTol*|want|, or
//   - if RelRMS is set, output by output: the L2 norm of got - want is at most RelRMS times that of want, or
//   - if Unordered is set, as a table: all outputs have a row per detection, and at least 98% of the rows
//     must pair one to one, in any order, with a row that the element rule finds equal, nearest first.
//
// The zero Rule stands for DefaultRule.
type Rule struct {
	RTol      float64 `json:"rtol,omitempty"`
	ATol      float64 `json:"atol,omitempty"`
	RelRMS    float64 `json:"rel_rms,omitempty"`
	Unordered bool    `json:"unordered,omitempty"`
}

// DefaultRule is the rule for models that bring none.
var DefaultRule = Rule{RTol: 1e-3, ATol: 1e-4}

// unorderedShare is the part of the rows that must match.
const unorderedShare = 0.98

// ParseRule reads a rule in JSON: an object with any of "rtol", "atol",
// "rel_rms" and "unordered". The tolerances that are not given are DefaultRule's.
func ParseRule(data []byte) (Rule, error) {
	r := DefaultRule
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return Rule{}, fmt.Errorf("rule of comparison: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Rule{}, errors.New("rule of comparison: text after the object")
	}
	if r.RTol < 0 || r.ATol < 0 || r.RelRMS < 0 {
		return Rule{}, errors.New("rule of comparison: negative tolerance")
	}
	if r.RTol == 0 && r.ATol == 0 { // asked for: exactly, which zeros do not say
		r.ATol = math.SmallestNonzeroFloat64
	}
	return r, nil
}

func (r Rule) tolerance() Tolerance {
	if r.RTol == 0 && r.ATol == 0 {
		return Tolerance{Rel: DefaultRule.RTol, Abs: DefaultRule.ATol}
	}
	return Tolerance{Rel: r.RTol, Abs: r.ATol}
}

// Check returns nil if got is right given want. names, for messages, may be
// shorter than want. All outputs that are wrong are reported, joined.
func (r Rule) Check(got, want []Value, names []string) error {
	if r == (Rule{}) {
		r = DefaultRule
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d outputs, want %d", len(got), len(want))
	}
	if r.Unordered {
		return r.checkTable(got, want, names)
	}
	var errs []error
	for i := range want {
		if err := r.checkOne(got[i], want[i]); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", outputName(names, i), err))
		}
	}
	return errors.Join(errs...)
}

func outputName(names []string, i int) string {
	if i < len(names) && names[i] != "" {
		return fmt.Sprintf("output %q", names[i])
	}
	return fmt.Sprintf("output %d", i)
}

func (r Rule) checkOne(got, want Value) error {
	g, ok1 := got.(*Tensor)
	w, ok2 := want.(*Tensor)
	if r.RelRMS > 0 && ok1 && ok2 && g != nil && w != nil && w.dtype == g.dtype && slices.Equal(g.shape, w.shape) &&
		(w.dtype.IsFloat() || w.dtype.IsComplex()) {
		d, err := Diff(g, w, r.tolerance())
		if err != nil {
			return err
		}
		if d.RelL2 > r.RelRMS {
			return fmt.Errorf("relative L2 error %.3g, want at most %.3g (max absolute error %.3g)", d.RelL2, r.RelRMS, d.MaxAbs)
		}
		return nil
	}
	return Compare(got, want, r.tolerance())
}

// table is a set of outputs read as rows.
type table struct {
	rows   int
	floats [][]float64 // per row
	labels []string    // per row: what must be equal
	ts     []*Tensor   // the outputs, their first dimension the rows
}

// checkTable matches the rows of got and want.
func (r Rule) checkTable(got, want []Value, names []string) error {
	g, err := newTable(got, names)
	if err != nil {
		return err
	}
	w, err := newTable(want, names)
	if err != nil {
		return fmt.Errorf("expected values: %w", err)
	}
	for i := range want {
		a, b := g.ts[i], w.ts[i]
		if a.dtype != b.dtype || !slices.Equal(a.shape[1:], b.shape[1:]) {
			return fmt.Errorf("%s: %v, want %v (in any order)", outputName(names, i), a, b)
		}
	}
	tol := r.tolerance()
	for _, x := range w.ts {
		if x.dtype == BFloat16 {
			tol.Rel = max(tol.Rel, 1.0/64)
		}
	}
	n := matchRows(g, w, tol)
	if total := max(g.rows, w.rows); float64(n) < unorderedShare*float64(total) {
		return fmt.Errorf("%d rows, want %d: %d match, want %d", g.rows, w.rows, n, int(math.Ceil(unorderedShare*float64(total))))
	}
	return nil
}

func rowLen(t *Tensor) int {
	n := 1
	for _, d := range t.shape[1:] {
		n *= d
	}
	return n
}

func newTable(vals []Value, names []string) (*table, error) {
	t := &table{rows: -1}
	ts := make([]*Tensor, len(vals))
	for i, v := range vals {
		x, ok := v.(*Tensor)
		if !ok || x == nil || x.Rank() == 0 {
			return nil, fmt.Errorf("%s: %v, want a tensor with a row per detection", outputName(names, i), describe(v))
		}
		ts[i] = x
	}
	// A batch of one is no row.
	for batchOfOne(ts) {
		for i, x := range ts {
			y, err := x.Reshape(x.shape[1:]...)
			if err != nil {
				return nil, err
			}
			ts[i] = y
		}
	}
	for i, x := range ts {
		if t.rows >= 0 && x.shape[0] != t.rows {
			return nil, fmt.Errorf("%s: %d rows, the outputs before have %d", outputName(names, i), x.shape[0], t.rows)
		}
		t.rows = x.shape[0]
	}
	t.rows, t.ts = max(t.rows, 0), ts
	t.floats, t.labels = make([][]float64, t.rows), make([]string, t.rows)
	for _, x := range ts {
		n := rowLen(x)
		if x.dtype.IsFloat() {
			f, err := Float64s(x)
			if err != nil {
				return nil, err
			}
			for i := range t.rows {
				t.floats[i] = append(t.floats[i], f[i*n:(i+1)*n]...)
			}
			continue
		}
		for i := range t.rows {
			for j := range n {
				t.labels[i] += fmt.Sprintf("%q,", fmt.Sprint(x.At(i*n+j)))
			}
		}
	}
	return t, nil
}

// batchOfOne reports whether all tensors begin with a dimension of 1 that is
// followed by one on which they agree.
func batchOfOne(ts []*Tensor) bool {
	for _, t := range ts {
		if len(t.shape) < 2 || t.shape[0] != 1 || t.shape[1] != ts[0].shape[1] {
			return false
		}
	}
	return len(ts) > 1
}

// distance returns the largest error of a in units of what tol allows; at most
// 1 is equal.
func distance(a, b []float64, tol Tolerance) float64 {
	d := 0.0
	for i, y := range b {
		x := a[i]
		if x == y || x != x && y != y {
			continue
		}
		e := math.Abs(x-y) / (tol.Abs + tol.Rel*math.Abs(y))
		if !(e <= 1) || math.IsInf(y, 0) {
			return math.Inf(1)
		}
		d = max(d, e)
	}
	return d
}

// matchRows returns how many rows of g and w pair one to one: nearest pairs
// first, and then, so that no choice costs a pair, along augmenting paths.
func matchRows(g, w *table, tol Tolerance) int {
	byFirst := make([]int, g.rows) // rows of g by their first number, NaN at the end
	for i := range byFirst {
		byFirst[i] = i
	}
	key := func(row []float64) float64 {
		if len(row) == 0 {
			return 0
		}
		if math.IsNaN(row[0]) {
			return math.Inf(1)
		}
		return row[0]
	}
	sort.SliceStable(byFirst, func(i, j int) bool { return key(g.floats[byFirst[i]]) < key(g.floats[byFirst[j]]) })
	type pair struct {
		g, w int
		d    float64
	}
	var pairs []pair
	near := make([][]int, w.rows) // rows of g that equal each row of w
	for i, row := range w.floats {
		k := key(row)
		slack := tol.Abs + tol.Rel*math.Abs(k)
		slack += slack * 1e-9 // the exact test follows
		lo := 0
		if !math.IsInf(k, 0) {
			lo = sort.Search(g.rows, func(j int) bool { return key(g.floats[byFirst[j]]) >= k-slack })
		}
		for _, j := range byFirst[lo:] {
			if key(g.floats[j]) > k+slack {
				break
			}
			if g.labels[j] != w.labels[i] {
				continue
			}
			if d := distance(g.floats[j], row, tol); d <= 1 {
				pairs = append(pairs, pair{j, i, d})
				near[i] = append(near[i], j)
			}
		}
	}
	sort.SliceStable(pairs, func(i, j int) bool { return pairs[i].d < pairs[j].d })
	mate, matched := make([]int, g.rows), make([]bool, w.rows) // mate: the row of w, plus 1
	n := 0
	for _, p := range pairs {
		if mate[p.g] == 0 && !matched[p.w] {
			mate[p.g], matched[p.w] = p.w+1, true
			n++
		}
	}
	for i := range w.rows {
		if !matched[i] && augment(i, near, mate, make([]bool, g.rows)) {
			n++
		}
	}
	return n
}

// augment finds a mate for row i of w, moving others on.
func augment(i int, near [][]int, mate []int, seen []bool) bool {
	for _, j := range near[i] {
		if seen[j] {
			continue
		}
		seen[j] = true
		if mate[j] == 0 || augment(mate[j]-1, near, mate, seen) {
			mate[j] = i + 1
			return true
		}
	}
	return false
}
