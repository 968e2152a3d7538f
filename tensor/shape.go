package tensor

import (
	"fmt"
	"math"
)

// Int returns v, or the int nearest to it. Where ints have 32 bits, what stands for
// the end of any dimension, such as the greatest int64, stays beyond all sizes.
func Int(v int64) int { return int(max(math.MinInt, min(v, math.MaxInt))) }

// Strides returns the row-major strides of shape, in elements.
func Strides(shape []int) []int {
	s := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = n
		n *= shape[i]
	}
	return s
}

// Axis maps an axis in [-rank, rank-1] to [0, rank-1].
func Axis(axis, rank int) (int, error) {
	if axis < -rank || axis >= rank {
		return 0, fmt.Errorf("axis %d is not in [%d, %d]", axis, -rank, rank-1)
	}
	if axis < 0 {
		axis += rank
	}
	return axis, nil
}

// Broadcast returns the shape that the given shapes broadcast to by ONNX's
// (NumPy's) rule: aligned at the end, a 1 stretches.
func Broadcast(shapes ...[]int) ([]int, error) {
	rank := 0
	for _, s := range shapes {
		rank = max(rank, len(s))
	}
	out := make([]int, rank)
	for i := range out {
		out[i] = 1
	}
	for _, s := range shapes {
		off := rank - len(s)
		for i, d := range s {
			switch o := &out[off+i]; {
			case *o == d || d == 1:
			case *o == 1:
				*o = d
			default:
				return nil, fmt.Errorf("shapes %v do not broadcast: %d against %d in dimension %d", shapes, *o, d, off+i)
			}
		}
	}
	return out, nil
}

// BroadcastStrides returns strides, in elements, by which a tensor of the
// given shape is read as if it had shape out: 0 where it is stretched.
func BroadcastStrides(shape, out []int) []int {
	s := make([]int, len(out))
	n, off := 1, len(out)-len(shape)
	for i := len(shape) - 1; i >= 0; i-- {
		if shape[i] != 1 {
			s[off+i] = n
		}
		n *= shape[i]
	}
	return s
}
