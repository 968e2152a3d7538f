package ops

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// StringNormalizer: X without the strings in stopwords, in lower or upper case
// if case_change_action says so. If nothing is left, Y is one empty string.
//
//	X: string[C] or [1, C]    Y: string[n] or [1, n]
//
// Case is Unicode's. Of locale only the languages that map the letter i in
// another way (tr, az) make a difference; no locale needs to be installed.
//
// Spec: https://onnx.ai/onnx/operators/onnx__StringNormalizer.html
func init() {
	register(&Op{
		Name:     "StringNormalizer",
		Versions: []Version{{Since: 10, In: N(1), Out: N(1), Infer: inferStringNormalizer, Build: buildStringNormalizer}},
	})
}

func inferStringNormalizer(c *InferContext) error {
	x := c.In(0)
	c.Out[0] = onnx.UnrankedType(tensor.String)
	if !x.Ranked {
		return nil
	}
	switch len(x.Dims) {
	case 1:
		c.setRank(0, tensor.String, 1)
	case 2:
		c.Out[0] = onnx.TensorType(tensor.String, onnx.Size(1), onnx.Dim{})
	default:
		return fmt.Errorf("X has rank %d, want 1 or 2", len(x.Dims))
	}
	return nil
}

func buildStringNormalizer(b *BuildContext) (Kernel, error) {
	action := b.OneOf("case_change_action", "NONE", "LOWER", "UPPER")
	sensitive := b.Bool("is_case_sensitive", false)
	lower, upper := strings.ToLower, strings.ToUpper
	if l := strings.ToLower(b.Str("locale", "")); strings.HasPrefix(l, "tr") || strings.HasPrefix(l, "az") {
		lower = func(s string) string { return strings.ToLowerSpecial(unicode.TurkishCase, s) }
		upper = func(s string) string { return strings.ToUpperSpecial(unicode.TurkishCase, s) }
	}
	same := func(s string) string { return s }
	change := map[string]func(string) string{"NONE": same, "LOWER": lower, "UPPER": upper}[action]
	fold := lower
	if sensitive {
		fold = same
	}
	stop := map[string]bool{}
	for _, w := range b.Strs("stopwords", nil) {
		stop[fold(w)] = true
	}
	return func(c *Call) error {
		x, err := c.stringsOf(0)
		if err != nil {
			return err
		}
		s := c.T(0).Shape()
		if len(s) < 1 || len(s) > 2 || len(s) == 2 && s[0] != 1 {
			return fmt.Errorf("X has shape %v, want [C] or [1, C]", s)
		}
		var keep []string
		for _, v := range x {
			if len(stop) == 0 || !stop[fold(v)] {
				keep = append(keep, change(v))
			}
		}
		if len(keep) == 0 {
			keep = []string{""}
		}
		shape := []int{len(keep)}
		if len(s) == 2 {
			shape = []int{1, len(keep)}
		}
		copy(tensor.Data[string](c.Output(0, tensor.String, shape...)), keep)
		return nil
	}, nil
}
