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
	token      *regexp.Regexp   // or nil
	separators []*regexp.Regexp // nil: characters
	least      int
}

// tokens appends the tokens of s.
func (t *tokenizer) tokens(to []string, s string) []string {
	var parts []string
	switch {
	case t.token != nil:
		parts = t.token.FindAllString(s, -1)
	case t.separators == nil:
		for _, r := range s {
			parts = append(parts, string(r))
		}
	default:
		parts = []string{s}
		for _, e := range t.separators {
			var finer []string
			for _, p := range parts {
				finer = append(finer, e.Split(p, -1)...)
			}
			parts = finer
		}
	}
	for _, p := range parts {
		if utf8.RuneCountInString(p) >= t.least {
			to = append(to, p)
		}
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
	if exp != "" && exp != "." {
		var err error
		t.token, err = longest(exp)
		return t, err
	}
	if exp == "." || len(separators) == 1 && separators[0] == "" {
		return t, nil
	}
	for _, s := range separators {
		if s == "" {
			return nil, fmt.Errorf("attribute \"separators\" has an empty string beside others")
		}
		e, err := longest(s)
		if err != nil {
			return nil, err
		}
		t.separators = append(t.separators, e)
	}
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
		rows, most := make([][]string, len(x)), 0
		for i, s := range x {
			if !utf8.ValidString(s) {
				return fmt.Errorf("X[%d] is not UTF-8", i)
			}
			if mark {
				rows[i] = append(rows[i], "\x02")
			}
			rows[i] = t.tokens(rows[i], s)
			if mark {
				rows[i] = append(rows[i], "\x03")
			}
			most = max(most, len(rows[i]))
		}
		y := tensor.Data[string](c.Output(0, tensor.String, append(append([]int{}, shape...), most)...))
		for i, row := range rows {
			to := y[i*most:][:most]
			for j := copy(to, row); j < most; j++ {
				to[j] = pad
			}
		}
		return nil
	}, nil
}
