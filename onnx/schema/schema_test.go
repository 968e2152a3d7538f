package schema_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx/schema"
)

func TestLookup(t *testing.T) {
	for _, c := range []struct {
		domain, op string
		opset      int
		since      int // 0: none
	}{
		{"", "Add", 1, 1}, {"", "Add", 6, 6}, {"", "Add", 12, 7}, {"ai.onnx", "Add", 13, 13}, {"", "Add", 28, 14},
		{"", "Gelu", 19, 0}, {"", "Gelu", 20, 20}, {"", "Nothing", 20, 0}, {"nowhere", "Add", 20, 0},
		{"ai.onnx.ml", "ZipMap", 3, 1}, {"com.microsoft", "QAttention", 1, 1},
	} {
		op := schema.Lookup(c.domain, c.op, c.opset)
		if c.since == 0 {
			assert.Nil(t, op, c)
			continue
		}
		require.NotNil(t, op, c)
		assert.Equal(t, c.since, op.Since, c)
		assert.Equal(t, c.op, op.Name)
	}
	var since []int
	for _, v := range schema.Versions("", "Relu") {
		since = append(since, v.Since)
	}
	assert.Equal(t, []int{1, 6, 13, 14}, since)
}

func TestTable(t *testing.T) {
	all := schema.All()
	assert.Greater(t, len(all), 800)
	for _, op := range all {
		id := fmt.Sprint(op.Domain, ".", op.Name, " ", op.Since)
		assert.Positive(t, op.Since, id)
		assert.LessOrEqual(t, op.MinInput, op.MaxInput, id)
		assert.LessOrEqual(t, op.MinOutput, op.MaxOutput, id)
		for _, p := range append(append([]schema.Param{}, op.Inputs...), op.Outputs...) {
			assert.NotEmpty(t, p.Name, id)
			assert.Contains(t, []schema.Option{schema.Single, schema.Optional, schema.Variadic}, p.Option, id)
			if _, ok := op.Types[p.Type]; !ok {
				assert.Contains(t, p.Type, "(", id)
			}
		}
		for name, a := range op.Attributes {
			assert.NotEmpty(t, a.Type, id+name)
		}
	}
	assert.Equal(t, []string{"", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training", "com.microsoft"}, schema.Domains())
	assert.GreaterOrEqual(t, schema.Newest("ai.onnx"), 28)
	assert.Zero(t, schema.Newest("nowhere"))
}

func TestParam(t *testing.T) {
	concat := schema.Lookup("", "Concat", 13)
	assert.Equal(t, schema.Variadic, concat.InputParam(7).Option)
	assert.Equal(t, schema.Unbounded, concat.MaxInput)
	assert.Nil(t, concat.OutputParam(1))
	assert.True(t, concat.Attributes["axis"].Required)
	conv := schema.Lookup("", "Conv", 22)
	assert.Equal(t, "W", conv.InputParam(1).Name)
	assert.Nil(t, conv.InputParam(3))
	assert.InDelta(t, 1, conv.Attributes["group"].Default, 0)
}

func ExampleLookup() {
	op := schema.Lookup("", "Gemm", 10)
	fmt.Println(op.Name, op.Since, op.Inputs[0].Name, op.Attributes["alpha"].Default)
	// Output: Gemm 9 A 1
}
