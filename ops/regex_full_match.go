package ops

import (
	"fmt"
	"regexp"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// RegexFullMatch: whether the whole of each string of X matches pattern, a
// regular expression in RE2's syntax.
//
//	X: string[...]    Y: bool[...]
//
// Spec: https://onnx.ai/onnx/operators/onnx__RegexFullMatch.html
func init() {
	register(&Op{
		Name:     "RegexFullMatch",
		Versions: []Version{{Since: 20, In: N(1), Out: N(1), Infer: inferRegexFullMatch, Build: buildRegexFullMatch}},
	})
}

func inferRegexFullMatch(c *InferContext) error {
	c.Out[0] = onnx.UnrankedType(tensor.Bool)
	if x := c.In(0); x.Ranked {
		c.Out[0] = onnx.TensorType(tensor.Bool, x.Dims...)
	}
	return nil
}

func buildRegexFullMatch(b *BuildContext) (Kernel, error) {
	pattern := b.Str("pattern", "")
	if _, err := regexp.Compile(pattern); err != nil { // alone, so that a stray parenthesis cannot close the group
		return nil, fmt.Errorf("attribute %q: %w", "pattern", err)
	}
	re, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("attribute %q: %w", "pattern", err)
	}
	return func(c *Call) error {
		x, err := c.stringsOf(0)
		if err != nil {
			return err
		}
		y := tensor.Data[bool](c.Output(0, tensor.Bool, c.T(0).Shape()...))
		c.P.For(len(x), 1024, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				y[i] = re.MatchString(x[i])
			}
		})
		return nil
	}, nil
}
