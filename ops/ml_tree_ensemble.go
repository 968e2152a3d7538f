package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// TreeEnsemble: each target is the sum, average, minimum or maximum of the
// weights of the leaves that a row reaches, after post_transform (of which a
// single target knows PROBIT only). Nodes lead to nodes or to leaves by index.
// BRANCH_MEMBER asks whether the feature is in a set; the sets stand in
// membership_values in the order of their nodes, each ended by NaN.
//
//	X: float32, float64 or float16 [n, f]    Y: the same type [n, n_targets]
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html
func init() {
	register(&Op{
		Domain: "ai.onnx.ml", Name: "TreeEnsemble", Numerics: Rounding,
		Versions: []Version{
			{Since: 5, In: N(1), Out: N(1), Infer: inferTreeEnsemble, Build: buildTreeEnsemble},
		},
	})
}

func inferTreeEnsemble(c *InferContext) error {
	n, err := treeBatch(c.In(0))
	if err != nil {
		return err
	}
	c.Out[0] = onnx.TensorType(c.In(0).DType, n, onnx.Size(c.Int("n_targets", 1)))
	return nil
}

func buildTreeEnsemble(b *BuildContext) (Kernel, error) {
	e, err := parseTreeEnsemble(&b.attrs)
	if err != nil {
		return nil, err
	}
	p := b.Int("post_transform", 0)
	if p < 0 || p > int(postProbit) {
		return nil, fmt.Errorf("post_transform is %d, want 0 to 4", p)
	}
	return func(c *Call) error {
		x, err := e.input(c)
		if err != nil {
			return err
		}
		d := c.T(0).DType()
		if !d.IsFloat() {
			return unsupportedType(0, d)
		}
		if d == tensor.Float64 && mlPost(p) == postNone {
			return e.regress64(c, x, tensor.Data[float64](c.Output(0, d, x.n, e.targets)))
		}
		z, done := realsOut[float32](c, 0, d, x.n, e.targets)
		if err := e.regress(c, x, d == tensor.Float64, nil, mlPost(p), z); err != nil {
			return err
		}
		done()
		return nil
	}, nil
}

// regress64 is regress without rounding to float32.
func (e *trees) regress64(c *Call, x treeInput, z []float64) error {
	s := State[treeAnswers](c)
	if s.f == nil {
		s.f, s.f64 = s.row, s.row64
	}
	s.e, s.z64 = e, z
	err := e.each(c, x, true, s.f64)
	s.z64 = nil
	return err
}

func (s *treeAnswers) row64(score []float64, _ []bool, _ []float32, i int) {
	for k, v := range score {
		if s.e.how == treeAverage {
			v /= float64(len(s.e.roots))
		}
		s.z64[i*s.e.targets+k] = v
	}
}

func parseTreeEnsemble(a *attrs) (*trees, error) {
	e := &trees{targets: a.Int("n_targets", 1), how: a.Int("aggregate_function", treeSum)}
	a.Ignore("nodes_hitrates")
	if e.targets < 1 || e.how < treeAverage || e.how > treeMax {
		return nil, fmt.Errorf("n_targets is %d and aggregate_function %d, want at least 1 and 0 to 3", e.targets, e.how)
	}
	numbers := func(name string) ([]float64, error) {
		t := a.Tensor(name)
		if t == nil {
			return nil, nil
		}
		v, err := tensor.Float64s(t)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return v, nil
	}
	splits, err := numbers("nodes_splits")
	if err != nil {
		return nil, err
	}
	modes, err := numbers("nodes_modes")
	if err != nil {
		return nil, err
	}
	weights, err := numbers("leaf_weights")
	if err != nil {
		return nil, err
	}
	members, err := numbers("membership_values")
	if err != nil {
		return nil, err
	}
	features, ids := a.Ints("nodes_featureids", nil), a.Ints("leaf_targetids", nil)
	to := [2][]int{a.Ints("nodes_truenodeids", nil), a.Ints("nodes_falsenodeids", nil)}
	leafs := [2][]int{a.Ints("nodes_trueleafs", nil), a.Ints("nodes_falseleafs", nil)}
	nan, roots := a.Ints("nodes_missing_value_tracks_true", nil), a.Ints("tree_roots", nil)
	n := len(features)
	for _, k := range []int{len(splits), len(modes), len(to[0]), len(to[1]), len(leafs[0]), len(leafs[1])} {
		if k != n {
			return nil, fmt.Errorf("an attribute about the nodes has %d elements, want %d as nodes_featureids", k, n)
		}
	}
	if len(nan) != 0 && len(nan) != n {
		return nil, fmt.Errorf("nodes_missing_value_tracks_true has %d elements, want %d", len(nan), n)
	}
	if len(ids) != len(weights) {
		return nil, fmt.Errorf("leaf_targetids has %d elements, want %d as leaf_weights", len(ids), len(weights))
	}
	if n+len(ids) > math.MaxInt32 {
		return nil, fmt.Errorf("%w: %d nodes and %d leaves", ErrUnsupported, n, len(ids))
	}
	e.nodes = make([]treeNode, n+len(ids))
	for i, id := range ids {
		if id < 0 || id >= e.targets {
			return nil, fmt.Errorf("leaf_targetids has %d, want 0 to %d", id, e.targets-1)
		}
		e.nodes[n+i] = treeNode{mode: treeLeaf, yes: int32(i), no: int32(i + 1)}
		e.weights = append(e.weights, treeWeight{weights[i], int32(id)})
	}
	for i := range n {
		nd := &e.nodes[i]
		if modes[i] < 0 || modes[i] > float64(treeMember) {
			return nil, fmt.Errorf("nodes_modes has %g, want 0 to %d", modes[i], treeMember)
		}
		if features[i] < 0 || features[i] > math.MaxInt32-1 {
			return nil, fmt.Errorf("nodes_featureids has %d", features[i])
		}
		nd.mode, nd.value, nd.feature, nd.nanIsYes = uint8(modes[i]), splits[i], int32(features[i]), len(nan) > 0 && nan[i] != 0
		e.features = max(e.features, features[i]+1)
		if nd.mode == treeMember {
			end := slices.IndexFunc(members, func(v float64) bool { return v != v })
			if end < 0 {
				end = len(members)
			}
			set := slices.Clone(members[:end])
			slices.Sort(set)
			nd.set = int32(len(e.sets))
			e.sets = append(e.sets, set)
			members = members[min(end+1, len(members)):]
		}
		for k, list := range to {
			j, limit, first := list[i], n, 0
			if leafs[k][i] != 0 {
				limit, first = len(ids), n
			}
			if j < 0 || j >= limit {
				return nil, fmt.Errorf("node %d leads to %d, want 0 to %d", i, j, limit-1)
			}
			if k == 0 {
				nd.yes = int32(first + j)
			} else {
				nd.no = int32(first + j)
			}
		}
	}
	for _, r := range roots {
		if r < 0 || r >= n {
			return nil, fmt.Errorf("tree_roots has %d, want 0 to %d", r, n-1)
		}
		e.roots = append(e.roots, int32(r))
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	e.compile()
	return e, nil
}
