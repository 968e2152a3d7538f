package onnx_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ulikunitz/xz"
)

// suiteCase is one test of ONNX's backend test suite.
type suiteCase struct {
	name  string
	model []byte
	files map[string][]byte // test_data_set_0/input_0.pb …
}

var loadSuite = sync.OnceValues(func() ([]suiteCase, error) {
	shared := os.Getenv("GNEISS_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "shared")
	}
	found, err := filepath.Glob(filepath.Join(shared, "conformance", "*.tar.xz"))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, os.ErrNotExist
	}
	packed, err := os.ReadFile(found[0])
	if err != nil {
		return nil, err
	}
	x, err := xz.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	byDir := map[string]*suiteCase{}
	var order []string
	for t := tar.NewReader(x); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		i := strings.Index(h.Name, "/test_")
		if h.Typeflag != tar.TypeReg || i < 0 {
			continue
		}
		dir, file := h.Name, ""
		if j := strings.IndexByte(h.Name[i+1:], '/'); j >= 0 {
			dir, file = h.Name[:i+1+j], h.Name[i+2+j:]
		}
		c := byDir[dir]
		if c == nil {
			c = &suiteCase{name: path.Base(dir), files: map[string][]byte{}}
			byDir[dir] = c
			order = append(order, dir)
		}
		b, err := io.ReadAll(t)
		if err != nil {
			return nil, err
		}
		if file == "model.onnx" {
			c.model = b
		} else {
			c.files[file] = b
		}
	}
	var cases []suiteCase
	for _, dir := range order {
		if c := byDir[dir]; c.model != nil {
			cases = append(cases, *c)
		}
	}
	return cases, nil
})

// suite returns ONNX's backend tests.
func suite(t testing.TB) []suiteCase {
	cases, err := loadSuite()
	if errors.Is(err, os.ErrNotExist) && os.Getenv("CI") != "true" {
		t.Skip("no ONNX backend test suite: set GNEISS_SHARED to the folder with conformance/*.tar.xz")
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 1000 {
		t.Fatalf("%d cases in the suite", len(cases))
	}
	return cases
}
