package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// mlNumbers returns the elements of a numeric tensor as T. Integers become
// float32 on the way, as ONNX Runtime computes with them.
func mlNumbers[T floating](c *Call, t *tensor.Tensor) ([]T, error) {
	if t == nil {
		return nil, fmt.Errorf("X is absent")
	}
	switch t.DType() {
	case tensor.Int64:
		out := Scratch[T](c, t.Len())
		for i, v := range tensor.Data[int64](t) {
			out[i] = T(float32(v))
		}
		return out, nil
	case tensor.Int32:
		out := Scratch[T](c, t.Len())
		for i, v := range tensor.Data[int32](t) {
			out[i] = T(float32(v))
		}
		return out, nil
	case tensor.Float64:
		if dtypeOf[T]() == tensor.Float32 {
			return convertInto(Scratch[T](c, t.Len()), tensor.Data[float64](t)), nil
		}
	case tensor.String, tensor.Bool:
		return nil, unsupportedType(0, t.DType())
	}
	return realsOf[T](t)
}

// mlRows returns the rows and columns of X, a matrix or one row.
func mlRows(t *tensor.Tensor) (n, f int, err error) {
	if t == nil {
		return 0, 0, fmt.Errorf("X is absent")
	}
	switch t.Rank() {
	case 1:
		return 1, t.Dim(0), nil
	case 2:
		return t.Dim(0), t.Dim(1), nil
	}
	return 0, 0, fmt.Errorf("X has shape %v, want 1 or 2 dimensions", t.Shape())
}

// mlMatrix returns the elements, rows and columns of input 0.
func mlMatrix[T floating](c *Call) (x []T, n, f int, err error) {
	if n, f, err = mlRows(c.T(0)); err != nil {
		return nil, 0, 0, err
	}
	x, err = mlNumbers[T](c, c.T(0))
	return x, n, f, err
}

// mlBatch returns the number of rows of X as a Dim.
func mlBatch(t onnx.Type) (onnx.Dim, error) {
	switch {
	case !t.Ranked:
		return onnx.Dim{}, nil
	case len(t.Dims) == 1:
		return onnx.Size(1), nil
	case len(t.Dims) == 2:
		return t.Dims[0], nil
	}
	return onnx.Dim{}, fmt.Errorf("X is %v, want 1 or 2 dimensions", t)
}

// mlLabels are the labels of a classifier's classes.
type mlLabels struct {
	ints []int64
	strs []string
}

func parseLabels(a *attrs, ints, strs string) (*mlLabels, error) {
	l := &mlLabels{strs: a.Strs(strs, nil)}
	for _, v := range a.Ints(ints, nil) {
		l.ints = append(l.ints, int64(v))
	}
	if len(l.ints) > 0 && len(l.strs) > 0 {
		return nil, fmt.Errorf("both %s and %s are given", ints, strs)
	}
	if l.len() == 0 {
		return nil, fmt.Errorf("neither %s nor %s is given", ints, strs)
	}
	return l, nil
}

func (l *mlLabels) len() int { return max(len(l.ints), len(l.strs)) }

func (l *mlLabels) dtype() tensor.DType {
	if len(l.strs) > 0 {
		return tensor.String
	}
	return tensor.Int64
}

// Answers of a classifier that does not name its classes: 1 and 0, or the second
// and first label if labels are strings.
const (
	labelPositive = -1
	labelNegative = -2
)

// labelsOut is output 0 of a classifier, one label for each row.
type labelsOut struct {
	*mlLabels
	intsOut []int64
	strsOut []string
}

// output makes output 0 for n rows.
func (l *mlLabels) output(c *Call, n int) labelsOut {
	t := c.Output(0, l.dtype(), n)
	if len(l.strs) > 0 {
		return labelsOut{l, nil, tensor.Data[string](t)}
	}
	return labelsOut{l, tensor.Data[int64](t), nil}
}

// set sets the label of a row.
func (o *labelsOut) set(row, class int) {
	if o.strsOut != nil {
		switch class {
		case labelNegative:
			class = 0
		case labelPositive:
			class = len(o.strs) - 1
		}
		o.strsOut[row] = o.strs[class]
		return
	}
	switch class {
	case labelNegative:
		o.intsOut[row] = 0
	case labelPositive:
		o.intsOut[row] = 1
	default:
		o.intsOut[row] = o.ints[class]
	}
}

// setAll sets the labels of rows.
func (o *labelsOut) setAll(row int, classes []int32) {
	if o.strsOut != nil {
		for i, c := range classes {
			o.strsOut[row+i] = o.strs[c]
		}
		return
	}
	for i, c := range classes {
		o.intsOut[row+i] = o.ints[c]
	}
}

// mlPost is a post_transform.
type mlPost uint8

const (
	postNone mlPost = iota
	postSoftmax
	postLogistic
	postSoftmaxZero
	postProbit
)

func parsePost(a *attrs) mlPost {
	switch a.OneOf("post_transform", "NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT") {
	case "SOFTMAX":
		return postSoftmax
	case "LOGISTIC":
		return postLogistic
	case "SOFTMAX_ZERO":
		return postSoftmaxZero
	case "PROBIT":
		return postProbit
	}
	return postNone
}

func mlLogistic(x float32) float32 {
	v := 1 / (1 + mlExp(-mlAbs(x)))
	if x < 0 {
		return 1 - v
	}
	return v
}

func mlExp(x float32) float32 { return float32(math.Exp(float64(x))) }
func mlAbs(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }

// mlProbit is the inverse of the normal distribution, by Winitzki's
// approximation of the inverse of erf, which ONNX Runtime takes.
func mlProbit(p float32) float32 {
	const a = 0.147
	x := 2*p - 1
	l := float32(math.Log(float64((1 - x) * (1 + x))))
	v := 2/(float32(math.Pi)*a) + 0.5*l
	r := float32(math.Sqrt(float64(-v + float32(math.Sqrt(float64(v*v-1/float32(a)*l))))))
	if x < 0 {
		r = -r
	}
	return 1.41421356 * r
}

func mlSoftmax(s []float32, zero bool) {
	if len(s) == 0 {
		return
	}
	top := slices.Max(s)
	sum, small := float32(0), mlExp(-top)
	for i, v := range s {
		if zero && mlAbs(v) <= 1e-7 {
			s[i] = v * small
			continue
		}
		s[i] = mlExp(v - top)
		sum += s[i]
	}
	for i := range s {
		s[i] /= sum
	}
}

// apply transforms the scores of one row in place.
func (p mlPost) apply(s []float32) {
	switch p {
	case postSoftmax:
		mlSoftmax(s, false)
	case postSoftmaxZero:
		mlSoftmax(s, true)
	case postLogistic:
		for i, v := range s {
			s[i] = mlLogistic(v)
		}
	case postProbit:
		for i, v := range s {
			s[i] = mlProbit(v)
		}
	}
}

// all transforms rows of n scores in place.
func (p mlPost) all(s []float32, n int, t *vec.Table) {
	switch p {
	case postNone:
	case postLogistic:
		t.Sigmoid(s, s)
	case postSoftmax:
		for i := 0; i < len(s); i += n {
			row := s[i : i+n]
			top := slices.Max(row)
			for k := range row {
				row[k] -= top
			}
		}
		t.Exp(s, s)
		for i := 0; i < len(s); i += n {
			row, sum := s[i:i+n], float32(0)
			for _, v := range row {
				sum += v
			}
			for k := range row {
				row[k] /= sum
			}
		}
	default:
		for i := 0; i < len(s); i += n {
			p.apply(s[i : i+n])
		}
	}
}

// How a single score of a binary classifier becomes two.
const (
	oneScoreAlone  = iota // it does not
	oneScoreProb          // 1-s, s
	oneScoreSigned        // -s, s
)

// write sets z to the transformed scores s of one row. A single score follows
// the rules of a binary classifier: extra says what the other class gets; z may
// then have one element more. s may be changed.
func (p mlPost) write(z, s []float32, extra int) {
	if len(s) != 1 {
		p.apply(s)
		copy(z, s)
		return
	}
	v := s[0]
	if p == postProbit {
		z[0] = mlProbit(v)
		clear(z[1:])
		return
	}
	if len(z) == 1 {
		extra = oneScoreAlone
	}
	switch {
	case extra != oneScoreAlone && p == postLogistic:
		z[0], z[1] = mlLogistic(-v), mlLogistic(v)
	case extra == oneScoreProb:
		z[0], z[1] = 1-v, v
	case extra == oneScoreSigned:
		z[0], z[1] = -v, v
	default:
		z[0] = v
		clear(z[1:])
	}
}

// argmax returns the index of the first largest element.
func argmax(s []float32) int {
	if len(s) < 16 && len(s) > 0 {
		return argFew(s, true)
	}
	best := 0
	for i, v := range s {
		if v > s[best] {
			best = i
		}
	}
	return best
}
