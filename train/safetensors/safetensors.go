// Package safetensors reads and writes the file format of that name: tensors by
// name, in which nothing can run.
//
// A file is the length of the header (8 bytes, little-endian), the header (JSON:
// dtype, shape and data_offsets of each tensor, and strings under __metadata__) and
// the tensors' elements.
//
// Spec: https://github.com/huggingface/safetensors#format
package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/gneiss-run/gneiss/internal/atomicfile"
	"github.com/gneiss-run/gneiss/tensor"
)

// maxHeader bounds the header, as the reference implementation does.
const maxHeader = 100 << 20

// ErrInvalid is wrapped by errors about files that break the format.
var ErrInvalid = errors.New("not a valid safetensors file")

var names = map[tensor.DType]string{
	tensor.Float64: "F64", tensor.Float32: "F32", tensor.Float16: "F16", tensor.BFloat16: "BF16",
	tensor.Int64: "I64", tensor.Int32: "I32", tensor.Int16: "I16", tensor.Int8: "I8",
	tensor.Uint64: "U64", tensor.Uint32: "U32", tensor.Uint16: "U16", tensor.Uint8: "U8", tensor.Bool: "BOOL",
}

func dtypeOf(name string) (tensor.DType, bool) {
	for d, n := range names {
		if n == name {
			return d, true
		}
	}
	return tensor.Undefined, false
}

type entry struct {
	DType   string    `json:"dtype"`
	Shape   []int     `json:"shape"`
	Offsets [2]uint64 `json:"data_offsets"`
}

// Write writes tensors and metadata to w.
func Write(w io.Writer, tensors map[string]*tensor.Tensor, metadata map[string]string) error {
	header := map[string]any{}
	if len(metadata) > 0 {
		header["__metadata__"] = metadata
	}
	order := slices.Sorted(maps.Keys(tensors))
	// Larger elements first, so that all are aligned.
	slices.SortStableFunc(order, func(a, b string) int { return tensors[b].DType().Size() - tensors[a].DType().Size() })
	at := uint64(0)
	for _, name := range order {
		x := tensors[name]
		d, ok := names[x.DType()]
		if !ok {
			return fmt.Errorf("safetensors: tensor %q is %v, which the format does not have", name, x)
		}
		if name == "__metadata__" {
			return fmt.Errorf("safetensors: a tensor cannot be called %q", name)
		}
		shape := x.Shape()
		if shape == nil {
			shape = []int{}
		}
		end := at + uint64(len(x.Bytes()))
		header[name] = entry{d, shape, [2]uint64{at, end}}
		at = end
	}
	h, err := json.Marshal(header)
	if err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	for len(h)%8 != 0 {
		h = append(h, ' ')
	}
	if _, err := w.Write(append(binary.LittleEndian.AppendUint64(nil, uint64(len(h))), h...)); err != nil {
		return err
	}
	for _, name := range order {
		if _, err := w.Write(tensors[name].Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// Read reads all tensors and the metadata from the size bytes of r. Nothing is
// allocated for sizes that the bytes do not have.
func Read(r io.ReaderAt, size int64) (map[string]*tensor.Tensor, map[string]string, error) {
	t, meta, err := read(r, size)
	if err != nil {
		return nil, nil, fmt.Errorf("safetensors: %w", err)
	}
	return t, meta, nil
}

func read(r io.ReaderAt, size int64) (map[string]*tensor.Tensor, map[string]string, error) {
	var first [8]byte
	if _, err := r.ReadAt(first[:], 0); err != nil {
		return nil, nil, fmt.Errorf("%w: %d bytes", ErrInvalid, size)
	}
	n := binary.LittleEndian.Uint64(first[:])
	if n > maxHeader || int64(n) > size-8 {
		return nil, nil, fmt.Errorf("%w: a header of %d bytes in a file of %d", ErrInvalid, n, size)
	}
	h := make([]byte, n)
	if _, err := r.ReadAt(h, 8); err != nil {
		return nil, nil, err
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(h, &raw); err != nil {
		return nil, nil, fmt.Errorf("%w: header: %v", ErrInvalid, err)
	}
	var meta map[string]string
	if m, ok := raw["__metadata__"]; ok {
		if err := json.Unmarshal(m, &meta); err != nil {
			return nil, nil, fmt.Errorf("%w: metadata: %v", ErrInvalid, err)
		}
		delete(raw, "__metadata__")
	}
	out := make(map[string]*tensor.Tensor, len(raw))
	room := uint64(size) - 8 - n
	for name, m := range raw {
		var e entry
		if err := json.Unmarshal(m, &e); err != nil {
			return nil, nil, fmt.Errorf("%w: tensor %q: %v", ErrInvalid, name, err)
		}
		d, ok := dtypeOf(e.DType)
		if !ok {
			return nil, nil, fmt.Errorf("tensor %q has dtype %q, which is not supported", name, e.DType)
		}
		want, err := tensor.ByteSize(d, e.Shape)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: tensor %q: %v", ErrInvalid, name, err)
		}
		from, to := e.Offsets[0], e.Offsets[1]
		if from > to || to > room || to-from != uint64(want) {
			return nil, nil, fmt.Errorf("%w: tensor %q, %s %v, has bytes %d to %d of %d", ErrInvalid, name, e.DType, e.Shape, from, to, room)
		}
		data := tensor.AlignedBytes(want)
		if want > 0 {
			if _, err := r.ReadAt(data, int64(8+n+from)); err != nil {
				return nil, nil, err
			}
		}
		if out[name], err = tensor.FromBytes(d, e.Shape, data, nil); err != nil {
			return nil, nil, fmt.Errorf("%w: tensor %q: %v", ErrInvalid, name, err)
		}
	}
	return out, meta, nil
}

// ReadFile reads the file at path.
func ReadFile(path string) (map[string]*tensor.Tensor, map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	t, meta, err := Read(f, st.Size())
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, meta, nil
}

// WriteFile writes the file at path: it is there whole, or as it was.
func WriteFile(path string, tensors map[string]*tensor.Tensor, metadata map[string]string) error {
	return atomicfile.Write(path, func(w io.Writer) error { return Write(w, tensors, metadata) })
}
