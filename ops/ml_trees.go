package ops

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/gneiss-run/gneiss/internal/kernels/forest"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Modes of a tree's node.
const (
	treeLEQ uint8 = iota
	treeLT
	treeGTE
	treeGT
	treeEQ
	treeNEQ
	treeMember
	treeLeaf
)

var treeModes = map[string]uint8{
	"BRANCH_LEQ": treeLEQ, "BRANCH_LT": treeLT, "BRANCH_GTE": treeGTE, "BRANCH_GT": treeGT,
	"BRANCH_EQ": treeEQ, "BRANCH_NEQ": treeNEQ, "BRANCH_MEMBER": treeMember, "LEAF": treeLeaf,
}

// treeNode is one node of the flattened trees. In a leaf, yes and no delimit
// its weights; in a treeMember node, set is its set of values.
type treeNode struct {
	value    float64 // every float32 is exact here, and so are comparisons
	feature  int32
	yes, no  int32
	set      int32
	mode     uint8
	nanIsYes bool
}

// treeWeight is what a leaf adds to one target or class.
type treeWeight struct {
	value float64
	id    int32
}

// How the trees' answers come together.
const (
	treeAverage = iota
	treeSum
	treeMin
	treeMax
)

// trees is an ensemble as it is evaluated.
type trees struct {
	nodes    []treeNode
	weights  []treeWeight
	sets     [][]float64 // sorted
	roots    []int32
	features int // 1 + the largest feature
	targets  int
	how      int
	fast32   *treeTable[uint32] // for rows of float32; nil if there is none
	fast64   func() *treeTable[uint64]
	pool     sync.Pool // of *treeRow
}

// treeRow is working memory for rows.
type treeRow struct {
	score []float64
	sum   []float32
	has   []bool
	tmp   []float32
	wide  []float64
	keys  []uint64
	// of treeTable.columns: keys by feature, sums by target, places of leaves
	columns []uint32
	sums    []float32
	places  [forest.Rows]uint32
}

func (e *trees) row() *treeRow {
	if r, ok := e.pool.Get().(*treeRow); ok {
		return r
	}
	return &treeRow{score: make([]float64, treeBlock*e.targets), sum: make([]float32, treeBlock*e.targets), has: make([]bool, treeBlock*e.targets), tmp: make([]float32, e.targets, e.targets+1)}
}

// check finds cycles, which would never end.
func (e *trees) check() error {
	into := make([]int32, len(e.nodes))
	for _, n := range e.nodes {
		if n.mode != treeLeaf {
			into[n.yes]++
			into[n.no]++
		}
	}
	var free []int32
	for i, k := range into {
		if k == 0 {
			free = append(free, int32(i))
		}
	}
	seen := 0
	for ; len(free) > 0; seen++ {
		n := e.nodes[free[len(free)-1]]
		free = free[:len(free)-1]
		if n.mode == treeLeaf {
			continue
		}
		for _, k := range [2]int32{n.yes, n.no} {
			if into[k]--; into[k] == 0 {
				free = append(free, k)
			}
		}
	}
	if seen < len(e.nodes) {
		return fmt.Errorf("%d nodes lie on a cycle", len(e.nodes)-seen)
	}
	return nil
}

// leaf returns the leaf that row x reaches from root.
func (e *trees) leaf(root int32, x []float64) *treeNode {
	n := &e.nodes[root]
	for n.mode != treeLeaf {
		v := x[n.feature]
		var yes bool
		switch n.mode {
		case treeLEQ:
			yes = v <= n.value
		case treeLT:
			yes = v < n.value
		case treeGTE:
			yes = v >= n.value
		case treeGT:
			yes = v > n.value
		case treeEQ:
			yes = v == n.value
		case treeNEQ:
			yes = v != n.value
		default:
			_, yes = slices.BinarySearch(e.sets[n.set], v)
		}
		if yes || n.nanIsYes && v != v {
			n = &e.nodes[n.yes]
		} else {
			n = &e.nodes[n.no]
		}
	}
	return n
}

// eval sets score and has for one row. Sums are rounded to float32 after every
// step unless double is set.
func (e *trees) eval(x, score []float64, has []bool, double bool) {
	clear(score)
	clear(has)
	for _, r := range e.roots {
		n := e.leaf(r, x)
		e.add(e.weights[n.yes:n.no], score, has, double)
	}
}

// add adds the weights of a leaf.
func (e *trees) add(weights []treeWeight, score []float64, has []bool, double bool) {
	for i := range weights {
		w := &weights[i]
		s := &score[w.id]
		switch {
		case e.how == treeMin:
			if !has[w.id] || w.value < *s {
				*s = w.value
			}
		case e.how == treeMax:
			if !has[w.id] || w.value > *s {
				*s = w.value
			}
		case double:
			*s += w.value
		default:
			*s = float64(float32(*s) + float32(w.value))
		}
		has[w.id] = true
	}
}

// treeInput is X, a matrix of n rows of f features.
type treeInput struct {
	x32  []float32 // or
	x64  []float64
	n, f int
}

// input returns input 0 of a call.
func (e *trees) input(c *Call) (x treeInput, err error) {
	t := c.T(0)
	if t != nil && t.Rank() != 2 {
		return x, fmt.Errorf("X has shape %v, want 2 dimensions", t.Shape())
	}
	if t != nil && t.DType() == tensor.Float32 {
		x.x32, x.n, x.f, err = mlMatrix[float32](c)
	} else {
		x.x64, x.n, x.f, err = mlMatrix[float64](c)
	}
	if err == nil && x.f < e.features {
		err = fmt.Errorf("X has %d features, want at least %d", x.f, e.features)
	}
	return x, err
}

// treeBatch returns the number of rows of X as a Dim.
func treeBatch(t onnx.Type) (onnx.Dim, error) {
	if t.Ranked && len(t.Dims) != 2 {
		return onnx.Dim{}, fmt.Errorf("X is %v, want 2 dimensions", t)
	}
	return mlBatch(t)
}

// regress writes to z, [n, targets], the aggregated answers with base values
// and post_transform.
func (e *trees) regress(c *Call, x treeInput, double bool, base []float64, post mlPost, z []float32) error {
	s := State[treeAnswers](c)
	if s.f == nil {
		s.f, s.f64 = s.row, s.row64
	}
	s.e, s.double, s.base, s.post, s.z = e, double, base, post, z
	err := e.each(c, x, double, s.f)
	s.z = nil
	return err
}

// treeAnswers is what turns the answers for a row into outputs.
type treeAnswers struct {
	e      *trees
	double bool
	base   []float64
	post   mlPost
	z      []float32
	z64    []float64
	f, f64 func(score []float64, has []bool, tmp []float32, i int) // row and row64
}

func (s *treeAnswers) row(score []float64, has []bool, tmp []float32, i int) {
	n := s.e.targets
	if n == 1 && s.post == postNone && s.e.how == treeSum && len(s.base) == 0 {
		s.z[i] = float32(score[0])
		return
	}
	for k := range score {
		if n == 1 {
			has[k] = true
		}
		if s.e.how == treeAverage {
			score[k] /= float64(len(s.e.roots))
			if !s.double {
				score[k] = float64(float32(score[k]))
			}
		}
		if len(s.base) > 0 && has[k] { // what no leaf speaks of stays 0
			score[k] += s.base[k]
		}
		tmp[k] = float32(score[k])
	}
	s.post.write(s.z[i*n:(i+1)*n], tmp, oneScoreAlone)
}

// each evaluates all rows and calls f with the answers of each, which it may
// change, and with working memory.
func (e *trees) each(c *Call, x treeInput, double bool, f func(score []float64, has []bool, tmp []float32, i int)) error {
	grain := (par.Grain(x.n, e.nanos()) + 7) &^ 7
	switch {
	case x.x32 != nil && e.fast32 != nil:
		treeEach(c, e, e.fast32, x.x32, x, grain, double, f)
	case x.x32 == nil && e.fast64 != nil:
		treeEach(c, e, e.fast64(), x.x64, x, grain, double, f)
	default:
		par.Run(c.P, x.n, grain, par.With(slowTrees{e, x, double, f}))
	}
	return c.Ctx().Err()
}

// slowTrees evaluates rows node by node.
type slowTrees struct {
	*trees
	x      treeInput
	double bool
	f      func(score []float64, has []bool, tmp []float32, i int)
}

func (a *slowTrees) Chunk(lo, hi int) {
	r, n := a.row(), a.targets
	defer a.pool.Put(r)
	for i := lo; i < hi; i++ {
		a.slow(r, &a.x, i, r.score[:n], r.has[:n], a.double)
		a.f(r.score[:n], r.has[:n], r.tmp, i)
	}
}

// nanos estimates the time of one row.
func (e *trees) nanos() float64 {
	if len(e.roots) == 0 {
		return 1
	}
	perTree := float64(len(e.nodes)) / float64(len(e.roots))
	return float64(len(e.roots)) * (5 + 1.5*math.Log2(1+perTree))
}

// slow evaluates row i node by node.
func (e *trees) slow(r *treeRow, x *treeInput, i int, score []float64, has []bool, double bool) {
	if x.x32 == nil {
		e.eval(x.x64[i*x.f:(i+1)*x.f], score, has, double)
		return
	}
	r.wide = slices.Grow(r.wide[:0], x.f)[:x.f]
	for k, v := range x.x32[i*x.f : (i+1)*x.f] {
		r.wide[k] = float64(v)
	}
	e.eval(r.wide, score, has, double)
}

// floatsOrTensor returns the floats attribute name or the tensor attribute
// name_as_tensor, of which at most one may be there.
func floatsOrTensor(a *attrs, name string, tensors bool) ([]float64, error) {
	v := a.Floats(name, nil)
	var out []float64
	if len(v) > 0 {
		out = make([]float64, len(v))
	}
	for i, x := range v {
		out[i] = float64(x)
	}
	if !tensors {
		return out, nil
	}
	t := a.Tensor(name + "_as_tensor")
	if t == nil || t.Len() == 0 {
		return out, nil
	}
	if len(v) > 0 {
		return nil, fmt.Errorf("both %s and %s_as_tensor are given", name, name)
	}
	if t.DType() != tensor.Float32 && t.DType() != tensor.Float64 {
		return nil, fmt.Errorf("%w: %s_as_tensor of %v", ErrUnsupported, name, t.DType())
	}
	return tensor.Float64s(t)
}

// parseTrees reads the attributes of TreeEnsembleClassifier and
// TreeEnsembleRegressor. weights is the prefix "class" or "target".
func parseTrees(a *attrs, weights string, targets int, tensors bool) (*trees, error) {
	if targets < 1 {
		return nil, fmt.Errorf("%d targets, want at least 1", targets)
	}
	e := &trees{targets: targets, how: treeSum}
	a.Ignore("nodes_hitrates", "nodes_hitrates_as_tensor")
	ids, treeIDs := a.Ints("nodes_nodeids", nil), a.Ints("nodes_treeids", nil)
	modes, features := a.Strs("nodes_modes", nil), a.Ints("nodes_featureids", nil)
	yes, no := a.Ints("nodes_truenodeids", nil), a.Ints("nodes_falsenodeids", nil)
	nan := a.Ints("nodes_missing_value_tracks_true", nil)
	values, err := floatsOrTensor(a, "nodes_values", tensors)
	if err != nil {
		return nil, err
	}
	n := len(ids)
	lens := []struct {
		name string
		n    int
	}{
		{"nodes_treeids", len(treeIDs)}, {"nodes_modes", len(modes)}, {"nodes_featureids", len(features)},
		{"nodes_truenodeids", len(yes)}, {"nodes_falsenodeids", len(no)}, {"nodes_values", len(values)},
	}
	for _, l := range lens {
		if l.n != n {
			return nil, fmt.Errorf("%s has %d elements, want %d as nodes_nodeids", l.name, l.n, n)
		}
	}
	if len(nan) != 0 && len(nan) != n {
		return nil, fmt.Errorf("nodes_missing_value_tracks_true has %d elements, want %d", len(nan), n)
	}
	if n > math.MaxInt32/2 {
		return nil, fmt.Errorf("%w: %d nodes", ErrUnsupported, n)
	}
	at, err := numberNodes(treeIDs, ids)
	if err != nil {
		return nil, err
	}
	e.nodes = make([]treeNode, n)
	child := make([]bool, n)
	last, mode, ok := "", uint8(0), false
	for i := range e.nodes {
		if modes[i] != last || !ok { // most are the same
			last = modes[i]
			mode, ok = treeModes[last]
		}
		if !ok || mode == treeMember {
			return nil, fmt.Errorf("node %d has mode %q", i, modes[i])
		}
		nd := &e.nodes[i]
		nd.mode, nd.value, nd.nanIsYes = mode, values[i], len(nan) > 0 && nan[i] != 0
		if mode == treeLeaf {
			continue
		}
		if features[i] < 0 || features[i] > math.MaxInt32-1 {
			return nil, fmt.Errorf("node %d has feature %d", i, features[i])
		}
		nd.feature = int32(features[i])
		e.features = max(e.features, features[i]+1)
		for k, id := range [2]int{yes[i], no[i]} {
			j := at.find(treeIDs[i], id)
			if j < 0 {
				return nil, fmt.Errorf("node %d of tree %d leads to node %d, which is not there", ids[i], treeIDs[i], id)
			}
			child[j] = true
			if k == 0 {
				nd.yes = j
			} else {
				nd.no = j
			}
		}
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	rootOf := make(map[int]bool)
	for i := range e.nodes {
		if child[i] {
			continue
		}
		if rootOf[treeIDs[i]] {
			return nil, fmt.Errorf("tree %d has two roots", treeIDs[i])
		}
		rootOf[treeIDs[i]] = true
		e.roots = append(e.roots, int32(i))
	}
	if err := e.readWeights(a, weights, tensors, at); err != nil {
		return nil, err
	}
	return e, nil
}

// nodeNumbers finds nodes by tree and number.
type nodeNumbers struct {
	trees map[int][2]int // first node and count, where the nodes of each tree are numbered 0, 1, 2 … and stand together
	last  [3]int         // the tree found last, its first node and count
	all   map[[2]int]int32
}

// numberNodes takes the tree and number of each node.
func numberNodes(trees, ids []int) (*nodeNumbers, error) {
	m := &nodeNumbers{trees: map[int][2]int{}}
	for i := 0; i < len(ids); {
		lo := i
		for i < len(ids) && trees[i] == trees[lo] && ids[i] == i-lo {
			i++
		}
		if _, twice := m.trees[trees[lo]]; twice || i == lo {
			m.trees = nil
			break
		}
		m.trees[trees[lo]] = [2]int{lo, i - lo}
	}
	if m.trees != nil {
		return m, nil
	}
	m.all = make(map[[2]int]int32, len(ids))
	for i := range ids {
		key := [2]int{trees[i], ids[i]}
		if _, ok := m.all[key]; ok {
			return nil, fmt.Errorf("node %d of tree %d is there twice", ids[i], trees[i])
		}
		m.all[key] = int32(i)
	}
	return m, nil
}

// find returns the index of a node, -1 if it is not there.
func (m *nodeNumbers) find(tree, id int) int32 {
	if m.trees == nil {
		if i, ok := m.all[[2]int{tree, id}]; ok {
			return i
		}
		return -1
	}
	if m.last[2] == 0 || m.last[0] != tree {
		t, ok := m.trees[tree]
		if !ok {
			return -1
		}
		m.last = [3]int{tree, t[0], t[1]}
	}
	if id < 0 || id >= m.last[2] {
		return -1
	}
	return int32(m.last[1] + id)
}

// readWeights gives the leaves their weights. Of several weights that a leaf has
// for the only target, the first counts, as in ONNX Runtime; skl2onnx writes
// such leaves for decision paths.
func (e *trees) readWeights(a *attrs, prefix string, tensors bool, at *nodeNumbers) error {
	treeIDs, ids, targets := a.Ints(prefix+"_treeids", nil), a.Ints(prefix+"_nodeids", nil), a.Ints(prefix+"_ids", nil)
	values, err := floatsOrTensor(a, prefix+"_weights", tensors)
	if err != nil {
		return err
	}
	if n := len(ids); len(treeIDs) != n || len(targets) != n || len(values) != n {
		return fmt.Errorf("%s_treeids, _nodeids, _ids and _weights have %d, %d, %d and %d elements, want equal numbers", prefix, len(treeIDs), n, len(targets), len(values))
	}
	count := make([]int32, len(e.nodes)+1)
	leaf := make([]int32, len(ids))
	for i := range ids {
		j := at.find(treeIDs[i], ids[i])
		if j < 0 {
			return fmt.Errorf("%s_nodeids has node %d of tree %d, which is not there", prefix, ids[i], treeIDs[i])
		}
		if targets[i] < 0 || targets[i] >= e.targets {
			return fmt.Errorf("%s_ids has %d, want 0 to %d", prefix, targets[i], e.targets-1)
		}
		leaf[i] = -1
		if e.nodes[j].mode == treeLeaf && (e.targets > 1 || count[j+1] == 0) { // weights of inner nodes have no effect
			leaf[i] = j
			count[j+1]++
		}
	}
	for i := 1; i < len(count); i++ {
		count[i] += count[i-1]
	}
	e.weights = make([]treeWeight, count[len(count)-1])
	for i := range e.nodes {
		if n := &e.nodes[i]; n.mode == treeLeaf {
			n.yes, n.no = count[i], count[i]
		}
	}
	for i, j := range leaf {
		if j >= 0 {
			n := &e.nodes[j]
			e.weights[n.no] = treeWeight{values[i], int32(targets[i])}
			n.no++
		}
	}
	return nil
}
