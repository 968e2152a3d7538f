package tokenizer

import (
	"cmp"
	"slices"
)

// trie finds the keys that a text begins with.
type trie struct {
	nodes []trieNode
	edges []trieEdge // of a node together, by byte
}

type trieNode struct {
	first, edges int32
	value        int32 // of the key that ends here; -1: none
}

type trieEdge struct {
	b    byte
	node int32
}

// newTrie makes a trie of keys; the value of one is its index. Empty keys are
// left out, of equal keys the last counts.
func newTrie(keys []string) *trie {
	order := make([]int32, 0, len(keys))
	for i, k := range keys {
		if k != "" {
			order = append(order, int32(i))
		}
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(keys[a], keys[b]) })
	type job struct {
		lo, hi, depth int // the keys that begin with the node's bytes
	}
	t := &trie{nodes: []trieNode{{value: -1}}}
	jobs := []job{{0, len(order), 0}}
	for n := 0; n < len(jobs); n++ {
		j := jobs[n]
		for j.lo < j.hi && len(keys[order[j.lo]]) == j.depth {
			t.nodes[n].value = order[j.lo]
			j.lo++
		}
		t.nodes[n].first = int32(len(t.edges))
		for j.lo < j.hi {
			b, end := keys[order[j.lo]][j.depth], j.lo
			for end < j.hi && keys[order[end]][j.depth] == b {
				end++
			}
			t.edges = append(t.edges, trieEdge{b, int32(len(t.nodes))})
			t.nodes = append(t.nodes, trieNode{value: -1})
			jobs = append(jobs, job{j.lo, end, j.depth + 1})
			j.lo = end
		}
		t.nodes[n].edges = int32(len(t.edges)) - t.nodes[n].first
	}
	return t
}

// next returns the node behind b, or 0: the root is behind none.
func (t *trie) next(node int32, b byte) int32 {
	n := &t.nodes[node]
	edges := t.edges[n.first : n.first+n.edges]
	for len(edges) > 8 {
		if m := len(edges) / 2; edges[m].b <= b {
			edges = edges[m:]
		} else {
			edges = edges[:m]
		}
	}
	for _, e := range edges {
		if e.b == b {
			return e.node
		}
	}
	return 0
}

// longest returns the value and length of the longest key that s begins with;
// length 0: none.
func (t *trie) longest(s string) (value int32, length int) {
	node := int32(0)
	for i := range len(s) {
		if node = t.next(node, s[i]); node == 0 {
			break
		}
		if v := t.nodes[node].value; v >= 0 {
			value, length = v, i+1
		}
	}
	return value, length
}
