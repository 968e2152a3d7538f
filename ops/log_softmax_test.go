package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestLogSoftmax(t *testing.T) {
	Run(t, softmaxCases("LogSoftmax", func(x []float64) []float64 {
		y := naiveSoftmax(x)
		for i, v := range y {
			y[i] = math.Log(v)
		}
		return y
	}))
	Run(t, []Case{
		{Op: "LogSoftmax", In: Vals(F32([]int{1, 2}, 1000, -1000)), Want: Vals(F32([]int{1, 2}, 0, -2000))},
	})
}
