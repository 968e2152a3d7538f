package onnx

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/gneiss-run/gneiss/tensor"
)

// fileData is a file in memory or mapped.
type fileData struct {
	data  []byte
	owner any // keeps data valid while it is reachable
	close func() error
}

// readFile maps the file at path, or reads it.
func readFile(path string, noMmap bool) (fileData, error) {
	data, err := os.ReadFile(path)
	return fileData{data, nil, func() error { return nil }}, err
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

// externalTensor makes a tensor whose data is in another file.
func (d *decoder) externalTensor(t *rawTensor, dims []int) (*tensor.Tensor, error) {
	var location string
	offset, length := int64(0), int64(-1)
	for _, p := range t.external {
		var err error
		switch p.Key {
		case "location":
			location = p.Value
		case "offset":
			offset, err = parseOffset(p.Value)
		case "length":
			length, err = parseOffset(p.Value)
		}
		if err != nil {
			return nil, invalid("external data: %s: %v", p.Key, err)
		}
	}
	if t.dtype == tensor.String {
		return nil, invalid("external data of strings")
	}
	size, err := tensor.ByteSize(t.dtype, dims)
	if err != nil {
		return nil, invalid("%v", err)
	}
	if length < 0 {
		length = int64(size)
	}
	if length != int64(size) {
		return nil, invalid("external data has length %d for %v %v, want %d", length, t.dtype, dims, size)
	}
	f, err := d.files.get(location)
	if err != nil {
		return nil, fmt.Errorf("external data in %q: %w", location, err)
	}
	if offset > int64(len(f.data)) || length > int64(len(f.data))-offset {
		return nil, invalid("external data: bytes %d to %d of %q, which has %d", offset, offset+length, location, len(f.data))
	}
	return rawTensorData(t.dtype, dims, f.data[offset:offset+length], f.owner, "external data")
}
