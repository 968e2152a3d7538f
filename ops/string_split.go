package ops

import (
	"math"
	"strings"
	"unicode"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// StringSplit: Y holds the pieces of each string of X between delimiters,
// filled up with empty strings; Z how many there are. Without a delimiter
// strings are split at runs of white space, and white space at both ends is
// dropped. After maxsplit splits the rest is one piece. An empty string has no
// pieces.
//
//	X: string[...]    Y: string[..., max(Z)], Z: int64[...]
//
// Spec: https://onnx.ai/onnx/operators/onnx__StringSplit.html
func init() {
	register(&Op{
		Name:     "StringSplit",
		Versions: []Version{{Since: 20, In: N(1), Out: N(2), Infer: inferStringSplit, Build: buildStringSplit}},
	})
}

func inferStringSplit(c *InferContext) error {
	x := c.In(0)
	for i, d := range []tensor.DType{tensor.String, tensor.Int64}[:len(c.Out)] {
		c.Out[i] = onnx.UnrankedType(d)
		if x.Ranked {
			dims := append([]onnx.Dim{}, x.Dims...)
			if i == 0 {
				dims = append(dims, onnx.Dim{})
			}
			c.Out[i] = onnx.TensorType(d, dims...)
		}
	}
	return nil
}

// splitString splits s at most limit times.
func splitString(s, delimiter string, limit int) []string {
	if delimiter != "" {
		if s == "" {
			return nil
		}
		if limit == math.MaxInt {
			return strings.Split(s, delimiter)
		}
		return strings.SplitN(s, delimiter, limit+1)
	}
	var out []string
	for s = strings.TrimSpace(s); s != "" && limit > 0; limit-- {
		end := strings.IndexFunc(s, unicode.IsSpace)
		if end < 0 {
			break
		}
		out = append(out, s[:end])
		s = strings.TrimLeftFunc(s[end:], unicode.IsSpace)
	}
	if s != "" {
		out = append(out, s)
	}
	return out
}

func buildStringSplit(b *BuildContext) (Kernel, error) {
	delimiter := b.Str("delimiter", "")
	limit := math.MaxInt
	if b.HasAttr("maxsplit") {
		if limit = b.Int("maxsplit", 0); limit < 0 || limit == math.MaxInt {
			limit = math.MaxInt
		}
	}
	return func(c *Call) error {
		x, err := c.stringsOf(0)
		if err != nil {
			return err
		}
		s := c.T(0).Shape()
		pieces, n := make([][]string, len(x)), 0
		for i, v := range x {
			pieces[i] = splitString(v, delimiter, limit)
			n = max(n, len(pieces[i]))
		}
		y := tensor.Data[string](c.Output(0, tensor.String, append(append([]int{}, s...), n)...))
		for i, p := range pieces {
			copy(y[i*n:], p)
		}
		if c.Wants(1) {
			z := tensor.Data[int64](c.Output(1, tensor.Int64, s...))
			for i, p := range pieces {
				z[i] = int64(len(p))
			}
		}
		return nil
	}, nil
}
