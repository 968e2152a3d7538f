// Command gen packs a JSON list of ONNX operator schemas into the table that
// package schema embeds.
//
//	go run ./onnx/schema/gen [-o schema.json.gz] schema.json
//
// Its input has one object for each version of each operator, with the keys
// that the type in below names; it comes from onnx.defs.get_all_schemas_with_history
// and, for com.microsoft, from onnxruntime's list.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/gneiss-run/gneiss/onnx/schema"
)

type param struct {
	Name        string `json:"name"`
	Option      string `json:"option"`
	Type        string `json:"type"`
	Homogeneous bool   `json:"homogeneous"`
}

type in struct {
	Domain     string  `json:"domain"`
	Name       string  `json:"name"`
	Since      int     `json:"since"`
	Deprecated bool    `json:"deprecated"`
	Function   bool    `json:"function"`
	Contrib    bool    `json:"contrib"`
	Inputs     []param `json:"inputs"`
	Outputs    []param `json:"outputs"`
	MinInput   int     `json:"min_input"`
	MaxInput   int     `json:"max_input"`
	MinOutput  int     `json:"min_output"`
	MaxOutput  int     `json:"max_output"`
	Attributes map[string]struct {
		Type     string `json:"type"`
		Required bool   `json:"required"`
		Default  any    `json:"default"`
	} `json:"attributes"`
	Types map[string][]string `json:"types"`
}

func main() {
	_, file, _, _ := runtime.Caller(0)
	out := flag.String("o", filepath.Join(filepath.Dir(filepath.Dir(file)), "schema.json.gz"), "file to write")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: gen [-o out.gz] schema.json")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *out); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	z, err := pack(b)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return os.WriteFile(to, z, 0o644)
}

// pack turns the JSON list into the table.
func pack(b []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var list []in
	if err := dec.Decode(&list); err != nil {
		return nil, err
	}
	ops := make([]schema.Op, len(list))
	for i, s := range list {
		op := schema.Op{Domain: s.Domain, Name: s.Name, Since: s.Since, Deprecated: s.Deprecated, Function: s.Function,
			MinInput: s.MinInput, MaxInput: s.MaxInput, MinOutput: s.MinOutput, MaxOutput: s.MaxOutput,
			Inputs: params(s.Inputs), Outputs: params(s.Outputs), Types: s.Types, Attributes: map[string]schema.Attribute{}}
		if op.Domain == "ai.onnx" {
			op.Domain = ""
		}
		for name, a := range s.Attributes {
			op.Attributes[name] = schema.Attribute{Type: a.Type, Required: a.Required, Default: a.Default}
		}
		ops[i] = op
	}
	text, err := json.Marshal(ops)
	if err != nil {
		return nil, err
	}
	var z bytes.Buffer
	w, err := gzip.NewWriterLevel(&z, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return z.Bytes(), nil
}

func params(ps []param) []schema.Param {
	out := make([]schema.Param, len(ps))
	for i, p := range ps {
		out[i] = schema.Param{Name: p.Name, Option: schema.Option(p.Option), Type: p.Type, Homogeneous: p.Homogeneous}
	}
	return out
}
