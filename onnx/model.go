package onnx

import "github.com/gneiss-run/gneiss/tensor"

// Model is one ONNX file: a graph, the functions it calls and what describes it.
type Model struct {
	// Path is the file it was read from, for messages; "" if it has none.
	Path      string
	IRVersion int64
	// Opsets maps a domain ("" is ai.onnx) to the version that the model declares.
	Opsets                        map[string]int
	ProducerName, ProducerVersion string
	Domain                        string
	ModelVersion                  int64
	Doc                           string
	Metadata                      []Prop
	Graph                         *Graph
	Functions                     []*Function
	Training                      []*Training
	Configurations                [][]byte // DeviceConfigurationProto, as read
	Unknown                       []byte   // fields this package does not know, as read
	closer                        func() error
	external                      func(*tensorInfo) error // nil if all data was read
}

// Prop is one entry of metadata_props.
type Prop struct{ Key, Value string }

// Function is a model-local function: a named graph fragment whose inputs are
// untyped and whose attributes nodes may refer to (Attr.Ref).
type Function struct {
	Domain, Name, Overload string
	Opsets                 map[string]int
	AttrNames              []string // required attributes
	AttrDefaults           Attrs    // optional attributes with their defaults
	Graph                  *Graph   // Inputs and Outputs by name; types unknown
	Doc                    string
	Metadata               []Prop
	Unknown                []byte
}

// Training is a TrainingInfoProto: an initialization graph and an algorithm
// graph, whose results are bound to initializers.
type Training struct {
	Initialization, Algorithm            *Graph
	InitializationBinding, UpdateBinding []Prop
	Unknown                              []byte
}

// Graph is a list of nodes in topological order. A nested graph (a body of If,
// Loop or Scan) reads values of the graphs around it directly: the same *Value.
type Graph struct {
	Name string
	// Inputs are the values the caller gives. One that has Const as well has a
	// default, which the caller may leave out (IR version 3 lists all
	// initializers so).
	Inputs, Outputs []*Value
	Nodes           []*Node
	// Consts are the initializers, in file order. Each has Const or Sparse set.
	Consts []*Value
	// Infos are values with a declared type (value_info) that are neither input
	// nor output. In a function inputs and outputs may be among them.
	Infos    []*Value
	Outer    *Graph         // the graph around this one; nil for a main graph or function
	Opsets   map[string]int // shared with the model or function: what NewNode takes Opset from
	Doc      string
	Metadata []Prop
	// Quantization is the quantization_annotation list, by tensor name.
	Quantization []QuantAnnotation
	Unknown      []byte
	names        *namer
}

// QuantAnnotation names the scale and zero-point tensors of a value.
type QuantAnnotation struct {
	Tensor string
	Params []Prop
}

// Value is one edge of a graph: it has one producer and any number of uses.
type Value struct {
	Name     string
	Type     Type           // what is known before running; Kind 0 where nothing is
	Const    *tensor.Tensor // an initializer's tensor; else nil
	Sparse   *tensor.Sparse // a sparse initializer; else nil
	From     *Node          // the producer; nil for inputs and initializers
	Doc      string
	Metadata []Prop
	// uses has one entry per node input that reads it, nested graphs included. A
	// node one of whose bodies returns a value of a graph around is an entry too.
	uses    []*Node
	unknown []byte // unknown fields of its ValueInfoProto, as read
	init    *tensorInfo
}

// tensorInfo is what a file says about a tensor besides its elements.
type tensorInfo struct {
	tensor    any // what it describes: *tensor.Tensor or *tensor.Sparse; nil for initializers
	name, doc string
	metadata  []Prop
	unknown   []byte
	external  []Prop // where the data is, if it was left there
	typ       Type   // of data that was left there
}

// Uses returns the number of node inputs that read v, those in nested graphs
// included. Being an output of its own graph is not counted: see
// Graph.IsOutput. Being returned by a graph nested in it counts.
func (v *Value) Uses() int { return len(v.uses) }

// Users returns the nodes that read v, one entry per input. The caller must not change it.
func (v *Value) Users() []*Node { return v.uses }

// Node is one operator call.
type Node struct {
	Name, Domain, Op, Overload string
	// Opset is the version of Domain whose operator this node means. Rewrites
	// may use another than the model declares; Encode converts or refuses.
	Opset    int
	Attrs    Attrs
	In, Out  []*Value // an absent optional input or output is nil
	Graph    *Graph   // where the node is; nil until Insert
	Doc      string
	Metadata []Prop
	Unknown  []byte
	at       int // where Graph.Nodes had it last; a hint
}

// String names the node for messages: `Conv "conv1"`.
func (n *Node) String() string {
	op := n.Op
	if n.Domain != "" {
		op = n.Domain + "." + op
	}
	if n.Name == "" && len(n.Out) > 0 && n.Out[0] != nil {
		return op + " of \"" + n.Out[0].Name + "\""
	}
	return op + " \"" + n.Name + "\""
}
