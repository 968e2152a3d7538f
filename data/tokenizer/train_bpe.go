package tokenizer

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// bpeTrainer joins the pair of tokens that is there most often, again and again.
type bpeTrainer struct {
	ids    map[string]uint32
	tokens []string
	merges []mergePair
	prefix string // of tokens that do not begin a word

	words  [][]uint32
	counts []int
	pairs  map[uint64]int          // how often each is there
	where  map[uint64]map[int]bool // words with pairs that are not queued
	queue  pairQueue
}

// pairEntry is a pair as it was counted, and the words it was seen in.
type pairEntry struct {
	pair  uint64
	count int
	words []int
}

// pairQueue is a heap of pairs, the one that is there most often first.
type pairQueue []pairEntry

func (q pairQueue) Len() int { return len(q) }
func (q pairQueue) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[j].count, q[i].count), cmp.Compare(q[i].pair, q[j].pair)) < 0
}
func (q pairQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *pairQueue) Push(x any)   { *q = append(*q, x.(pairEntry)) }
func (q *pairQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func (b *bpeTrainer) add(token string) uint32 {
	id, ok := b.ids[token]
	if !ok {
		id = uint32(len(b.tokens))
		b.ids[token] = id
		b.tokens = append(b.tokens, token)
	}
	return id
}

// trainBPE finds o.VocabSize tokens. alphabet is in the vocabulary whether the
// words have it or not.
func trainBPE(ctx context.Context, words []wordCount, alphabet []rune, prefix string, o *TrainOptions) (*bpeTrainer, error) {
	b := &bpeTrainer{ids: map[string]uint32{}, prefix: prefix, pairs: map[uint64]int{}, where: map[uint64]map[int]bool{}}
	for _, s := range o.SpecialTokens {
		b.add(s)
	}
	runes := map[rune]bool{}
	for _, r := range alphabet {
		runes[r] = true
	}
	for _, w := range words {
		for _, r := range w.word {
			runes[r] = true
		}
	}
	for _, r := range slices.Sorted(maps.Keys(runes)) {
		b.add(string(r))
	}
	for i, w := range words {
		var ids []uint32
		for k, r := range w.word {
			s := string(r)
			if k > 0 {
				s = prefix + s
			}
			ids = append(ids, b.add(s))
		}
		b.words, b.counts = append(b.words, ids), append(b.counts, w.count)
		for k := range len(ids) - 1 {
			b.count(pairKey(ids[k], ids[k+1]), i, 1)
		}
	}
	if len(b.tokens) > o.VocabSize {
		return nil, fmt.Errorf("a vocabulary of %d tokens: the special ones and the characters are %d", o.VocabSize, len(b.tokens))
	}
	b.enqueue()
	for len(b.tokens) < o.VocabSize && len(b.queue) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		top := heap.Pop(&b.queue).(pairEntry)
		if n := b.pairs[top.pair]; n != top.count {
			top.count = n
			heap.Push(&b.queue, top)
			continue
		}
		if top.count < max(1, o.MinFrequency) {
			break
		}
		b.join(top)
	}
	return b, nil
}

// count notes that a pair is there n times more in word i.
func (b *bpeTrainer) count(pair uint64, i, n int) {
	b.pairs[pair] += n * b.counts[i]
	if n > 0 {
		m := b.where[pair]
		if m == nil {
			m = map[int]bool{}
			b.where[pair] = m
		}
		m[i] = true
	}
}

// enqueue queues the pairs that have been counted since.
func (b *bpeTrainer) enqueue() {
	for pair, words := range b.where {
		if n := b.pairs[pair]; n > 0 {
			heap.Push(&b.queue, pairEntry{pair, n, slices.Sorted(maps.Keys(words))})
		}
	}
	clear(b.where)
}

// join makes a token of a pair.
func (b *bpeTrainer) join(e pairEntry) {
	left, right := uint32(e.pair>>32), uint32(e.pair)
	token := b.add(b.tokens[left] + strings.TrimPrefix(b.tokens[right], b.prefix))
	b.merges = append(b.merges, mergePair{b.tokens[left], b.tokens[right]})
	for _, i := range e.words {
		w := b.words[i]
		for k := 0; k+1 < len(w); k++ {
			if w[k] != left || w[k+1] != right {
				continue
			}
			if k > 0 {
				b.count(pairKey(w[k-1], left), i, -1)
				b.count(pairKey(w[k-1], token), i, 1)
			}
			w[k] = token
			w = slices.Delete(w, k+1, k+2)
			if k+1 < len(w) {
				b.count(pairKey(right, w[k+1]), i, -1)
				b.count(pairKey(token, w[k+1]), i, 1)
			}
		}
		b.words[i] = w
	}
	b.enqueue()
}
