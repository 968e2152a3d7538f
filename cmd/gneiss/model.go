package main

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/gneiss-run/gneiss/onnx"
)

// openWithout opens the model at path; where its external data cannot be read,
// without that data, and lost says why. m is nil if the file itself is the
// trouble.
func openWithout(path string) (m *onnx.Model, lost, err error) {
	m, err = onnx.Open(path, onnx.DecodeOptions{})
	if err == nil {
		return m, nil, nil
	}
	m, serr := onnx.Open(path, onnx.DecodeOptions{SkipWeights: true})
	if serr != nil {
		return nil, nil, err
	}
	return m, err, nil
}

// isFileError reports whether a file is missing or may not be read.
func isFileError(err error) bool {
	var p *fs.PathError
	return errors.As(err, &p)
}

// operatorName is the name of n's operator with its domain, but for ai.onnx.
func operatorName(n *onnx.Node) string {
	return strings.TrimPrefix(n.Domain+"."+n.Op, ".")
}

// localFunctions are the functions that the model brings along, by domain and name.
func localFunctions(m *onnx.Model) map[string]bool {
	local := map[string]bool{}
	for _, f := range m.Functions {
		local[f.Domain+"."+f.Name] = true
	}
	return local
}

// printable is text from a file as it can be shown: control characters could
// move the terminal's cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '�'
		}
		return r
	}, s)
}

// metadataOf returns what m's metadata says under key; "" if it does not.
func metadataOf(m *onnx.Model, key string) string {
	for _, p := range m.Metadata {
		if p.Key == key {
			return p.Value
		}
	}
	return ""
}
