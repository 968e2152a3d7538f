package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestMSQLinearConv(t *testing.T) {
	first := qLinearConvCases()
	last := lastCases(qLinearConvCases(), 0)
	for i := range first {
		first[i].Domain, first[i].Opset = "com.microsoft", 1
		last[i].Domain = "com.microsoft"
		last[i].Attrs = last[i].Attrs.Set("channels_last", 1)
	}
	first[0].Attrs = onnx.NewAttrs("channels_last", 0)
	Run(t, append(first, last...))
}
