package tensor

import (
	"archive/zip"
	"fmt"
	"io"
	"strings"
)

// Named is an array of an .npz file.
type Named struct {
	Name   string // without .npy
	Tensor *Tensor
}

// ReadNPZ reads NumPy's .npz format, a zip file of arrays, in the order of the
// file. limit bounds the bytes of all arrays together, as for ReadNPY; size is
// the length of r. An entry that is no array, or a name that comes twice, is an error.
func ReadNPZ(r io.ReaderAt, size, limit int64) ([]Named, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("npz: %w", err)
	}
	var out []Named
	seen := map[string]bool{}
	for _, f := range z.File {
		name, ok := strings.CutSuffix(f.Name, ".npy")
		if !ok {
			return nil, fmt.Errorf("npz: entry %q, want names in .npy", f.Name)
		}
		if seen[name] {
			return nil, fmt.Errorf("npz: array %q twice", name)
		}
		seen[name] = true
		left := limit
		if limit > 0 {
			for _, a := range out {
				left -= a.Tensor.storage()
			}
			if left <= 0 {
				return nil, fmt.Errorf("npz: array %q: %w of %d bytes", name, ErrLimit, limit)
			}
		}
		t, err := readNPZEntry(f, left)
		if err != nil {
			return nil, fmt.Errorf("npz: array %q: %w", name, err)
		}
		out = append(out, Named{name, t})
	}
	return out, nil
}

// storage returns the bytes that t holds.
func (t *Tensor) storage() int64 {
	n := int64(len(t.data)) + 16*int64(len(t.str))
	for _, s := range t.str {
		n += int64(len(s))
	}
	return n
}

func readNPZEntry(f *zip.File, limit int64) (*Tensor, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return ReadNPY(r, limit)
}

// WriteNPZ writes arrays as NumPy's savez does, uncompressed. A name that comes
// twice is an error.
func WriteNPZ(w io.Writer, arrays []Named) error {
	z := zip.NewWriter(w)
	seen := map[string]bool{}
	for _, a := range arrays {
		if seen[a.Name] {
			return fmt.Errorf("npz: array %q twice", a.Name)
		}
		seen[a.Name] = true
		e, err := z.CreateHeader(&zip.FileHeader{Name: a.Name + ".npy", Method: zip.Store})
		if err != nil {
			return fmt.Errorf("npz: array %q: %w", a.Name, err)
		}
		if err := WriteNPY(e, a.Tensor); err != nil {
			return fmt.Errorf("npz: array %q: %w", a.Name, err)
		}
	}
	return z.Close()
}
