package tokenizer

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Constants of SentencePiece's trainer.
const (
	seedPieces      = 1000000
	maxPieceRunes   = 16
	subIterations   = 2
	shrinkingFactor = 0.75
	minExpected     = 0.5 // how often a token must be there to stay
)

// emPieces finds n tokens: it begins with all substrings of words that are there
// more than once and cannot be made longer without being rarer, estimates their
// probabilities by expectation maximization and takes out those that are missed
// least. It is the reference's trainer with substrings counted in a map instead
// of a suffix array and sums in another order, which can differ in last digits.
//
// Source: https://arxiv.org/abs/1804.10959
func emPieces(ctx context.Context, words []wordCount, n int) ([]piece, error) {
	pieces := append([]piece{{"<UNK>", math.NaN()}}, seeds(words)...)
	required := map[rune]bool{}
	for _, w := range words {
		for _, r := range w.word {
			required[r] = true
		}
	}
	if len(required) > n {
		return nil, fmt.Errorf("%d tokens besides the special ones: the texts have %d characters, each of which is one", n, len(required))
	}
	desired := n * 11 / 10
	for {
		for range subIterations {
			expected, err := expect(ctx, newLattice(pieces), words)
			if err != nil {
				return nil, err
			}
			pieces = maximize(pieces, expected)
		}
		if len(pieces) <= desired {
			break
		}
		before := len(pieces)
		var err error
		if pieces, err = prune(ctx, pieces, words, desired); err != nil {
			return nil, err
		}
		if len(pieces) == before { // the rest has no alternatives
			break
		}
	}
	return finalize(pieces, slices.Sorted(maps.Keys(required)), n), nil
}

// seeds returns the characters and the substrings to begin with.
func seeds(words []wordCount) []piece {
	type seen struct {
		count  int
		next   rune // behind it; -2: different ones
		length int  // in runes
	}
	chars, subs := map[rune]int{}, map[string]*seen{}
	for _, w := range words {
		for i, r := range w.word {
			chars[r] += w.count
			n := 0
			for j, q := range w.word[i:] {
				if n++; n > maxPieceRunes {
					break
				}
				end := i + j + utf8.RuneLen(q)
				if n < 2 {
					continue
				}
				next := rune(-1) // the end of a word
				if end < len(w.word) {
					next, _ = utf8.DecodeRuneInString(w.word[end:])
				}
				s := subs[w.word[i:end]]
				if s == nil {
					s = &seen{next: next, length: n}
					subs[w.word[i:end]] = s
				}
				if s.count++; s.next != next {
					s.next = -2
				}
			}
		}
	}
	var pieces, long []piece
	for r, n := range chars {
		pieces = append(pieces, piece{string(r), float64(n)})
	}
	for text, s := range subs {
		if s.count > 1 && s.next == -2 {
			long = append(long, piece{text, float64(s.count * s.length)})
		}
	}
	byScore := func(a, b piece) int { return cmp.Or(cmp.Compare(b.score, a.score), strings.Compare(b.text, a.text)) }
	slices.SortFunc(pieces, byScore)
	slices.SortFunc(long, byScore)
	pieces = append(pieces, long[:min(len(long), max(seedPieces-len(pieces), 0))]...)
	sum := 0.0
	for _, p := range pieces {
		sum += p.score
	}
	for i := range pieces {
		pieces[i].score = math.Log(pieces[i].score) - math.Log(sum)
	}
	return pieces
}

// lattice is the ways to make words of pieces; piece 0 stands for characters that
// no other does.
type lattice struct {
	pieces   []piece
	trie     *trie
	unkScore float64
}

func newLattice(pieces []piece) *lattice {
	keys, least := make([]string, len(pieces)), math.Inf(1)
	for i, p := range pieces {
		if i > 0 {
			keys[i] = p.text
			least = min(least, p.score)
		}
	}
	return &lattice{pieces, newTrie(keys), least - unkPenalty}
}

// edge is a piece in a word.
type edge struct {
	from, to, id int
	score        float64
}

// edges returns the pieces of a word by where they begin.
func (l *lattice) edges(word string) []edge {
	var all []edge
	for at, r := range word {
		single, node := false, int32(0)
		for i := at; i < len(word); i++ {
			if node = l.trie.next(node, word[i]); node == 0 {
				break
			}
			if id := int(l.trie.nodes[node].value); id > 0 {
				all = append(all, edge{at, i + 1, id, l.pieces[id].score})
				single = single || i+1-at == utf8.RuneLen(r)
			}
		}
		if !single {
			all = append(all, edge{at, at + utf8.RuneLen(r), 0, l.unkScore})
		}
	}
	return all
}

// best returns the ids of the best way through a word, without the piece that is
// the whole word if whole is false; nil: there is none.
func (l *lattice) best(word string, whole bool) []int {
	edges := l.edges(word)
	at := make([]int, len(word)+1) // the edge that ends there, plus one
	score := make([]float64, len(word)+1)
	for i, e := range edges {
		if e.from > 0 && at[e.from] == 0 || !whole && e.from == 0 && e.to == len(word) {
			continue
		}
		if s := score[e.from] + e.score; at[e.to] == 0 || s > score[e.to] {
			at[e.to], score[e.to] = i+1, s
		}
	}
	var ids []int
	for end := len(word); end > 0; {
		if at[end] == 0 {
			return nil
		}
		e := edges[at[end]-1]
		ids, end = append(ids, e.id), e.from
	}
	slices.Reverse(ids)
	return ids
}

// expect returns how often each piece is there over all ways through the words,
// weighed by their probabilities.
func expect(ctx context.Context, l *lattice, words []wordCount) ([]float64, error) {
	expected := make([]float64, len(l.pieces))
	for _, w := range words {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		edges := l.edges(w.word)
		n := len(w.word)
		alpha, beta := make([]float64, n+1), make([]float64, n+1)
		for i := range n {
			alpha[i+1], beta[i] = math.Inf(-1), math.Inf(-1)
		}
		for _, e := range edges {
			alpha[e.to] = logAdd(alpha[e.to], alpha[e.from]+e.score)
		}
		for _, e := range slices.Backward(edges) {
			beta[e.from] = logAdd(beta[e.from], beta[e.to]+e.score)
		}
		for _, e := range edges {
			expected[e.id] += float64(w.count) * math.Exp(alpha[e.from]+e.score+beta[e.to]-alpha[n])
		}
	}
	return expected, nil
}

// logAdd returns log(exp(a) + exp(b)).
func logAdd(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if math.IsInf(b, -1) {
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
}

// maximize returns the pieces with the probabilities that follow from how often
// they are there, in the Bayesian form that prefers few of them.
func maximize(pieces []piece, expected []float64) []piece {
	out := []piece{pieces[0]}
	sum := 0.0
	for i, p := range pieces[1:] {
		if f := expected[i+1]; f >= minExpected {
			out = append(out, piece{p.text, f})
			sum += f
		}
	}
	all := digamma(sum)
	for i := range out[1:] {
		out[i+1].score = digamma(out[i+1].score) - all
	}
	return out
}

// digamma is the derivative of the logarithm of the gamma function.
func digamma(x float64) float64 {
	r := 0.0
	for ; x < 7; x++ {
		r -= 1 / x
	}
	x -= 0.5
	y := 1 / (x * x)
	return r + math.Log(x) + y/24 - 7.0/960*y*y + 31.0/8064*y*y*y - 127.0/30720*y*y*y*y
}

// prune takes out a quarter of the pieces, those whose words would lose least if
// they were made of others.
func prune(ctx context.Context, pieces []piece, words []wordCount, desired int) ([]piece, error) {
	l := newLattice(pieces)
	keep := make([]bool, len(pieces))
	others := make([][]int, len(pieces))
	for id := 1; id < len(pieces); id++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		other := l.best(pieces[id].text, false)
		if keep[id] = other == nil; other == nil {
			continue
		}
		if first := l.best(pieces[id].text, true); len(first) == 1 {
			keep[id], others[id] = true, other
		}
	}
	freq := make([]float64, len(pieces))
	total := 0.0
	for _, w := range words {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		total += float64(w.count)
		for _, id := range l.best(w.word, true) {
			freq[id] += float64(w.count)
		}
	}
	sum := 0.0
	for _, f := range freq {
		sum += f
	}
	out := []piece{pieces[0]}
	type candidate struct {
		id   int
		loss float64
	}
	var candidates []candidate
	for id := 1; id < len(pieces); id++ {
		switch {
		case freq[id] == 0 && !keep[id]:
		case len(others[id]) == 0:
			out = append(out, pieces[id])
		case freq[id] > 0:
			alternative, all := 0.0, math.Log(sum+freq[id]*float64(len(others[id])-1))
			for _, k := range others[id] {
				alternative += math.Log(freq[k]+freq[id]) - all
			}
			candidates = append(candidates, candidate{id, freq[id] / total * (math.Log(freq[id]) - math.Log(sum) - alternative)})
		}
	}
	slices.SortStableFunc(candidates, func(a, b candidate) int { return cmp.Compare(b.loss, a.loss) })
	size := max(desired, int(float64(len(pieces))*shrinkingFactor))
	for _, c := range candidates {
		if len(out) == size {
			break
		}
		out = append(out, pieces[c.id])
	}
	return out, nil
}

// finalize returns the required characters and the best other pieces, n in all.
func finalize(pieces []piece, required []rune, n int) []piece {
	scores, least := map[string]float64{}, math.Inf(1)
	for _, p := range pieces[1:] {
		scores[p.text] = p.score
		least = min(least, p.score)
	}
	var out []piece
	inserted := map[string]bool{}
	penalty := 0.0
	for _, r := range required {
		score, ok := scores[string(r)]
		if !ok {
			score = least + penalty
			penalty += 0.0001
		}
		inserted[string(r)] = true
		out = append(out, piece{string(r), score})
	}
	for _, p := range pieces[1:] {
		if len(out) == n {
			break
		}
		if !inserted[p.text] {
			out = append(out, p)
		}
	}
	slices.SortStableFunc(out, func(a, b piece) int { return cmp.Compare(b.score, a.score) })
	return out
}
