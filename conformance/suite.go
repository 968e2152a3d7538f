package conformance

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing/fstest"

	"github.com/ulikunitz/xz"
)

// Case is one model with its data sets.
type Case struct {
	Name string // the folder's name
	Kind string // the name of the folder around it: node, simple, …
	FS   fs.FS
	Dir  string // of the case, in FS
}

// maxSuite bounds what an archive may unpack to, in bytes.
const maxSuite = 4 << 30

// Suite returns the cases below the folder at p, or in the .tar.xz or .tar
// archive at p, in order of kind and name.
func Suite(p string) ([]Case, error) {
	info, err := os.Stat(p)
	if err != nil {
		return nil, err
	}
	fsys := os.DirFS(p)
	if !info.IsDir() {
		if fsys, err = openArchive(p); err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
	}
	var cases []Case
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() != "model.onnx" {
			return err
		}
		dir := path.Dir(name)
		kind := path.Base(path.Dir(dir))
		if kind == "." && info.IsDir() {
			if abs, err := filepath.Abs(p); err == nil {
				kind = filepath.Base(abs)
			}
		}
		cases = append(cases, Case{Name: path.Base(dir), Kind: kind, FS: fsys, Dir: dir})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("%s: no folder with a model.onnx", p)
	}
	slices.SortFunc(cases, func(a, b Case) int { return strings.Compare(a.Dir, b.Dir) })
	return cases, nil
}

// openArchive unpacks an archive into memory.
func openArchive(p string) (fs.FS, error) {
	f, err := os.Open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	switch {
	case strings.HasSuffix(p, ".tar.xz"):
		if r, err = xz.NewReader(f); err != nil {
			return nil, err
		}
	case !strings.HasSuffix(p, ".tar"):
		return nil, errors.New("not a folder, .tar.xz or .tar archive")
	}
	m := fstest.MapFS{}
	total := int64(0)
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if err == io.EOF {
			return m, nil
		}
		if err != nil {
			return nil, err
		}
		name := path.Clean(h.Name)
		if h.Typeflag != tar.TypeReg || !fs.ValidPath(name) {
			continue
		}
		if total += h.Size; total > maxSuite {
			return nil, fmt.Errorf("unpacks to more than %d bytes", int64(maxSuite))
		}
		data, err := io.ReadAll(io.LimitReader(t, h.Size))
		if err != nil {
			return nil, err
		}
		m[name] = &fstest.MapFile{Data: data}
	}
}
