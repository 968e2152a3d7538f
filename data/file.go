package data

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

const maxFile = 4 << 30 // bytes of a file that is read at once, and of what it holds

// ReadFile reads one file: a .npy, .pb (TensorProto or, by the input's type,
// another value), .json or image for the input called name, or a .npz. A .npz
// with a name gives the array of that name, or its only one; without it gives
// every input that it has an array for. The other kinds need a name. Inputs of
// o must be those of the model; images become what Options says.
//
// What it returns has the element type and rank of the inputs. Errors do not name
// the file: the caller has it.
func ReadFile(name, file string, o Options) (map[string]tensor.Value, error) {
	in := o.input(name)
	if name != "" && in == nil {
		return nil, fmt.Errorf("the model has no input %q; its inputs are %s", name, o.names())
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := sizeOf(f)
	if err != nil {
		return nil, err
	}
	ext := kindOf(file)
	if ext == ".npz" {
		return readNPZ(name, f, size, &o)
	}
	if in == nil {
		return nil, fmt.Errorf("a %s file does not say which input it is for: give a name, one of %s", ext, o.names())
	}
	var v tensor.Value
	switch {
	case ext == ".npy":
		v, err = tensor.ReadNPYAs(f, size, npyType(in.Type.DType))
	case ext == ".idx":
		v, err = readIDXFile(f, size)
	case ext == ".pb":
		var b []byte
		if b, err = io.ReadAll(io.LimitReader(f, size)); err == nil {
			v, err = onnx.DecodeValue(b, in.Type)
		}
	case ext == ".json":
		v, err = readJSON(io.LimitReader(f, size), in.Type)
	case isImage(ext):
		v, err = readImage(f, in.Type, &o)
	default:
		err = fmt.Errorf("unknown kind of file %q: want .npy, .npz, .idx, .pb, .json, .png, .jpg or .gif", ext)
	}
	if err != nil {
		return nil, err
	}
	return map[string]tensor.Value{name: v}, Fits(v, in.Type)
}

// sizeOf returns the bytes of f, which is checked to be a file of a size that
// is read at once.
func sizeOf(f *os.File) (int64, error) {
	info, err := f.Stat()
	switch {
	case err != nil:
		return 0, err
	case info.IsDir():
		return 0, errors.New("it is a folder, want a file")
	case info.Size() > maxFile:
		return 0, fmt.Errorf("%d bytes, at most %d are read at once", info.Size(), int64(maxFile))
	}
	return info.Size(), nil
}

// readNPZ takes the array of that name, or the only one, for the input; without
// a name it takes the arrays that are called like inputs, and all of them where
// no input is known.
func readNPZ(name string, f *os.File, size int64, o *Options) (map[string]tensor.Value, error) {
	arrays, err := tensor.ReadNPZ(f, size, min(size*100, maxFile))
	if err != nil {
		return nil, err
	}
	out := map[string]tensor.Value{}
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
		in := o.input(to)
		if in == nil && len(o.Inputs) > 0 {
			continue
		}
		out[to] = a.Tensor
		if in == nil {
			continue
		}
		if err := Fits(a.Tensor, in.Type); err != nil {
			return nil, fmt.Errorf("array %q: %w", a.Name, err)
		}
	}
	if len(out) == 0 {
		want := name
		if name == "" {
			want = o.names()
		}
		return nil, fmt.Errorf("its arrays are %s: none is called %s", strings.Join(have, ", "), want)
	}
	return out, nil
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

// readProto reads a TensorProto and returns the input that it is for: the one
// of its name, else the i-th.
func readProto(path string, i int, o *Options) (string, *tensor.Tensor, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	size, err := sizeOf(f)
	if err != nil {
		return "", nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, size))
	if err != nil {
		return "", nil, err
	}
	name, t, err := onnx.DecodeTensor(b)
	switch {
	case err != nil:
		return "", nil, fmt.Errorf("it is no TensorProto: %w", err)
	case name != "" && (o.input(name) != nil || len(o.Inputs) == 0):
		return name, t, nil
	case i < len(o.Inputs):
		return o.Inputs[i].Name, t, nil
	case len(o.Inputs) == 0:
		return "", nil, errors.New("its tensor has no name, and the model's inputs are not known")
	}
	return "", nil, fmt.Errorf("its tensor is called %q, the model's inputs are %s", name, o.names())
}

// tensors returns the values that are tensors; another kind is an error.
func tensors(vs map[string]tensor.Value) (map[string]*tensor.Tensor, error) {
	ts := make(map[string]*tensor.Tensor, len(vs))
	for name, v := range vs {
		t, ok := v.(*tensor.Tensor)
		if !ok {
			return nil, fmt.Errorf("input %q is a %v, want a tensor", name, v)
		}
		ts[name] = t
	}
	return ts, nil
}
