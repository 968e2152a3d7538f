package onnx

import (
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/atomicfile"
	"github.com/gneiss-run/gneiss/tensor"
)

// SaveOptions say where Save puts tensors.
type SaveOptions struct {
	// External is the size in bytes from which the data of an initializer goes to
	// a second file; 0 puts it there only if the model is larger than protobuf's
	// 2 GiB otherwise, from 1024 bytes on then.
	External int
	// ExternalName is the name of that file, in the model's folder. Empty means
	// the model's name with ".data" behind.
	ExternalName string
}

const (
	defaultExternal = 1024
	// Offsets of external data are multiples of a page, and of Windows' allocation
	// granularity where a tensor is large, so that readers can map single tensors.
	pageAlign  = 4096
	largeAlign = 65536
	largeData  = 1 << 20
)

// Save writes the model to path, and large tensors to a file beside it if
// asked to. Each file is written under another name first, which then replaces
// what was there, so a reader never sees half a file, and a model can be saved
// over the file it is mapped from.
func Save(m *Model, path string, o SaveOptions) error {
	var ext *externalWriter
	threshold := o.External
	if threshold == 0 && m.dataSize() > maxMessage-(1<<26) { // the rest of a file is far below 64 MiB
		threshold = defaultExternal
	}
	if threshold > 0 {
		name := o.ExternalName
		if name == "" {
			name = filepath.Base(path) + ".data"
		}
		if !filepath.IsLocal(name) {
			return fmt.Errorf("onnx: %s: %w", path, invalid("name of external data %q leads out of the folder", name))
		}
		ext = &externalWriter{from: threshold, name: name, at: map[extKey]int64{}}
	}
	r, err := encodeModel(m, ext)
	if err != nil {
		return err
	}
	if ext != nil && len(ext.tensors) > 0 {
		if err := writeFile(filepath.Join(filepath.Dir(path), ext.name), ext); err != nil {
			return fmt.Errorf("onnx: %w", err)
		}
	}
	if err := writeFile(path, r); err != nil {
		return fmt.Errorf("onnx: %w", err)
	}
	return nil
}

// dataSize returns the bytes of all initializers.
func (m *Model) dataSize() int {
	n := 0
	if m.Graph != nil {
		m.Graph.Walk(func(g *Graph) {
			for _, v := range g.Consts {
				if v.Const != nil {
					n += len(v.Const.Bytes())
				}
			}
		})
	}
	return n
}

// extKey tells tensors apart by their storage: shared storage is written once.
type extKey struct {
	p *byte
	n int
}

// externalWriter lays out the file of external data.
type externalWriter struct {
	from    int
	name    string
	at      map[extKey]int64
	tensors []*tensor.Tensor
	offsets []int64
	end     int64
}

// place gives t's data a place in the file and returns its external_data, or
// nil if t stays in the model file.
func (w *externalWriter) place(t *tensor.Tensor) []Prop {
	n := len(t.Bytes())
	if t.DType() == tensor.String || n < w.from || n == 0 {
		return nil
	}
	key := extKey{unsafe.SliceData(t.Bytes()), n}
	off, ok := w.at[key]
	if !ok {
		align := int64(pageAlign)
		if n >= largeData {
			align = largeAlign
		}
		off = (w.end + align - 1) / align * align
		w.at[key] = off
		w.tensors, w.offsets = append(w.tensors, t), append(w.offsets, off)
		w.end = off + int64(n)
	}
	return []Prop{{"location", filepath.ToSlash(w.name)}, {"offset", strconv.FormatInt(off, 10)}, {"length", strconv.Itoa(n)}}
}

// WriteTo writes the data of all placed tensors.
func (w *externalWriter) WriteTo(to io.Writer) (int64, error) {
	var at int64
	zeros := make([]byte, largeAlign)
	for i, t := range w.tensors {
		n, err := to.Write(zeros[:w.offsets[i]-at])
		if at += int64(n); err != nil {
			return at, err
		}
		n, err = to.Write(littleEndian(t))
		if at += int64(n); err != nil {
			return at, err
		}
	}
	return at, nil
}

// writeFile replaces the file at path by what w writes, or leaves it alone.
func writeFile(path string, w io.WriterTo) error {
	return atomicfile.Write(path, func(f io.Writer) error {
		_, err := w.WriteTo(f)
		return err
	})
}
