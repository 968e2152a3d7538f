package train

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/internal/atomicfile"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train/safetensors"
)

// Transposition says whether a matrix is transposed on its way.
type Transposition int

// What is done with a matrix under a Rename.
const (
	AsItIs          Transposition = iota
	WhereShapesSay                // where only the transpose has the wanted shape; a square matrix is an error
	TransposeAlways               // also a square one
)

// Rename changes names of weights.
type Rename struct {
	Pattern   string // a regular expression; what it matches is replaced
	To        string // $1 stands for what the first group matched
	Transpose Transposition
}

// WeightOptions says how weights in a file and in a model belong together.
type WeightOptions struct {
	// Names are applied one after another to the names that things come from: those of the file when
	// loading, those of the model when saving.
	Names []Rename
	// Lenient loads what fits and reports the rest, which is an error else.
	Lenient bool
	// Limit bounds the bytes of a .npz file's arrays. 0: 1 TiB. Other files need no more than their size.
	Limit int64
}

// WeightReport lists, by name in the model, what did not fit.
type WeightReport struct {
	Loaded     []string
	Missing    []string // in the file
	Unexpected []string // in the model, by names that the file has, renamed
	Mismatched []string // with the shapes that are, and are wanted
}

func (r *WeightReport) err() error {
	var parts []string
	for _, p := range []struct {
		what  string
		names []string
	}{{"missing", r.Missing}, {"unexpected", r.Unexpected}, {"of another shape", r.Mismatched}} {
		if len(p.names) > 0 {
			parts = append(parts, fmt.Sprintf("%d %s: %s", len(p.names), p.what, few(p.names)))
		}
	}
	if parts == nil {
		return nil
	}
	return errors.New(strings.Join(parts, "; "))
}

// LoadWeights replaces the weights of m by those of a file, .safetensors or .npz, such as a state_dict
// of PyTorch: parameters and running statistics, converted to the model's element types. RNN, GRU and LSTM
// layers of package nn have PyTorch's names and order of gates there: "k.weight_ih" is
// "weight_ih_l{k}", and with "_reverse" for the second direction; PyTorch's num_batches_tracked is
// passed over. On an error m is as it was.
func LoadWeights(m *onnx.Model, path string, o WeightOptions) (*WeightReport, error) {
	r, err := loadWeights(m, path, o)
	if err != nil {
		return r, fmt.Errorf("train: weights %s: %w", path, err)
	}
	return r, nil
}

func loadWeights(m *onnx.Model, path string, o WeightOptions) (*WeightReport, error) {
	rename, err := renamer(o.Names)
	if err != nil {
		return nil, err
	}
	file, err := readWeights(path, o.Limit)
	if err != nil {
		return nil, err
	}
	slots, err := weightSlots(m, o.Lenient)
	if err != nil {
		return nil, err
	}
	from, how := map[string]string{}, map[string]Transposition{}
	var names []string // of the model, of what the file has
	for _, name := range slices.Sorted(maps.Keys(file)) {
		if strings.HasSuffix(name, "num_batches_tracked") {
			continue
		}
		to, t := rename(name)
		if other, twice := from[to]; twice {
			return nil, fmt.Errorf("%q and %q are both renamed to %q", other, name, to)
		}
		from[to], how[to] = name, t
		names = append(names, to)
	}
	var r WeightReport
	next := map[*onnx.Value]*tensor.Tensor{}
	for _, s := range slots {
		name, ok := from[s.name]
		if !ok {
			r.Missing = append(r.Missing, s.name)
			continue
		}
		delete(from, s.name)
		x, err := oriented(file[name], s.shape, how[s.name])
		if err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
		if !slices.Equal(x.Shape(), s.shape) {
			r.Mismatched = append(r.Mismatched, fmt.Sprintf("%s: %v, want %v", s.name, x.Shape(), s.shape))
			continue
		}
		if x, err = asFloat(x, s.v.Const.DType()); err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
		if next[s.v] == nil {
			next[s.v] = s.v.Const.Clone()
		}
		s.put(next[s.v], x)
		r.Loaded = append(r.Loaded, s.name)
	}
	for _, name := range names {
		if _, left := from[name]; left {
			r.Unexpected = append(r.Unexpected, name)
		}
	}
	if err := r.err(); err != nil && !o.Lenient {
		return &r, err
	}
	for v, x := range next {
		v.Const = x
	}
	return &r, nil
}

// SaveWeights writes the weights of m to a file, .safetensors or .npz, under the names and in the
// layout that LoadWeights takes, which are PyTorch's for the layers that it has. The file is there whole, or as it was.
func SaveWeights(path string, m *onnx.Model, o WeightOptions) error {
	if err := saveWeights(path, m, o); err != nil {
		return fmt.Errorf("train: weights %s: %w", path, err)
	}
	return nil
}

func saveWeights(path string, m *onnx.Model, o WeightOptions) error {
	rename, err := renamer(o.Names)
	if err != nil {
		return err
	}
	slots, err := weightSlots(m, o.Lenient)
	if err != nil {
		return err
	}
	out := map[string]*tensor.Tensor{}
	for _, s := range slots {
		name, t := rename(s.name)
		if out[name] != nil {
			return fmt.Errorf("two weights are renamed to %q", name)
		}
		x := s.get()
		if t != AsItIs && x.Rank() == 2 { // no shape is wanted here, so none can say it
			x = transposed(x)
		}
		out[name] = x
	}
	if filepath.Ext(path) == ".safetensors" {
		return safetensors.WriteFile(path, out, map[string]string{"format": "pt"})
	}
	if filepath.Ext(path) != ".npz" {
		return errExt
	}
	var list []tensor.Named
	for _, name := range slices.Sorted(maps.Keys(out)) {
		list = append(list, tensor.Named{Name: name, Tensor: out[name]})
	}
	return atomicfile.Write(path, func(w io.Writer) error { return tensor.WriteNPZ(w, list) })
}

var errExt = errors.New("want a name that ends in .safetensors or .npz")

// readWeights reads a file of named tensors.
func readWeights(path string, limit int64) (map[string]*tensor.Tensor, error) {
	switch filepath.Ext(path) {
	case ".safetensors":
		all, _, err := safetensors.ReadFile(path)
		return all, err
	case ".npz":
	default:
		return nil, errExt
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if limit == 0 {
		limit = 1 << 40
	}
	list, err := tensor.ReadNPZ(f, st.Size(), limit)
	if err != nil {
		return nil, err
	}
	all := make(map[string]*tensor.Tensor, len(list))
	for _, a := range list {
		all[a.Name] = a.Tensor
	}
	return all, nil
}

// renamer returns the function that applies names; the last rename that matches and transposes
// says how.
func renamer(names []Rename) (func(name string) (string, Transposition), error) {
	patterns := make([]*regexp.Regexp, len(names))
	for i, n := range names {
		var err error
		if patterns[i], err = regexp.Compile(n.Pattern); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", n.Pattern, err)
		}
	}
	return func(name string) (string, Transposition) {
		how := AsItIs
		for i, p := range patterns {
			if p.MatchString(name) {
				name = p.ReplaceAllString(name, names[i].To)
				if names[i].Transpose != AsItIs {
					how = names[i].Transpose
				}
			}
		}
		return name, how
	}, nil
}

// oriented returns x, transposed if how and the wanted shape say so.
func oriented(x *tensor.Tensor, want []int, how Transposition) (*tensor.Tensor, error) {
	if !isFloat(x.DType()) {
		return nil, fmt.Errorf("%v, want numbers of a float type", x)
	}
	if how == AsItIs || x.Rank() != 2 || len(want) != 2 {
		return x, nil
	}
	if x.Dim(0) == x.Dim(1) && how == WhereShapesSay {
		return nil, fmt.Errorf("%v is square, so its shape does not say whether it has to be transposed", x)
	}
	if how == TransposeAlways || x.Dim(0) == want[1] && x.Dim(1) == want[0] {
		return transposed(x), nil
	}
	return x, nil
}

// transposed returns the transpose of a matrix.
func transposed(x *tensor.Tensor) *tensor.Tensor {
	rows, cols := x.Dim(0), x.Dim(1)
	y := tensor.New(x.DType(), cols, rows)
	size := x.DType().Size()
	src, dst := x.Bytes(), y.Bytes()
	for i := range rows {
		for j := range cols {
			copy(dst[(j*rows+i)*size:][:size], src[(i*cols+j)*size:])
		}
	}
	return y
}

// asFloat converts x to d, Float32 or Float64.
func asFloat(x *tensor.Tensor, d tensor.DType) (*tensor.Tensor, error) {
	if x.DType() == d {
		return x, nil
	}
	v, err := tensor.Float64s(x)
	if err != nil {
		return nil, err
	}
	y := tensor.New(d, x.Shape()...)
	switch d {
	case tensor.Float64:
		copy(tensor.Data[float64](y), v)
	case tensor.Float32:
		for i, e := range v {
			tensor.Data[float32](y)[i] = float32(e)
		}
	default:
		return nil, fmt.Errorf("%v, want %v", x, d)
	}
	return y, nil
}
