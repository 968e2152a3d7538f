package onnx

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/gneiss-run/gneiss/tensor"
)

var errNoFolder = errors.New("external data, but no folder to read it from")

// fileData is a file in memory or mapped.
type fileData struct {
	data  []byte
	owner any // keeps data valid while it is reachable
	close func() error
}

// readFile maps the file at path, or reads it.
func readFile(path string, noMmap bool) (fileData, error) {
	if noMmap {
		data, err := os.ReadFile(path)
		return fileData{data: data}, err
	}
	m, err := tensor.MapFile(path)
	if err != nil {
		return fileData{}, err
	}
	return fileData{m.Bytes(), m, m.Close}, nil
}

// externalFiles opens each file of external data once.
type externalFiles struct {
	o       DecodeOptions
	open    map[string]fileData
	closers []func() error
}

func (e *externalFiles) close() error {
	var errs []error
	for _, c := range e.closers {
		errs = append(errs, c())
	}
	e.closers = nil
	return errors.Join(errs...)
}

// get returns the file at location, which must lie in or below the model's
// folder: a model must not be able to read other files of the machine.
func (e *externalFiles) get(location string) (fileData, error) {
	if f, ok := e.open[location]; ok {
		return f, nil
	}
	if e.o.FS == nil && e.o.Dir == "" {
		return fileData{}, errNoFolder
	}
	if location == "" || !filepath.IsLocal(filepath.FromSlash(location)) || path.IsAbs(location) {
		return fileData{}, invalid("location %q is not inside the model's folder", location)
	}
	var f fileData
	var err error
	if e.o.FS != nil {
		f.data, err = fs.ReadFile(e.o.FS, path.Join(e.o.Dir, path.Clean(location)))
	} else {
		f, err = e.map1(filepath.FromSlash(location))
	}
	if err != nil {
		return f, err
	}
	if e.open == nil {
		e.open = map[string]fileData{}
	}
	e.open[location] = f
	if f.close != nil {
		e.closers = append(e.closers, f.close)
	}
	return f, nil
}

// map1 opens a file below the folder. Links that lead out of it are refused.
func (e *externalFiles) map1(location string) (fileData, error) {
	root, err := os.OpenRoot(e.o.Dir)
	if err != nil {
		return fileData{}, err
	}
	defer root.Close()
	info, err := root.Stat(location)
	if err != nil {
		return fileData{}, err
	}
	if !info.Mode().IsRegular() {
		return fileData{}, fmt.Errorf("%s is not a regular file", location)
	}
	return readFile(filepath.Join(e.o.Dir, location), e.o.NoMmap)
}

// Files returns the model file at path and, behind it, the files with its
// external data, each once.
func Files(path string) ([]string, error) {
	m, err := Open(path, DecodeOptions{SkipWeights: true})
	if err != nil {
		return nil, err
	}
	defer m.Close()
	files := []string{path}
	m.Graph.Walk(func(g *Graph) {
		for _, v := range g.Consts {
			if v.init == nil || len(v.init.external) == 0 || err != nil {
				continue
			}
			var r externalRef
			if r, err = parseExternal(v.init.external); err != nil {
				err = fmt.Errorf("onnx: %s: initializer %q: %w", path, v.Name, err)
				continue
			}
			if f := filepath.Join(filepath.Dir(path), filepath.FromSlash(r.location)); filepath.IsLocal(filepath.FromSlash(r.location)) && !slices.Contains(files, f) {
				files = append(files, f)
			}
		}
	})
	return files, err
}

// externalRef is where external data is.
type externalRef struct {
	location       string
	offset, length int64 // length -1: as the tensor needs
}

func parseExternal(props []Prop) (externalRef, error) {
	r := externalRef{length: -1}
	for _, p := range props {
		var err error
		switch p.Key {
		case "location":
			r.location = p.Value
		case "offset":
			r.offset, err = parseSize(p.Value)
		case "length":
			r.length, err = parseSize(p.Value)
		}
		if err != nil {
			return r, invalid("external data: %s: %v", p.Key, err)
		}
	}
	return r, nil
}

func parseSize(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err == nil && n < 0 {
		err = fmt.Errorf("%d is negative", n)
	}
	return n, err
}

// bytes returns the size bytes that r refers to.
func (e *externalFiles) bytes(r externalRef, size int) (fileData, error) {
	if r.length >= 0 && r.length != int64(size) {
		return fileData{}, invalid("external data has length %d, want %d", r.length, size)
	}
	f, err := e.get(r.location)
	if err != nil {
		return f, fmt.Errorf("external data in %q: %w", r.location, err)
	}
	have := int64(len(f.data))
	if r.offset > have || int64(size) > have-r.offset {
		return f, invalid("external data: %d bytes at %d of %q, which has %d", size, r.offset, r.location, have)
	}
	f.data = f.data[r.offset : r.offset+int64(size)]
	return f, nil
}

// externalTensor makes a tensor whose data is in another file.
func (d *decoder) externalTensor(t *rawTensor, dims []int) (*tensor.Tensor, error) {
	if t.dtype == tensor.String {
		return nil, invalid("external data of strings")
	}
	r, err := parseExternal(t.external)
	if err != nil {
		return nil, err
	}
	size, err := tensor.ByteSize(t.dtype, dims)
	if err != nil {
		return nil, invalid("%v", err)
	}
	f, err := d.files.bytes(r, size)
	if err != nil {
		return nil, err
	}
	return rawTensorData(t.dtype, dims, f.data, f.owner, "external data")
}

// present checks that data which was not read could be.
func (e *externalFiles) present(info *tensorInfo) error {
	r, err := parseExternal(info.external)
	if err != nil {
		return err
	}
	dims, _ := info.typ.Static()
	size, err := tensor.ByteSize(info.typ.DType, dims)
	if err != nil {
		return invalid("%v", err)
	}
	fresh := externalFiles{o: e.o} // maps the file only as long as it takes
	_, err = fresh.bytes(r, size)
	return errors.Join(err, fresh.close())
}
