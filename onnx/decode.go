package onnx

import (
	"bytes"
	"fmt"
	"io/fs"
	"math"
	"path"
	"path/filepath"
)

// DecodeOptions say how a model is read. The zero value is fine for a model
// without external data.
type DecodeOptions struct {
	// Path names the file in messages. Open and OpenFS set it.
	Path string
	// Dir is the folder of external data, that is the folder of the model file.
	// Open sets it where it is empty. With neither Dir nor FS, external data is an error.
	Dir string
	// FS, if set, is where external data is read from, relative to Dir.
	FS     fs.FS
	Limits Limits
	// NoMmap reads files to memory instead of mapping them, so that a file can
	// be replaced or truncated while its model is in use.
	NoMmap bool
	// SkipWeights leaves external data of initializers alone: their values have a
	// Type but no Const. The files need not exist.
	SkipWeights bool
}

type decoder struct {
	o     DecodeOptions
	lim   Limits
	owner any // what keeps the decoded bytes valid
	files *externalFiles
	nodes int
}

func newDecoder(o DecodeOptions) *decoder {
	return &decoder{o: o, lim: o.Limits.withDefaults(), files: &externalFiles{o: o}}
}

// Open reads the model file at path and its external data, which must lie in
// or below the same folder. The files stay mapped until Close.
func Open(path string, o DecodeOptions) (*Model, error) {
	if o.Path == "" {
		o.Path = path
	}
	if o.Dir == "" && o.FS == nil {
		o.Dir = filepath.Dir(path)
	}
	m, err := readFile(path, o.NoMmap)
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	d := newDecoder(o)
	d.owner = m.owner
	if m.close != nil {
		d.files.closers = append(d.files.closers, m.close)
	}
	return d.decode(m.data)
}

// OpenFS reads the model file name of fsys, and its external data from there too.
func OpenFS(fsys fs.FS, name string, o DecodeOptions) (*Model, error) {
	if o.Path == "" {
		o.Path = name
	}
	o.FS, o.Dir = fsys, path.Dir(name)
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	return newDecoder(o).decode(data)
}

// Decode reads a model from the bytes of a file. Tensors are views of data
// where its bytes are theirs, so data must not be changed afterwards.
func Decode(data []byte, o DecodeOptions) (*Model, error) {
	return newDecoder(o).decode(data)
}

// Close unmaps the files of a model that Open mapped. No tensor of the model
// may be used after it, nor any slice of one's data. A model that is never
// closed keeps its files mapped, which costs address space but no memory that
// the system could not take back.
func (m *Model) Close() error {
	if m.closer == nil {
		return nil
	}
	c := m.closer
	m.closer = nil
	return c()
}

func (d *decoder) decode(data []byte) (*Model, error) {
	m, err := d.model(data)
	if err != nil {
		d.files.close()
		if d.o.Path != "" {
			return nil, fmt.Errorf("onnx: %s: %w", d.o.Path, err)
		}
		return nil, fmt.Errorf("onnx: %w", err)
	}
	if len(d.files.closers) > 0 {
		m.closer = d.files.close
	}
	if d.o.SkipWeights {
		m.external = d.files.present
	}
	return m, nil
}

func (d *decoder) model(b []byte) (*Model, error) {
	if len(b) == 0 {
		return nil, invalid("the file is empty")
	}
	if bytes.HasPrefix(b, []byte("version https://git-lfs")) {
		return nil, invalid("the file is a pointer of Git LFS, not the model")
	}
	m := &Model{Path: d.o.Path, Opsets: map[string]int{}}
	var graph merged
	var functions, training [][]byte
	f := d.fields("ModelProto", b)
	for f.next() {
		switch f.num {
		case 1:
			m.IRVersion = f.int()
		case 2:
			m.ProducerName = f.text()
		case 3:
			m.ProducerVersion = f.text()
		case 4:
			m.Domain = f.text()
		case 5:
			m.ModelVersion = f.int()
		case 6:
			m.Doc = f.text()
		case 7:
			graph.add(f)
		case 8:
			d.opset(f, m.Opsets)
		case 14:
			m.Metadata = append(m.Metadata, f.prop())
		case 20:
			training = append(training, f.bytes())
		case 25:
			functions = append(functions, f.bytes())
		case 26:
			if err := d.verify("DeviceConfigurationProto", f.bytes(), deviceConfiguration); err != nil {
				return nil, err
			}
			m.Configurations = append(m.Configurations, bytes.Clone(f.bytes()))
		default:
			m.Unknown = append(m.Unknown, f.raw...)
		}
	}
	if f.err != nil {
		return nil, fmt.Errorf("%w (the file is no ONNX model, or it is damaged or cut short)", f.err)
	}
	if !graph.set {
		return nil, invalid("ModelProto has no graph")
	}
	g, s, err := d.graph(graph.b, nil, m.Opsets, 1)
	if err != nil {
		return nil, err
	}
	m.Graph = g
	g.addUses()
	for i, b := range functions {
		fn, err := d.function(b)
		if err != nil {
			if fn != nil {
				return nil, fmt.Errorf("function %q: %w", fn.qualified(), err)
			}
			return nil, fmt.Errorf("function %d: %w", i, err)
		}
		fn.Graph.addUses()
		m.Functions = append(m.Functions, fn)
	}
	for i, b := range training {
		t, err := d.training(b, s)
		if err != nil {
			return nil, fmt.Errorf("training_info %d: %w", i, err)
		}
		m.Training = append(m.Training, t)
	}
	return m, nil
}

// opset reads an OperatorSetIdProto into opsets.
func (d *decoder) opset(f *fields, opsets map[string]int) {
	var domain string
	var version int64
	e := d.fields("OperatorSetIdProto", f.bytes())
	for e.next() {
		switch e.num {
		case 1:
			domain = normalDomain(e.name())
		case 2:
			version = e.int()
		}
	}
	if version < 0 || version > math.MaxInt32 {
		e.fail("version of domain %q is %d", domain, version)
	}
	if old, ok := opsets[domain]; ok && old != int(version) {
		e.fail("domain %q is imported with versions %d and %d", domain, old, version)
	}
	opsets[domain] = int(version)
	if f.err == nil {
		f.err = e.err
	}
}

// normalDomain gives ONNX's own operators the one domain "".
func normalDomain(s string) string {
	if s == "ai.onnx" {
		return ""
	}
	return s
}

func (f *Function) qualified() string {
	s := f.Name
	if f.Domain != "" {
		s = f.Domain + "." + s
	}
	if f.Overload != "" {
		s += ":" + f.Overload
	}
	return s
}

func (d *decoder) function(b []byte) (*Function, error) {
	fn := &Function{Opsets: map[string]int{}}
	var nodes, defaults, infos [][]byte
	var inputs, outputs []string
	f := d.fields("FunctionProto", b)
	for f.next() {
		switch f.num {
		case 1:
			fn.Name = f.name()
		case 4:
			inputs = append(inputs, f.name())
		case 5:
			outputs = append(outputs, f.name())
		case 6:
			fn.AttrNames = append(fn.AttrNames, f.name())
		case 7:
			nodes = append(nodes, f.bytes())
		case 8:
			fn.Doc = f.text()
		case 9:
			d.opset(f, fn.Opsets)
		case 10:
			fn.Domain = normalDomain(f.name())
		case 11:
			defaults = append(defaults, f.bytes())
		case 12:
			infos = append(infos, f.bytes())
		case 13:
			fn.Overload = f.name()
		case 14:
			fn.Metadata = append(fn.Metadata, f.prop())
		default:
			fn.Unknown = append(fn.Unknown, f.raw...)
		}
	}
	if f.err != nil {
		return fn, f.err
	}
	s := newScope(&Graph{Name: fn.Name, Opsets: fn.Opsets}, nil)
	s.function = true
	fn.Graph = s.g
	for _, b := range defaults {
		a, err := d.attr(b, s, 1)
		if err != nil {
			return fn, err
		}
		fn.AttrDefaults = append(fn.AttrDefaults, a)
	}
	for _, name := range inputs {
		v := &Value{Name: name}
		if err := s.declare(v, -1); err != nil {
			return fn, err
		}
		s.g.Inputs = append(s.g.Inputs, v)
	}
	outs := make([]valueInfo, len(outputs))
	for i, name := range outputs {
		outs[i].name = name
	}
	return fn, d.body(s, nodes, outs, infos, 1)
}

func (d *decoder) training(b []byte, main *scope) (*Training, error) {
	t := &Training{}
	var initialization, algorithm merged
	f := d.fields("TrainingInfoProto", b)
	for f.next() {
		switch f.num {
		case 1:
			initialization.add(f)
		case 2:
			algorithm.add(f)
		case 3:
			t.InitializationBinding = append(t.InitializationBinding, f.prop())
		case 4:
			t.UpdateBinding = append(t.UpdateBinding, f.prop())
		default:
			t.Unknown = append(t.Unknown, f.raw...)
		}
	}
	if f.err != nil {
		return nil, f.err
	}
	var err error
	if initialization.set {
		if t.Initialization, _, err = d.graph(initialization.b, nil, main.g.Opsets, 1); err != nil {
			return nil, fmt.Errorf("initialization: %w", err)
		}
		t.Initialization.addUses()
	}
	if algorithm.set { // it may read any value of the inference graph
		if t.Algorithm, _, err = d.graph(algorithm.b, main, main.g.Opsets, 1); err != nil {
			return nil, fmt.Errorf("algorithm: %w", err)
		}
		t.Algorithm.addUses()
	}
	return t, nil
}

// DecodeFunction reads a FunctionProto. Its tensors are views of data, so data
// must not be changed afterwards.
func DecodeFunction(data []byte) (*Function, error) {
	f, err := newDecoder(DecodeOptions{}).function(data)
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	return f, nil
}
