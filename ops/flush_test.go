package ops

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

var tinyOperand, halfOperand = float32(1e-39), float32(0.5)

// Operators that flush leave the caller's arithmetic as it was, whatever comes of them.
func TestFlush(t *testing.T) {
	flushed := func() bool { return tinyOperand*halfOperand == 0 }
	m := par.FlushSubnormals()
	possible := flushed()
	m.Restore()
	for name, end := range map[string]func() error{
		"well":  func() error { return nil },
		"error": func() error { return context.Canceled },
		"panic": func() error { panic("no") },
	} {
		k := Kernel(func(c *Call) error {
			require.Equal(t, possible, flushed(), name)
			require.True(t, c.P.Flush, name)
			require.InDelta(t, 0x1p-24, tensor.F16(1).Float32(), 0, "subnormal numbers of 16 bits are none of 32")
			return end()
		})
		require.Equal(t, name == "well", k.flushing().Safely(&Call{}) == nil, name)
		require.False(t, flushed(), name)
	}
	for _, o := range Standard().All() {
		require.False(t, o.Flush && o.Numerics == Exact, o.Name)
	}
}
