package main

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"strings"

	"github.com/gneiss-run/gneiss/data"
	_ "github.com/gneiss-run/gneiss/data/parquet" // a format of data.Open
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// readInputs reads the files of --input NAME=FILE into in. An .npz without
// NAME gives every input that it has an array for.
func readInputs(in map[string]tensor.Value, specs []string, s *runtime.Session) error {
	var o data.Options
	for _, v := range s.Inputs() {
		o.Inputs = append(o.Inputs, data.Input{Name: v.Name, Type: v.Type})
	}
	for _, spec := range specs {
		name, file, ok := strings.Cut(spec, "=")
		if !ok {
			name, file = "", spec
			if filepath.Ext(file) != ".npz" {
				return usageError("--input %q: want NAME=FILE", spec)
			}
		}
		vs, err := data.ReadFile(name, file, o)
		if err != nil {
			return fmt.Errorf("--input %s: %w", spec, err)
		}
		maps.Copy(in, vs)
	}
	return nil
}

// jsonValue returns v in a form that encoding/json writes: nested arrays for
// tensors, with null for what JSON has no number for.
func jsonValue(v tensor.Value) any {
	switch v := v.(type) {
	case *tensor.Tensor:
		if v.Len() == 0 && len(v.Shape()) > 1 {
			return []any{} // sizes beside a 0 may be huge; the shape tells them
		}
		pos := 0
		return jsonNest(v, v.Shape(), &pos)
	case *tensor.Sequence:
		list := make([]any, len(v.Elems))
		for i, e := range v.Elems {
			list[i] = jsonValue(e)
		}
		return list
	case *tensor.Optional:
		if v.Elem == nil {
			return nil
		}
		return jsonValue(v.Elem)
	case *tensor.Map:
		m := make(map[string]any, v.Keys.Len())
		for i := range v.Keys.Len() {
			m[fmt.Sprint(v.Keys.At(i))] = jsonElem(v.Values, i)
		}
		return m
	}
	return nil
}

func jsonNest(t *tensor.Tensor, shape []int, pos *int) any {
	if len(shape) == 0 {
		*pos++
		return jsonElem(t, *pos-1)
	}
	list := make([]any, shape[0])
	for i := range list {
		list[i] = jsonNest(t, shape[1:], pos)
	}
	return list
}

func jsonElem(t *tensor.Tensor, i int) any {
	switch x := t.At(i).(type) {
	case float32:
		if jsonFloat(float64(x)) == nil {
			return nil
		}
		return x // with as many digits as a float32 has
	case float64:
		return jsonFloat(x)
	case complex64:
		return []any{jsonFloat(float64(real(x))), jsonFloat(float64(imag(x)))}
	case complex128:
		return []any{jsonFloat(real(x)), jsonFloat(imag(x))}
	default:
		return x
	}
}

func jsonFloat(x float64) any {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return x
}
