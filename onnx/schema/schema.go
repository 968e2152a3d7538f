// Package schema has the signatures of ONNX's operators: inputs, outputs,
// attributes and types of every version of the domains ai.onnx, ai.onnx.ml,
// ai.onnx.preview, ai.onnx.preview.training and com.microsoft. It says what is
// valid, not what Gneiss runs. The table is embedded and unpacked when it is
// first asked for. All functions are safe for concurrent use.
package schema

import (
	"bytes"
	"cmp"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
)

//go:generate go run ./gen ../../../shared/conformance/schema.json

//go:embed schema.json.gz
var packed []byte

// Op is one version of an operator.
type Op struct {
	Domain     string // "" is ai.onnx
	Name       string
	Since      int // the opset version that brought it
	Deprecated bool
	Function   bool // ONNX defines it by other operators too
	Inputs     []Param
	Outputs    []Param
	// MinInput … MaxOutput bound the numbers of inputs and outputs; a Max of
	// math.MaxInt32 means any number.
	MinInput, MaxInput, MinOutput, MaxOutput int
	Attributes                               map[string]Attribute
	Types                                    map[string][]string // the types that a type variable may be
}

// Param is an input or output.
type Param struct {
	Name   string
	Option Option
	// Type is a type variable, a key of Op.Types, or a type such as "tensor(int64)".
	Type string
	// Homogeneous says that all values of a variadic parameter have one type.
	Homogeneous bool
}

// Option says how often a parameter occurs.
type Option string

// The options of parameters.
const (
	Single   Option = "single"   // once
	Optional Option = "optional" // once or, with an empty name, not
	Variadic Option = "variadic" // any number of times, at the end
)

// Attribute is the signature of an attribute.
type Attribute struct {
	Type     string // as AttributeProto.AttributeType spells it: "INT", "FLOATS", "GRAPH" …
	Required bool
	Default  any // float64, string, []any of these, or nil if there is none
}

// Unbounded is the number of inputs or outputs of variadic operators.
const Unbounded = math.MaxInt32

type key struct{ domain, name string }

type table struct {
	ops     []*Op
	byName  map[key][]*Op // by ascending version
	newest  map[string]int
	domains []string
}

var load = sync.OnceValue(func() *table {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		panic(fmt.Sprintf("schema: embedded table: %v", err))
	}
	t := &table{byName: map[key][]*Op{}, newest: map[string]int{}}
	if err := json.NewDecoder(z).Decode(&t.ops); err != nil {
		panic(fmt.Sprintf("schema: embedded table: %v", err))
	}
	slices.SortFunc(t.ops, func(a, b *Op) int {
		return cmp.Or(strings.Compare(a.Domain, b.Domain), strings.Compare(a.Name, b.Name), a.Since-b.Since)
	})
	for _, op := range t.ops {
		k := key{op.Domain, op.Name}
		t.byName[k] = append(t.byName[k], op)
		if _, ok := t.newest[op.Domain]; !ok {
			t.domains = append(t.domains, op.Domain)
		}
		t.newest[op.Domain] = max(t.newest[op.Domain], op.Since)
	}
	return t
})

// All returns every version of every operator, by domain, name and version.
// The caller must not change them.
func All() []*Op { return slices.Clone(load().ops) }

// Versions returns the versions of one operator, oldest first; nil if there is none.
func Versions(domain, op string) []*Op { return slices.Clone(load().byName[key{normal(domain), op}]) }

// Lookup returns the version of an operator that an opset version means: the
// newest that is not newer. It returns nil if there is none.
func Lookup(domain, op string, opset int) *Op {
	var found *Op
	for _, v := range load().byName[key{normal(domain), op}] {
		if v.Since <= opset {
			found = v
		}
	}
	return found
}

// Domains returns the domains of the table, sorted.
func Domains() []string { return slices.Clone(load().domains) }

// Newest returns the newest version of a domain in the table; 0 if it is unknown.
func Newest(domain string) int { return load().newest[normal(domain)] }

func normal(domain string) string {
	if domain == "ai.onnx" {
		return ""
	}
	return domain
}

// InputParam returns the parameter of input i, or nil if there is no such input.
func (o *Op) InputParam(i int) *Param { return param(o.Inputs, i) }

// OutputParam returns the parameter of output i, or nil if there is no such output.
func (o *Op) OutputParam(i int) *Param { return param(o.Outputs, i) }

func param(ps []Param, i int) *Param {
	if i < len(ps) {
		return &ps[i]
	}
	if n := len(ps); n > 0 && ps[n-1].Option == Variadic {
		return &ps[n-1]
	}
	return nil
}
