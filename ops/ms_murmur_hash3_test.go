package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestMurmurHash3(t *testing.T) {
	const ms = "com.microsoft"
	Run(t, []Case{
		{Op: "MurmurHash3", Domain: ms, In: Vals(Of([]int{3}, "", "test", "Hello, world!")), Want: Vals(Of([]int{3}, uint32(0), 0xba6bd213, 0xc0363e43))},
		{Op: "MurmurHash3", Domain: ms, Attrs: onnx.NewAttrs("seed", 1234, "positive", 0), In: Vals(Of([]int{1}, "The quick brown fox jumps over the lazy dog")), Want: Vals(I32([]int{1}, 662953101))},
		{Op: "MurmurHash3", Domain: ms, In: Vals(I32([]int{2}, 0x74736574, 3)), Want: Vals(Of([]int{2}, uint32(0xba6bd213), 0x32850971))},
	})
}
