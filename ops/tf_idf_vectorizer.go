package ops

import (
	"fmt"
	"math/bits"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// TfIdfVectorizer: Y[ngram_indexes[i]] tells of n-gram i of the pool in each row
// of X: how often it appears (TF), its weight if it appears (IDF), or the
// product of both (TFIDF). N-grams of min_gram_length to max_gram_length are
// looked for, with 0 to max_skip_count elements between their elements.
//
//	X: int32, int64 or string[C] or [N, C]    Y: float32[n] or [N, n], n = max(ngram_indexes)+1
//
// Spec: https://onnx.ai/onnx/operators/onnx__TfIdfVectorizer.html
func init() {
	register(&Op{
		Name:     "TfIdfVectorizer",
		Numerics: Rounding,
		Versions: []Version{{Since: 9, In: N(1), Out: N(1), Infer: inferTfIdf, Build: buildTfIdf}},
	})
}

// ngrams is a pool of n-grams as a tree: a path of tokens leads to a node.
type ngrams struct {
	next                         gramTable
	first                        []int32 // of words: where the edge of each leads from the root
	leaf                         []int32 // the n-grams of the pool by the node that they end in
	from                         []int32 // by node: where its n-grams are in leaf, and after the last node the end
	words                        map[string]int64
	chars                        *[256]int64 // of words, those of one byte
	minLength, maxLength, skips  int
	indexes                      []int
	weights                      []float32
	size                         int
	countsFrequency, usesWeights bool
}

type gramEdge struct {
	node  int32
	token int64
}

// gramTable is a hash table from edges to nodes, of which none is 0, with room for a power of two.
type gramTable struct {
	slots []gramSlot
	shift int
}

type gramSlot struct {
	edge gramEdge
	node int32 // 0: the slot is empty
}

// gramTableOf returns the table of the edges of m, at most half full.
func gramTableOf(m map[gramEdge]int32) gramTable {
	log := bits.Len(uint(2*len(m)) | 1)
	t := gramTable{make([]gramSlot, 1<<log), 64 - log}
	for e, node := range m {
		*t.slot(e) = gramSlot{e, node}
	}
	return t
}

// slot returns where e is, or would be.
func (t *gramTable) slot(e gramEdge) *gramSlot {
	h := (uint64(e.token)*0x9e3779b97f4a7c15 + uint64(e.node)) * 0xd1342543de82ef95
	for i := int(h >> t.shift); ; i++ {
		if s := &t.slots[i&(len(t.slots)-1)]; s.node == 0 || s.edge == e {
			return s
		}
	}
}

// gramSize returns the number of columns of Y.
func gramSize(a *attrs) int {
	size := 0
	for _, i := range a.Ints("ngram_indexes", nil) {
		if i < 0 || i >= 1<<30 {
			a.Fail("attribute %q has %d, want indices", "ngram_indexes", i)
			return 0
		}
		size = max(size, i+1)
	}
	return size
}

func inferTfIdf(c *InferContext) error {
	x := c.In(0)
	size := onnx.Size(gramSize(&c.attrs))
	c.Out[0] = onnx.UnrankedType(tensor.Float32)
	if !x.Ranked {
		return nil
	}
	switch len(x.Dims) {
	case 1:
		c.Out[0] = onnx.TensorType(tensor.Float32, size)
	case 2:
		c.Out[0] = onnx.TensorType(tensor.Float32, x.Dims[0], size)
	default:
		return fmt.Errorf("X has rank %d, want 1 or 2", len(x.Dims))
	}
	return nil
}

func buildTfIdf(b *BuildContext) (Kernel, error) {
	mode := b.OneOf("mode", "TF", "IDF", "TFIDF")
	g := &ngrams{
		minLength: b.Int("min_gram_length", 1), maxLength: b.Int("max_gram_length", 1), skips: b.Int("max_skip_count", 0),
		indexes: b.Ints("ngram_indexes", nil), weights: b.Floats("weights", nil), size: gramSize(&b.attrs),
		countsFrequency: mode != "IDF", usesWeights: mode != "TF",
	}
	if g.minLength < 1 || g.maxLength < g.minLength || g.skips < 0 {
		return nil, fmt.Errorf("min_gram_length %d, max_gram_length %d, max_skip_count %d", g.minLength, g.maxLength, g.skips)
	}
	if g.weights != nil && len(g.weights) != len(g.indexes) {
		return nil, fmt.Errorf("weights has %d elements, ngram_indexes %d", len(g.weights), len(g.indexes))
	}
	words := b.HasAttr("pool_strings")
	if words == b.HasAttr("pool_int64s") {
		return nil, fmt.Errorf("want one of the attributes pool_strings and pool_int64s")
	}
	pool := b.Ints("pool_int64s", nil)
	if words {
		g.words = map[string]int64{}
		for _, w := range b.Strs("pool_strings", nil) {
			id, ok := g.words[w]
			if !ok {
				id = int64(len(g.words))
				g.words[w] = id
			}
			pool = append(pool, int(id))
		}
		g.chars = new([256]int64)
		for i := range g.chars {
			g.chars[i] = -1
			if id, ok := g.words[string([]byte{byte(i)})]; ok {
				g.chars[i] = id
			}
		}
	}
	if err := g.fill(pool, b.Ints("ngram_counts", nil)); err != nil {
		return nil, err
	}
	return g.run, nil
}

// fill builds the tree. counts are where the n-grams of each length begin.
func (g *ngrams) fill(pool, counts []int) error {
	id := 0
	next, leaf := map[gramEdge]int32{}, [][]int32{nil}
	for i, from := range counts {
		to := len(pool)
		if i+1 < len(counts) {
			to = counts[i+1]
		}
		n := i + 1
		if from < 0 || to < from || to > len(pool) || (to-from)%n != 0 {
			return fmt.Errorf("ngram_counts %v do not fit a pool of %d", counts, len(pool))
		}
		for ; from < to; from += n {
			node := int32(0)
			for _, t := range pool[from : from+n] {
				e := gramEdge{node, int64(t)}
				if next[e] == 0 {
					next[e] = int32(len(leaf))
					leaf = append(leaf, nil)
				}
				node = next[e]
			}
			if id >= len(g.indexes) {
				return fmt.Errorf("ngram_indexes has %d elements, the pool more n-grams", len(g.indexes))
			}
			leaf[node] = append(leaf[node], int32(id))
			id++
		}
	}
	if id != len(g.indexes) {
		return fmt.Errorf("ngram_indexes has %d elements, the pool %d n-grams", len(g.indexes), id)
	}
	g.next = gramTableOf(next)
	for _, l := range leaf {
		g.from = append(g.from, int32(len(g.leaf)))
		g.leaf = append(g.leaf, l...)
	}
	g.from = append(g.from, int32(len(g.leaf)))
	g.first = make([]int32, len(g.words))
	for token := range g.first {
		g.first[token] = next[gramEdge{0, int64(token)}]
	}
	return nil
}

// tokens returns X as tokens of the pool; words that are not in it are -1.
func (g *ngrams) tokens(c *Call, t *tensor.Tensor) ([]int64, error) {
	switch {
	case g.words != nil && t.DType() == tensor.String:
		out := Scratch[int64](c, t.Len())
		words := tensor.Data[string](t)
		for i, w := range words {
			if len(w) == 1 {
				out[i] = g.chars[w[0]]
				continue
			}
			if i > 0 && w == words[i-1] { // what rows are filled up with
				out[i] = out[i-1]
				continue
			}
			id, ok := g.words[w]
			if !ok {
				id = -1
			}
			out[i] = id
		}
		return out, nil
	case g.words == nil && t.DType() == tensor.Int64:
		return tensor.Data[int64](t), nil
	case g.words == nil && t.DType() == tensor.Int32:
		out := Scratch[int64](c, t.Len())
		for i, v := range tensor.Data[int32](t) {
			out[i] = int64(v)
		}
		return out, nil
	}
	return nil, fmt.Errorf("X is %v, the pool is of another type", t.DType())
}

func (g *ngrams) run(c *Call) error {
	x := c.T(0)
	s := x.Shape()
	if len(s) < 1 || len(s) > 2 {
		return fmt.Errorf("X has shape %v, want [C] or [N, C]", s)
	}
	tokens, err := g.tokens(c, x)
	if err != nil {
		return err
	}
	n := s[len(s)-1]
	shape := c.list(s...)
	shape[len(s)-1] = g.size
	y := tensor.Data[float32](c.Output(0, tensor.Float32, shape...))
	clear(y)
	if g.size == 0 || n == 0 {
		return nil
	}
	par.Run(c.P, len(y)/g.size, max(1, moveGrain/(g.size+n*(g.skips+1))), par.With(ngramRows{g, y, tokens, n}))
	return nil
}

// ngramRows are rows of n tokens.
type ngramRows struct {
	*ngrams
	y      []float32
	tokens []int64
	n      int
}

func (a *ngramRows) Chunk(lo, hi int) {
	for r := lo; r < hi; r++ {
		a.row(a.y[r*a.size:][:a.size], a.tokens[r*a.n:][:a.n])
	}
}

// row counts the n-grams of one row.
func (g *ngrams) row(y []float32, tokens []int64) {
	for step := 1; step <= g.skips+1 && step <= max(1, len(tokens)); step++ {
		for start := range tokens {
			node := int32(0)
			for n := 1; n <= g.maxLength; n++ {
				at := start + (n-1)*step
				if at >= len(tokens) {
					break
				}
				if token := tokens[at]; n == 1 && g.words != nil {
					node = 0
					if uint64(token) < uint64(len(g.first)) { // -1 is no word
						node = g.first[token]
					}
				} else {
					node = g.next.slot(gramEdge{node, token}).node
				}
				if node == 0 {
					break
				}
				if n < g.minLength || n == 1 && step > 1 { // one element has no gaps
					continue
				}
				for _, id := range g.leaf[g.from[node]:g.from[node+1]] {
					w := float32(1)
					if g.usesWeights && g.weights != nil {
						w = g.weights[id]
					}
					if g.countsFrequency {
						y[g.indexes[id]] += w
					} else {
						y[g.indexes[id]] = w
					}
				}
			}
		}
	}
}
