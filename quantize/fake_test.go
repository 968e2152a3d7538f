package quantize

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// What is fake quantised gives what the integer model gives, within the rounding of biases and
// of weights, which Static may round otherwise than to the nearest.
func TestFakeQuantized(t *testing.T) {
	for name, c := range correctable {
		m := newModel(t, 21, c.build)
		batches := positive(t, m, 1, 2, 3, 4)
		config := StaticConfig{}
		ranges, err := Calibrate(context.Background(), m, data.Of(batches...), CalibrateConfig{Values: Activations(m, config)})
		require.NoError(t, err)
		fake, s, err := FakeQuantized(m, ranges, config)
		require.NoError(t, err)
		require.Positive(t, s.Changed())
		for _, v := range m.Graph.Consts {
			if v.Const.DType() == tensor.Float32 && v.Const.Len() > 1 {
				w := find(fake.Graph, v.Name)
				require.NotNil(t, w, v.Name)
				require.Equal(t, v.Const.Bytes(), w.Const.Bytes(), v.Name)
			}
		}
		back, err := WithWeights(m, fake)
		require.NoError(t, err)
		plain, _ := static(t, m, ranges, config)
		sf, err := runtime.New(fake, runtime.Options{Threads: 1})
		require.NoError(t, err)
		defer sf.Close()
		again, err := Static(back, ranges, config)
		require.NoError(t, err)
		require.Equal(t, s.Changed(), again.Changed())
		was, wasAll := meanError(t, m, plain, 1, batches)
		is, isAll := meanError(t, m, fake, 1, batches)
		t.Log(name, was, wasAll, is, isAll)
		require.Less(t, isAll, 1.5*wasAll+1e-6, name)
		require.Greater(t, isAll, wasAll/3, name)
	}
}
