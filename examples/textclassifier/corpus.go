package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// review is a text and whether its writer liked what it is about.
type review struct {
	text     string
	positive bool
}

// corpus writes reviews of a few sentences. Their words are invented, but for
// those of grammar: 100 adjectives of praise, 100 of blame, and some 4,000 words
// that say nothing, all with frequencies by Zipf's law. What makes the task more than counting
// words is that
//
//   - a negation turns the adjective around, with up to two adverbs between;
//   - hearsay, the opinion of other people, does not count;
//   - a review has both praise and blame, and the balance decides;
//
// and that noise is the share of labels that are wrong.
func corpus(seed uint64, n int, noise float64) []review {
	r := rand.New(rand.NewPCG(seed, 0))
	w := newLexicon(r)
	out := make([]review, n)
	for i := range out {
		for {
			text, balance := w.review(r)
			if balance >= 2 || balance <= -2 {
				out[i] = review{text, balance > 0 != (r.Float64() < noise)}
				break
			}
		}
	}
	return out
}

// lexicon is the words that reviews are made of.
type lexicon struct {
	praise, blame, nouns, verbs *wordList
}

// wordList draws its words with frequencies in proportion to 1/(rank+10).
type wordList struct {
	words []string
	sums  []float64
}

func newLexicon(r *rand.Rand) *lexicon {
	taken := map[string]bool{}
	list := func(n int, ending string) *wordList {
		l := &wordList{}
		sum := 0.0
		for len(l.words) < n {
			word := syllables(r) + ending
			if taken[word] {
				continue
			}
			taken[word] = true
			sum += 1 / float64(len(l.words)+10)
			l.words, l.sums = append(l.words, word), append(l.sums, sum)
		}
		return l
	}
	return &lexicon{praise: list(100, ""), blame: list(100, ""), nouns: list(3500, ""), verbs: list(500, "ed")}
}

func syllables(r *rand.Rand) string {
	const first, vowels, last = "bdfgklmnprstvz", "aeiou", "  lmnrs"
	var b strings.Builder
	for range 2 + r.IntN(2) {
		b.WriteByte(first[r.IntN(len(first))])
		b.WriteByte(vowels[r.IntN(len(vowels))])
	}
	if c := last[r.IntN(len(last))]; c != ' ' {
		b.WriteByte(c)
	}
	return b.String()
}

func (l *wordList) draw(r *rand.Rand) string {
	x := r.Float64() * l.sums[len(l.sums)-1]
	lo, hi := 0, len(l.sums)-1
	for lo < hi {
		if mid := (lo + hi) / 2; l.sums[mid] > x {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return l.words[lo]
}

func pick(r *rand.Rand, words ...string) string { return words[r.IntN(len(words))] }

// review returns a text and the number of its statements in favour less those against.
func (w *lexicon) review(r *rand.Rand) (string, int) {
	likes := 0.2 + 0.6*float64(r.IntN(2)) // how often a statement is in favour
	var parts []string
	balance := 0
	for range 3 + r.IntN(5) {
		switch x := r.Float64(); {
		case x < 0.6:
			s, v := w.opinion(r, likes)
			parts, balance = append(parts, s), balance+v
		case x < 0.75:
			s, _ := w.opinion(r, 0.5)
			parts = append(parts, pick(r, "critics wrote", "some say", "a friend claimed")+" "+s)
		default:
			parts = append(parts, fmt.Sprintf("%s %s the %s", pick(r, "we", "they", "i"), w.verbs.draw(r), w.nouns.draw(r)))
		}
	}
	return strings.Join(parts, " . "), balance
}

// opinion returns a statement and 1 if it is in favour, -1 if it is not.
func (w *lexicon) opinion(r *rand.Rand, likes float64) (string, int) {
	value := -1
	if r.Float64() < likes {
		value = 1
	}
	negated := r.Float64() < 0.25
	words := []string{pick(r, "the", "its", "this"), w.nouns.draw(r), pick(r, "was", "felt", "seemed")}
	if negated {
		words = append(words, pick(r, "not", "never", "hardly"))
	}
	for range r.IntN(3) {
		words = append(words, pick(r, "very", "really", "quite", "so"))
	}
	if (value > 0) != negated {
		words = append(words, w.praise.draw(r))
	} else {
		words = append(words, w.blame.draw(r))
	}
	return strings.Join(words, " "), value
}
