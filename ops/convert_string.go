package ops

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gneiss-run/gneiss/tensor"
)

// parseStrings writes the numbers that src spells to dst.
func parseStrings(dst *tensor.Tensor, src []string, r castRules) error {
	d := dst.DType()
	var f [1]float64
	var n [1]int64
	var u [1]uint64
	for i, s := range src {
		s = strings.TrimSpace(s)
		switch {
		case d == tensor.Float32:
			v, err := strconv.ParseFloat(s, 32) // rounds once
			if err != nil && !outOfRange(err) {
				return notNumber(i, s, d)
			}
			tensor.Data[float32](dst)[i] = float32(v)
			continue
		case d == tensor.Bool && (strings.EqualFold(s, "true") || strings.EqualFold(s, "false")):
			tensor.Data[bool](dst)[i] = len(s) == len("true")
			continue
		case d == tensor.Uint64:
			if v, err := strconv.ParseUint(s, 10, 64); err == nil {
				u[0] = v
				storeUints(dst, i, u[:], r)
				continue
			}
		case d.IsInt():
			if v, err := strconv.ParseInt(s, 10, 64); err == nil {
				n[0] = v
				storeInts(dst, i, n[:], r)
				continue
			}
		}
		v, err := strconv.ParseFloat(s, 64)
		if err != nil && !outOfRange(err) {
			return notNumber(i, s, d)
		}
		f[0] = v
		storeFloats(dst, i, f[:], r)
	}
	return nil
}

// outOfRange reports whether a number was well formed but too large: it is then infinite.
func outOfRange(err error) bool {
	e, ok := err.(*strconv.NumError)
	return ok && e.Err == strconv.ErrRange
}

func notNumber(i int, s string, d tensor.DType) error {
	return fmt.Errorf("element %d is %q, want a number to convert to %v", i, s, d)
}

// formatStrings writes the elements of src, numbers or truth values, as NumPy
// does: the fewest digits that tell the value from its neighbours, with an
// exponent outside of [1e-4, 1e16). Infinities and NaN are spelled as ONNX does.
func formatStrings(dst []string, src *tensor.Tensor) {
	for i := range dst {
		switch v := src.At(i).(type) {
		case bool:
			dst[i] = "False"
			if v {
				dst[i] = "True"
			}
		case int64:
			dst[i] = strconv.FormatInt(v, 10)
		case uint64:
			dst[i] = strconv.FormatUint(v, 10)
		case float64:
			dst[i] = formatFloat(v, 64, -1)
		case float32:
			if src.DType() == tensor.Float16 {
				dst[i] = formatHalf(v)
			} else {
				dst[i] = formatFloat(float64(v), 32, -1)
			}
		}
	}
}

func formatHalf(v float32) string {
	for digits := range 5 {
		e := strconv.FormatFloat(float64(v), 'e', digits, 32)
		if x, err := strconv.ParseFloat(e, 64); err == nil && tensor.F16Of64(x) == tensor.F16Of(v) {
			return formatFloat(x, 64, -1)
		}
	}
	return formatFloat(float64(v), 32, -1)
}

func formatFloat(v float64, bits, digits int) string {
	switch {
	case v != v:
		return "NaN"
	case v-v != 0 && v > 0:
		return "INF"
	case v-v != 0:
		return "-INF"
	}
	e := strconv.FormatFloat(v, 'e', digits, bits)
	exp, _ := strconv.Atoi(e[strings.IndexByte(e, 'e')+1:])
	if exp < -4 || exp >= 16 {
		return e
	}
	s := strconv.FormatFloat(v, 'f', digits, bits)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
