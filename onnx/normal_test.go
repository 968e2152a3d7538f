package onnx_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx/onnxpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// normalize rewrites a model so that two files of one meaning become equal:
// tensor data in raw_data, nodes and imports in a fixed order, empty strings
// and zeros absent, attribute types present.
func normalize(m *onnxpb.ModelProto) *onnxpb.ModelProto {
	if m.Graph != nil {
		normalGraph(m.Graph)
	}
	m.OpsetImport = normalImports(m.OpsetImport)
	for _, f := range m.Functions {
		f.OpsetImport = normalImports(f.OpsetImport)
		f.Domain = normalDomain(f.Domain)
		normalNodes(f.Node)
		for _, a := range f.AttributeProto {
			normalAttr(a)
		}
	}
	for _, t := range m.TrainingInfo {
		if t.Initialization != nil {
			normalGraph(t.Initialization)
		}
		if t.Algorithm != nil {
			normalGraph(t.Algorithm)
		}
	}
	dropEmpty(m.ProtoReflect())
	return m
}

func normalImports(os []*onnxpb.OperatorSetIdProto) []*onnxpb.OperatorSetIdProto {
	for _, o := range os {
		o.Domain = normalDomain(o.Domain)
	}
	slices.SortFunc(os, func(a, b *onnxpb.OperatorSetIdProto) int { return cmp.Compare(a.GetDomain(), b.GetDomain()) })
	return slices.CompactFunc(os, func(a, b *onnxpb.OperatorSetIdProto) bool { return a.GetDomain() == b.GetDomain() })
}

func normalDomain(s *string) *string {
	if s != nil && (*s == "ai.onnx" || *s == "") {
		return nil
	}
	return s
}

func normalGraph(g *onnxpb.GraphProto) {
	normalNodes(g.Node)
	for _, t := range g.Initializer {
		normalTensor(t)
	}
	for _, s := range g.SparseInitializer {
		normalTensor(s.Values)
		normalTensor(s.Indices)
	}
	seen := map[string]bool{}
	for _, v := range slices.Concat(g.Input, g.Output) {
		seen[v.GetName()] = true
	}
	g.ValueInfo = slices.DeleteFunc(g.ValueInfo, func(v *onnxpb.ValueInfoProto) bool {
		had := seen[v.GetName()]
		seen[v.GetName()] = true
		return had
	})
	for _, v := range slices.Concat(g.Input, g.Output, g.ValueInfo) {
		normalType(v.Type)
	}
}

func normalNodes(ns []*onnxpb.NodeProto) {
	for _, n := range ns {
		n.Domain = normalDomain(n.Domain)
		for _, a := range n.Attribute {
			normalAttr(a)
		}
	}
	key := func(n *onnxpb.NodeProto) []byte {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(n)
		if err != nil {
			panic(err)
		}
		return b
	}
	slices.SortStableFunc(ns, func(a, b *onnxpb.NodeProto) int { return bytes.Compare(key(a), key(b)) })
}

func normalType(t *onnxpb.TypeProto) {
	if t == nil {
		return
	}
	for _, s := range []*onnxpb.TensorShapeProto{t.GetTensorType().GetShape(), t.GetSparseTensorType().GetShape()} {
		for _, d := range s.GetDim() {
			switch v := d.Value.(type) {
			case *onnxpb.TensorShapeProto_Dimension_DimValue:
				if v.DimValue < 0 {
					d.Value = nil
				}
			case *onnxpb.TensorShapeProto_Dimension_DimParam:
				if v.DimParam == "" {
					d.Value = nil
				}
			}
		}
	}
	normalType(t.GetSequenceType().GetElemType())
	normalType(t.GetOptionalType().GetElemType())
	normalType(t.GetMapType().GetValueType())
}

func normalAttr(a *onnxpb.AttributeProto) {
	set := onnxpb.AttributeProto_UNDEFINED
	switch {
	case a.F != nil:
		set = onnxpb.AttributeProto_FLOAT
	case a.I != nil:
		set = onnxpb.AttributeProto_INT
	case a.S != nil:
		set = onnxpb.AttributeProto_STRING
	case a.T != nil:
		set = onnxpb.AttributeProto_TENSOR
	case a.G != nil:
		set = onnxpb.AttributeProto_GRAPH
	case len(a.Floats) > 0:
		set = onnxpb.AttributeProto_FLOATS
	case len(a.Ints) > 0:
		set = onnxpb.AttributeProto_INTS
	case len(a.Strings) > 0:
		set = onnxpb.AttributeProto_STRINGS
	}
	if a.GetType() == onnxpb.AttributeProto_UNDEFINED && set != onnxpb.AttributeProto_UNDEFINED {
		a.Type = set.Enum()
	}
	for _, t := range append(a.Tensors, a.T) {
		normalTensor(t)
	}
	for _, s := range append(a.SparseTensors, a.SparseTensor) {
		if s != nil {
			normalTensor(s.Values)
			normalTensor(s.Indices)
		}
	}
	for _, g := range append(a.Graphs, a.G) {
		if g != nil {
			normalGraph(g)
		}
	}
	for _, t := range append(a.TypeProtos, a.Tp) {
		normalType(t)
	}
}

// normalTensor moves typed data to raw_data.
func normalTensor(t *onnxpb.TensorProto) {
	if t == nil || t.GetDataType() == int32(onnxpb.TensorProto_STRING) || t.GetDataLocation() == onnxpb.TensorProto_EXTERNAL {
		return
	}
	raw := t.RawData
	le := binary.LittleEndian
	for _, x := range t.FloatData {
		raw = le.AppendUint32(raw, math.Float32bits(x))
	}
	for _, x := range t.DoubleData {
		raw = le.AppendUint64(raw, math.Float64bits(x))
	}
	for _, x := range t.Int64Data {
		raw = le.AppendUint64(raw, uint64(x))
	}
	for _, x := range t.Uint64Data {
		if t.GetDataType() == int32(onnxpb.TensorProto_UINT32) {
			raw = le.AppendUint32(raw, uint32(x))
		} else {
			raw = le.AppendUint64(raw, x)
		}
	}
	for _, x := range t.Int32Data {
		switch onnxpb.TensorProto_DataType(t.GetDataType()) {
		case onnxpb.TensorProto_INT32:
			raw = le.AppendUint32(raw, uint32(x))
		case onnxpb.TensorProto_INT16, onnxpb.TensorProto_UINT16, onnxpb.TensorProto_FLOAT16, onnxpb.TensorProto_BFLOAT16:
			raw = le.AppendUint16(raw, uint16(x))
		default:
			raw = append(raw, byte(x))
		}
	}
	t.RawData = raw
	t.FloatData, t.DoubleData, t.Int32Data, t.Int64Data, t.Uint64Data = nil, nil, nil, nil, nil
	t.DataLocation = nil
}

// dropEmpty clears singular scalars that have their zero value, outside oneofs.
func dropEmpty(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsList() && f.Kind() == protoreflect.MessageKind:
			for i := range v.List().Len() {
				dropEmpty(v.List().Get(i).Message())
			}
		case f.IsList():
		case f.Kind() == protoreflect.MessageKind:
			dropEmpty(v.Message())
		case f.ContainingOneof() == nil && f.Kind() == protoreflect.BytesKind:
			if len(v.Bytes()) == 0 {
				m.Clear(f)
			}
		case f.ContainingOneof() == nil && v.Equal(f.Default()):
			m.Clear(f)
		}
		return true
	})
}
