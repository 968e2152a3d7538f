package data

import (
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gneiss-run/gneiss/tensor"
)

// idxName is what files of MNIST and its relatives are called, such as
// train-images-idx3-ubyte.gz or t10k-labels.idx1-ubyte.
var idxName = regexp.MustCompile(`(?i)[.-]idx\d*(-[a-z]+)?(\.gz)?$`)

// kindOf returns the extension that says what the file at path holds, in lower case.
func kindOf(path string) string {
	if idxName.MatchString(filepath.Base(path)) {
		return ".idx"
	}
	return strings.ToLower(filepath.Ext(path))
}

// idxTypes are the element types of the format, by code.
var idxTypes = map[byte]tensor.DType{0x08: tensor.Uint8, 0x09: tensor.Int8, 0x0b: tensor.Int16, 0x0c: tensor.Int32, 0x0d: tensor.Float32, 0x0e: tensor.Float64}

// ReadIDX reads a tensor of the format IDX of the MNIST database
// (http://yann.lecun.com/exdb/mnist): two zero bytes, the element type, the
// rank, the sizes and the elements, all big-endian. One that says to hold more than
// most bytes is an error, as are bytes behind the last element.
func ReadIDX(r io.Reader, most int64) (*tensor.Tensor, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("it is no IDX file: its head: %w", err)
	}
	d, ok := idxTypes[head[2]]
	if head[0] != 0 || head[1] != 0 || !ok {
		return nil, fmt.Errorf("it is no IDX file: it begins with % x, want 00 00, then a type from 08 to 0e", head)
	}
	shape := make([]int, head[3])
	for i := range shape {
		var n [4]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return nil, fmt.Errorf("size %d of %d: %w", i+1, len(shape), err)
		}
		v := uint64(binary.BigEndian.Uint32(n[:]))
		if v > math.MaxInt32 {
			return nil, fmt.Errorf("size %d of %d is %d, at most %d are read", i+1, len(shape), v, math.MaxInt32)
		}
		shape[i] = int(v)
	}
	size, err := tensor.ByteSize(d, shape)
	if err != nil {
		return nil, err
	}
	if int64(size) > most {
		return nil, fmt.Errorf("a %v of shape %v has %d bytes, and there are at most %d", d, shape, size, most)
	}
	t := tensor.New(d, shape...)
	b := t.Bytes()
	if n, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("%d bytes, a %v of shape %v has %d", n, d, shape, size)
	}
	if n, err := r.Read(head[:1]); n > 0 {
		return nil, fmt.Errorf("there are bytes behind the last element of a %v of shape %v", d, shape)
	} else if err != nil && err != io.EOF {
		return nil, err // such as a wrong checksum
	}
	swap(b, d.Bits()/8)
	return t, nil
}

// swap turns big-endian elements of n bytes into the machine's.
func swap(b []byte, n int) {
	if n < 2 || binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		return
	}
	for ; len(b) >= n; b = b[n:] {
		for i := range n / 2 {
			b[i], b[n-1-i] = b[n-1-i], b[i]
		}
	}
}

// readIDXFile reads a file of size bytes, which may be compressed.
func readIDXFile(f io.Reader, size int64) (*tensor.Tensor, error) {
	var head [2]byte
	n, err := io.ReadFull(f, head[:])
	if err != nil {
		return nil, fmt.Errorf("it is no IDX file: %w", err)
	}
	r := io.MultiReader(strings.NewReader(string(head[:n])), f)
	if head != [2]byte{0x1f, 0x8b} {
		return ReadIDX(r, size)
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	// Deflate makes at most 1032 bytes of one.
	return ReadIDX(z, min(size*1032, maxFile))
}

// ReadArray reads the one array of a .npy or IDX file (see Open) as it is.
func ReadArray(path string) (*tensor.Tensor, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	defer f.Close()
	size, err := sizeOf(f)
	var t *tensor.Tensor
	if err == nil {
		switch kindOf(path) {
		case ".npy":
			t, err = tensor.ReadNPYAs(f, size, tensor.Undefined)
		case ".idx":
			t, err = readIDXFile(f, size)
		default:
			err = errors.New("want a .npy or an IDX file, such as images-idx3-ubyte.gz")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("data: %s: %w", path, err)
	}
	return t, nil
}
