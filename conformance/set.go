package conformance

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// Set is one data set of a model: inputs by name and the outputs that must
// come of them, in the order of the model's outputs.
type Set struct {
	In   map[string]tensor.Value
	Want []tensor.Value // nil where the set says nothing
	Out  []string       // names of the outputs, as in Want
}

var dataFile = regexp.MustCompile(`^(input|output)_(\d+)\.pb$`)

// ReadSet reads the data set in folder dir. A file is bound by the name in it
// if the session has an input or output of that name, else by position:
// input_i.pb is then the i-th input without a default.
func ReadSet(fsys fs.FS, dir string, s *runtime.Session) (*Set, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, err
	}
	inputs := slices.DeleteFunc(s.Inputs(), func(v runtime.ValueInfo) bool { return v.Optional })
	outputs := s.Outputs()
	set := &Set{In: map[string]tensor.Value{}, Want: make([]tensor.Value, len(outputs))}
	for _, o := range outputs {
		set.Out = append(set.Out, o.Name)
	}
	for _, e := range entries {
		m := dataFile.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		i, err := strconv.Atoi(m[2])
		if err != nil {
			return nil, err
		}
		data, err := fs.ReadFile(fsys, path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		list := inputs
		if m[1] == "output" {
			list = outputs
		}
		k, v, err := readValue(data, i, list, s.Inputs())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path.Join(dir, e.Name()), err)
		}
		if m[1] == "input" {
			set.In[k] = v
			continue
		}
		at := slices.Index(set.Out, k)
		set.Want[at] = v
	}
	return set, nil
}

// readValue decodes the i-th file of a kind and returns the name of the value
// of list (or of all, an input with a default) that it is for.
func readValue(data []byte, i int, list, all []runtime.ValueInfo) (string, tensor.Value, error) {
	if name, t, err := onnx.DecodeTensor(data); err == nil && name != "" {
		for _, v := range slices.Concat(list, all) {
			if v.Name == name && v.Type.Kind == onnx.TensorKind {
				return name, t, nil
			}
		}
	}
	if i >= len(list) {
		return "", nil, fmt.Errorf("file number %d, counted from 0, but the model has %d of these; is it another model's?", i, len(list))
	}
	v, err := onnx.DecodeValue(data, list[i].Type)
	return list[i].Name, v, err
}

// ReadRule reads data.json in the model's folder: the rule by which its
// outputs are compared. Without that file it is def.
func ReadRule(fsys fs.FS, dir string, def tensor.Rule) (tensor.Rule, error) {
	data, err := fs.ReadFile(fsys, path.Join(dir, "data.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return def, nil
	}
	if err != nil {
		return def, err
	}
	return tensor.ParseRule(data)
}

// Check compares what a run gave with what the set wants.
func (s *Set) Check(got map[string]tensor.Value, rule tensor.Rule) error {
	var g, w []tensor.Value
	var names []string
	for i, want := range s.Want {
		if want == nil {
			continue
		}
		g, w, names = append(g, got[s.Out[i]]), append(w, want), append(names, s.Out[i])
	}
	return rule.Check(g, w, names)
}
