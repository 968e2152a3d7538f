package ops

import (
	"fmt"
	"regexp"
	"unicode/utf8"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Tokenizer (com.microsoft): the tokens of each string, filled up with pad_value
// to as many as the longest has. Tokens are what tokenexp matches, or what the
// expressions in separators leave when one after the other parts the string;
// both take the longest of the leftmost matches. Where the only separator is
// empty or tokenexp is ".", each character is one, line feeds too.
//
//	X: string[n] or [n, c]    Y: string[n, d] or [n, c, d]
//
// Tokens of less than mincharnum characters are left out. With mark the tokens
// of a string stand between U+0002 and U+0003.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.Tokenizer
func init() {
	register(&Op{Domain: "com.microsoft", Name: "Tokenizer", Versions: []Version{
		{Since: 1, In: N(1), Out: N(1), Infer: inferTokenizer, Build: buildTokenizer},
	}})
}

func inferTokenizer(c *InferContext) error {
	x := c.In(0)
	c.Out[0] = onnx.UnrankedType(tensor.String)
	if x.Ranked {
		c.Out[0] = onnx.TensorType(tensor.String, append(append([]onnx.Dim{}, x.Dims...), onnx.Dim{})...)
	}
	return nil
}

type tokenizer struct {
	set        *runeSet         // tokens are the longest runs of these, or nil
	token      *regexp.Regexp   // or nil
	separators []*regexp.Regexp // where all are nil: characters
	least      int              // characters of a token
}

// characters reports whether each character is a token.
func (t *tokenizer) characters() bool {
	return t.set == nil && t.token == nil && t.separators == nil
}

// span is where a token is in its string.
type span struct{ from, to int }

// spans appends where the tokens of s are.
func (t *tokenizer) spans(to []span, s string) []span {
	switch {
	case t.set != nil:
		return t.set.runs(to, s, t.least)
	case t.token != nil:
		for _, m := range t.token.FindAllStringIndex(s, -1) {
			to = t.keep(to, s, span{m[0], m[1]})
		}
		return to
	}
	parts := []span{{0, len(s)}}
	for _, e := range t.separators {
		var finer []span
		for _, p := range parts {
			from := p.from
			for _, m := range e.FindAllStringIndex(s[p.from:p.to], -1) {
				if m[1] > 0 {
					finer = append(finer, span{from, p.from + m[0]})
				}
				from = p.from + m[1]
			}
			finer = append(finer, span{from, p.to})
		}
		parts = finer
	}
	for _, p := range parts {
		to = t.keep(to, s, p)
	}
	return to
}

// keep appends p if it is long enough.
func (t *tokenizer) keep(to []span, s string, p span) []span {
	if utf8.RuneCountInString(s[p.from:p.to]) >= t.least {
		to = append(to, p)
	}
	return to
}

func readTokenizer(b *BuildContext) (*tokenizer, error) {
	t := &tokenizer{least: b.Int("mincharnum", 0)}
	if t.least < 1 {
		return nil, fmt.Errorf("attribute \"mincharnum\" is %d, want 1 or more", t.least)
	}
	exp, separators := b.Str("tokenexp", ""), b.Strs("separators", nil)
	if (exp == "") == (len(separators) == 0) {
		return nil, fmt.Errorf("want one of the attributes \"tokenexp\" and \"separators\"")
	}
	if exp == "." || len(separators) == 1 && separators[0] == "" {
		return t, nil
	}
	if exp != "" {
		var err error
		if t.token, err = longest(exp); err != nil {
			return nil, err
		}
		if set, n := runsOf(exp); n > 0 {
			t.set, t.least = set, max(n, t.least)
		}
		return t, nil
	}
	set := &runeSet{outside: true}
	for _, s := range separators {
		if s == "" {
			return nil, fmt.Errorf("attribute \"separators\" has an empty string beside others")
		}
		e, err := longest(s)
		if err != nil {
			return nil, err
		}
		t.separators = append(t.separators, e)
		if class := separatorOf(s); class != nil && set != nil {
			set.add(class)
		} else {
			set = nil
		}
	}
	t.set = set // tokens are what is between runs of separators: empty ones do not count
	return t, nil
}

// longest compiles an expression that takes of the leftmost matches the longest.
func longest(exp string) (*regexp.Regexp, error) {
	e, err := regexp.Compile(exp)
	if err == nil {
		e.Longest()
	}
	return e, err
}

func buildTokenizer(b *BuildContext) (Kernel, error) {
	t, err := readTokenizer(b)
	if err != nil {
		return nil, err
	}
	pad, mark := b.Str("pad_value", ""), b.Bool("mark", false)
	return func(c *Call) error {
		x, err := c.stringsOf(0)
		if err != nil {
			return err
		}
		shape := c.T(0).Shape()
		if len(shape) != 1 && len(shape) != 2 {
			return fmt.Errorf("X has shape %v, want 1 or 2 dimensions", shape)
		}
		marks := 0
		if mark {
			marks = 2
		}
		w := State[tokenSpans](c)
		w.tokens, w.ends = w.tokens[:0], w.ends[:0]
		most := 0
		for i, s := range x {
			if !utf8.ValidString(s) {
				return fmt.Errorf("X[%d] is not UTF-8", i)
			}
			n := 0
			if !t.characters() {
				from := len(w.tokens)
				w.tokens = t.spans(w.tokens, s)
				w.ends = append(w.ends, len(w.tokens))
				n = len(w.tokens) - from
			} else if t.least == 1 {
				n = utf8.RuneCountInString(s)
			}
			most = max(most, n+marks)
		}
		dims := append(append(c.Dims(3)[:0], shape...), most)
		y := tensor.Data[string](c.Output(0, tensor.String, dims...))
		from := 0
		for i, s := range x {
			to := y[i*most:][:most]
			j := 0
			if mark {
				to[0] = "\x02"
				j = 1
			}
			switch {
			case !t.characters():
				for _, p := range w.tokens[from:w.ends[i]] {
					to[j] = s[p.from:p.to]
					j++
				}
				from = w.ends[i]
			case t.least == 1:
				for k := 0; k < len(s); j++ {
					n := 1
					if s[k] >= utf8.RuneSelf {
						_, n = utf8.DecodeRuneInString(s[k:])
					}
					to[j] = s[k : k+n]
					k += n
				}
			}
			if mark {
				to[j] = "\x03"
				j++
			}
			for ; j < most; j++ {
				to[j] = pad
			}
		}
		return nil
	}, nil
}

// tokenSpans are where the tokens of all strings are, and where those of each end.
type tokenSpans struct {
	tokens []span
	ends   []int
}
