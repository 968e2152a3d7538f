package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // the formats of image inputs
	_ "image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/image/draw"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

const (
	maxInput = 4 << 30 // bytes of an input file
	maxSide  = 1 << 14 // pixels of an image's width and height
)

// readInputs reads the files of --input NAME=FILE into in. An .npz without
// NAME gives every input that it has an array for.
func readInputs(in map[string]tensor.Value, specs []string, s *runtime.Session) error {
	for _, spec := range specs {
		name, file, ok := strings.Cut(spec, "=")
		if !ok {
			name, file = "", spec
			if filepath.Ext(file) != ".npz" {
				return usageError("--input %q: want NAME=FILE", spec)
			}
		}
		if err := readInput(in, name, file, s); err != nil {
			return fmt.Errorf("--input %s: %w", spec, err)
		}
	}
	return nil
}

func readInput(in map[string]tensor.Value, name, file string, s *runtime.Session) error {
	i := slices.IndexFunc(s.Inputs(), func(v runtime.ValueInfo) bool { return v.Name == name })
	if name != "" && i < 0 {
		var names []string
		for _, v := range s.Inputs() {
			names = append(names, v.Name)
		}
		return fmt.Errorf("the model has no input %q; its inputs are %s", name, strings.Join(names, ", "))
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() > maxInput {
		return fmt.Errorf("%d bytes, at most %d", info.Size(), int64(maxInput))
	}
	var v tensor.Value
	switch ext := strings.ToLower(filepath.Ext(file)); ext {
	case ".npy":
		v, err = tensor.ReadNPYAs(f, info.Size(), npyType(s.Inputs()[i].Type.DType))
	case ".npz":
		return readNPZ(in, name, f, info.Size(), s)
	case ".pb":
		var b []byte
		if b, err = io.ReadAll(f); err == nil {
			v, err = onnx.DecodeValue(b, s.Inputs()[i].Type)
		}
	case ".json":
		v, err = readJSON(f, s.Inputs()[i].Type)
	case ".png", ".jpg", ".jpeg":
		v, err = readImage(f, s.Inputs()[i].Type)
	default:
		return fmt.Errorf("unknown kind of file %q: want .npy, .npz, .pb, .json, .png or .jpg", ext)
	}
	if err != nil {
		return err
	}
	in[name] = v
	return fits(v, s.Inputs()[i].Type)
}

// fits tells early, and with what to do, that v has another element type or
// rank than the input.
func fits(v tensor.Value, want onnx.Type) error {
	t, ok := v.(*tensor.Tensor)
	if !ok || want.Kind != onnx.TensorKind {
		return nil
	}
	if want.DType != tensor.Undefined && t.DType() != want.DType {
		return fmt.Errorf("it holds %v, the input is %v: convert it first, with NumPy by .astype()", t, want)
	}
	if want.Ranked && len(want.Dims) != t.Rank() {
		return fmt.Errorf("it holds %v, the input is %v: give it %d dimensions", t, want, len(want.Dims))
	}
	return nil
}

// readNPZ takes the array of that name, or the only one, for the input; without
// a name it takes the arrays that are called like inputs.
func readNPZ(in map[string]tensor.Value, name string, f *os.File, size int64, s *runtime.Session) error {
	arrays, err := tensor.ReadNPZ(f, size, min(size*100, maxInput))
	if err != nil {
		return err
	}
	found := false
	var have []string
	for _, a := range arrays {
		have = append(have, a.Name)
		to := a.Name
		if name != "" {
			if a.Name != name && len(arrays) > 1 {
				continue
			}
			to = name
		}
		i := slices.IndexFunc(s.Inputs(), func(v runtime.ValueInfo) bool { return v.Name == to })
		if i < 0 {
			continue
		}
		found = true
		in[to] = a.Tensor
		if err := fits(a.Tensor, s.Inputs()[i].Type); err != nil {
			return fmt.Errorf("array %q: %w", a.Name, err)
		}
	}
	if !found {
		want := name
		if name == "" {
			var names []string
			for _, v := range s.Inputs() {
				names = append(names, v.Name)
			}
			want = strings.Join(names, ", ")
		}
		return fmt.Errorf("its arrays are %s: none is called %s", strings.Join(have, ", "), want)
	}
	return nil
}

// npyType is the element type to read an .npy file as: NumPy has no name for
// some of ONNX's types, for those the input's type says what the bytes are.
func npyType(d tensor.DType) tensor.DType {
	switch {
	case d == tensor.BFloat16 || d.Bits() <= 8 && d.IsFloat() || d.IsPacked():
		return d
	}
	return tensor.Undefined
}

// readJSON reads nested arrays of numbers, strings or bools as a tensor of the
// input's element type.
func readJSON(r io.Reader, typ onnx.Type) (*tensor.Tensor, error) {
	d := json.NewDecoder(r)
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one JSON value: want one, nested arrays for a tensor")
	}
	if typ.Kind != onnx.TensorKind || typ.DType == tensor.Undefined {
		return nil, fmt.Errorf("JSON is read for tensors, the input is %v: give a .pb", typ)
	}
	var shape []int
	for x := v; ; {
		a, ok := x.([]any)
		if !ok {
			break
		}
		if shape = append(shape, len(a)); len(shape) > 64 {
			return nil, errors.New("arrays in arrays, more than 64 deep")
		}
		if len(a) == 0 {
			break
		}
		x = a[0]
	}
	var flat []any
	var walk func(x any, depth int) error
	walk = func(x any, depth int) error {
		a, ok := x.([]any)
		if ok != (depth < len(shape)) || ok && len(a) != shape[depth] {
			return fmt.Errorf("ragged: the arrays at depth %d differ in length from the first ones, whose shape is %v", depth, shape)
		}
		if !ok {
			flat = append(flat, x)
			return nil
		}
		for _, y := range a {
			if err := walk(y, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(v, 0); err != nil {
		return nil, err
	}
	t := tensor.New(typ.DType, shape...)
	for i, x := range flat {
		if err := setJSON(t, i, x); err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
	}
	return t, nil
}

func setJSON(t *tensor.Tensor, i int, x any) error {
	switch x := x.(type) {
	case json.Number:
		if t.DType().IsInt() {
			n, err := x.Int64()
			if u, uerr := strconv.ParseUint(x.String(), 10, 64); err != nil && uerr == nil && t.DType() == tensor.Uint64 {
				tensor.Data[uint64](t)[i] = u
				return nil
			}
			if err != nil {
				return fmt.Errorf("%q is no %v", x, t.DType())
			}
			return setInt(t, i, n)
		}
		f, err := x.Float64()
		if err != nil {
			return err
		}
		switch t.DType() {
		case tensor.Float32:
			tensor.Data[float32](t)[i] = float32(f)
		case tensor.Float64:
			tensor.Data[float64](t)[i] = f
		case tensor.Float16:
			tensor.Data[tensor.F16](t)[i] = tensor.F16Of(float32(f))
		case tensor.BFloat16:
			tensor.Data[tensor.BF16](t)[i] = tensor.BF16Of(float32(f))
		default:
			return fmt.Errorf("a number, want %v", t.DType())
		}
		return nil
	case string:
		if t.DType() != tensor.String {
			return fmt.Errorf("a string, want %v", t.DType())
		}
		tensor.Data[string](t)[i] = x
		return nil
	case bool:
		if t.DType() != tensor.Bool {
			return fmt.Errorf("a bool, want %v", t.DType())
		}
		tensor.Data[bool](t)[i] = x
		return nil
	}
	kind := "null"
	if x != nil {
		kind = "an object"
	}
	return fmt.Errorf("%s, want %v", kind, t.DType())
}

func setInt(t *tensor.Tensor, i int, n int64) error {
	bits, low, high := t.DType().Bits(), int64(0), int64(math.MaxInt64)
	if t.DType().IsSigned() {
		low, high = -1<<(bits-1), 1<<(bits-1)-1
	} else if bits < 64 {
		high = 1<<bits - 1
	}
	if n < low || n > high {
		return fmt.Errorf("%d is no %v", n, t.DType())
	}
	switch t.DType() {
	case tensor.Int64:
		tensor.Data[int64](t)[i] = n
	case tensor.Int32:
		tensor.Data[int32](t)[i] = int32(n)
	case tensor.Int16:
		tensor.Data[int16](t)[i] = int16(n)
	case tensor.Int8:
		tensor.Data[int8](t)[i] = int8(n)
	case tensor.Uint64:
		tensor.Data[uint64](t)[i] = uint64(n)
	case tensor.Uint32:
		tensor.Data[uint32](t)[i] = uint32(n)
	case tensor.Uint16:
		tensor.Data[uint16](t)[i] = uint16(n)
	case tensor.Uint8:
		tensor.Data[uint8](t)[i] = uint8(n)
	default:
		return fmt.Errorf("no JSON form of %v", t.DType())
	}
	return nil
}

// readImage reads a picture for an input [N,C,H,W] or [N,H,W,C] (or without
// N) with 1, 3 or 4 channels: scaled to the input's size where that is fixed,
// bytes for uint8 inputs and 0 to 1 for floats.
func readImage(r io.ReadSeeker, typ onnx.Type) (*tensor.Tensor, error) {
	config, _, err := image.DecodeConfig(r)
	if err != nil {
		return nil, err
	}
	if config.Width > maxSide || config.Height > maxSide {
		return nil, fmt.Errorf("%d × %d pixels, at most %d × %d are read", config.Width, config.Height, maxSide, maxSide)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	img, _, err := image.Decode(r)
	if err != nil {
		return nil, err
	}
	dims := typ.Dims
	batch := len(dims) == 4
	if batch {
		dims = dims[1:]
	}
	if len(dims) != 3 {
		return nil, fmt.Errorf("an image cannot be an input of type %v: want [N,C,H,W] or [N,H,W,C]", typ)
	}
	channels := func(d onnx.Dim) int {
		n, _ := d.Size()
		if n == 1 || n == 3 || n == 4 {
			return n
		}
		return 0
	}
	first := true
	c, hd, wd := channels(dims[0]), dims[1], dims[2]
	if c == 0 {
		first = false
		c, hd, wd = channels(dims[2]), dims[0], dims[1]
	}
	if c == 0 {
		return nil, fmt.Errorf("an image cannot be an input of type %v: no dimension is 1, 3 or 4 channels", typ)
	}
	h, ok := hd.Size()
	if !ok {
		h = img.Bounds().Dy()
	}
	w, ok := wd.Size()
	if !ok {
		w = img.Bounds().Dx()
	}
	if w < 1 || h < 1 || w > maxSide || h > maxSide {
		return nil, fmt.Errorf("an image cannot be an input of type %v: want 1 to %d pixels each way", typ, maxSide)
	}
	rgba := image.NewNRGBA(image.Rect(0, 0, w, h))
	draw.BiLinear.Scale(rgba, rgba.Bounds(), img, img.Bounds(), draw.Src, nil)
	shape := []int{h, w, c}
	if first {
		shape = []int{c, h, w}
	}
	if batch {
		shape = append([]int{1}, shape...)
	}
	if n, ok := typ.Dims[0].Size(); batch && ok && n != 1 {
		return nil, fmt.Errorf("an image is a batch of 1, the input is %v", typ)
	}
	switch typ.DType {
	case tensor.Float32, tensor.Float16, tensor.Uint8:
	default:
		return nil, fmt.Errorf("an image cannot be %v: want uint8, float32 or float16", typ.DType)
	}
	t := tensor.New(typ.DType, shape...)
	set := func(at int, x byte) { tensor.Data[uint8](t)[at] = x }
	switch typ.DType {
	case tensor.Float32:
		d := tensor.Data[float32](t)
		set = func(at int, x byte) { d[at] = float32(x) / 255 }
	case tensor.Float16:
		d := tensor.Data[tensor.F16](t)
		set = func(at int, x byte) { d[at] = tensor.F16Of(float32(x) / 255) }
	}
	for y := range h {
		for x := range w {
			p := rgba.Pix[rgba.PixOffset(x, y):]
			for k := range c {
				v := p[k]
				if c == 1 { // luma, as in ITU-R BT.601
					v = byte((299*int(p[0]) + 587*int(p[1]) + 114*int(p[2]) + 500) / 1000)
				}
				at := (y*w+x)*c + k
				if first {
					at = (k*h+y)*w + x
				}
				set(at, v)
			}
		}
	}
	return t, nil
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
