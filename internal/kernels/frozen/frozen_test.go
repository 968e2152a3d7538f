package frozen_test

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/kernels/frozen"
	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/kernels/half"
	"github.com/gneiss-run/gneiss/internal/kernels/nhwc"
	"github.com/gneiss-run/gneiss/internal/par"
)

// TestFormat fails when a packed form changes: files of the old one would be read as the new one.
// Then frozen.Format is one more, and the sums are those that the test prints.
func TestFormat(t *testing.T) {
	require.Equal(t, 1, frozen.Format, "the sums below are of another format")
	numbers := make([]float32, 9*40*40)
	for i := range numbers {
		numbers[i] = float32(i%101) / 4
	}
	halves := make([]uint16, 40*40)
	for i := range halves {
		halves[i] = uint16(i)
	}
	for _, tt := range []struct {
		name, sum string
		form      frozen.Freezer
	}{
		{"gemm", "c38e3fda96b0ef6f", gemm.Pack(par.P{}, numbers, 40, 33, 33, 1)},
		{"gemm transposed", "dc8c4ba8b2d2b11b", gemm.Pack(par.P{}, numbers, 40, 33, 1, 40)},
		{"half", "31fc2b54cd29ffc9", half.Pack(par.P{}, half.BFloat16, halves, 40, 33, 33, 1)},
		{"convolution", "efa2e342dc34917f", nhwc.Pack(nhwc.Tables[0], numbers, 40, 40, 1, []int{3, 3})},
		{"winograd", "44960a117a9da46f", nhwc.PackWinograd(nhwc.Tables[0], numbers, 40, 40)},
		{"groups", "69dd989f82c538de", nhwc.Pack(nhwc.Tables[0], numbers, 40, 40, 4, []int{3, 3})},
	} {
		if tt.name == "winograd" && runtime.GOARCH != "amd64" {
			continue // its weights are sums, which other processors round in another way
		}
		f, ok := tt.form.Freeze()
		require.True(t, ok, tt.name)
		h := sha256.New()
		fmt.Fprintln(h, f.Kind, f.Header)
		for _, b := range f.Blocks {
			h.Write(b)
		}
		require.Equal(t, tt.sum, fmt.Sprintf("%x", h.Sum(nil))[:16], tt.name)
		v, err := f.Thaw()
		require.NoError(t, err, tt.name)
		again, ok := v.(frozen.Freezer).Freeze()
		require.True(t, ok, tt.name)
		require.Equal(t, f, again, tt.name)

		for i := range f.Header { // other sizes do not fit the block
			bad := f
			bad.Header = append([]int(nil), f.Header...)
			bad.Header[i] += 64
			if v, err := bad.Thaw(); err == nil {
				w, _ := v.(frozen.Freezer).Freeze()
				require.Equal(t, len(f.Blocks[0]), len(w.Blocks[0]))
			}
			bad.Header[i] = -1
			_, err := bad.Thaw()
			require.Error(t, err, tt.name)
		}
		f.Blocks[0] = f.Blocks[0][4:]
		_, err = f.Thaw()
		require.Error(t, err, tt.name)
		f.Blocks = nil
		_, err = f.Thaw()
		require.Error(t, err, tt.name)
	}
	_, err := frozen.Form{Kind: "none"}.Thaw()
	require.Error(t, err)
}
