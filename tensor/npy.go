package tensor

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"unicode/utf8"
)

// ErrLimit is wrapped by errors about data that is larger than the caller allows.
var ErrLimit = errors.New("tensor: larger than the limit")

const (
	npyMagic      = "\x93NUMPY"
	maxNPYHeader  = 1 << 20 // bytes
	maxNPYRank    = 64      // NumPy's own
	maxEmptyItems = 1 << 20 // elements of a type without bytes, such as <U0
)

var nativeLittle = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// ReadNPY reads one array in NumPy's .npy format, version 1 to 3, from r, which
// is left behind the array. Numbers in the other byte order are swapped,
// Fortran order is turned to row-major, <U and |S give strings. Storage beyond
// limit bytes is an error that wraps ErrLimit; limit <= 0 is none. A header
// cannot make it allocate much more than r holds. The types of ml_dtypes have
// no name in the file: see ReadNPYAs.
func ReadNPY(r io.Reader, limit int64) (*Tensor, error) { return ReadNPYAs(r, limit, Undefined) }

// ReadNPYAs is ReadNPY for arrays of which the file does not tell the type:
// NumPy writes those of ml_dtypes (bfloat16, float8…, int4…) as "V1" or "V2",
// and some programs as uint8 or uint16. These are read as elements of type d,
// packed types from a byte per element. For other arrays d must be their type.
func ReadNPYAs(r io.Reader, limit int64, d DType) (*Tensor, error) {
	t, err := readNPY(r, limit, d)
	if err != nil {
		return nil, fmt.Errorf("npy: %w", err)
	}
	return t, nil
}

func readNPY(r io.Reader, limit int64, d DType) (*Tensor, error) {
	h, err := readNPYHeader(r)
	if err != nil {
		return nil, err
	}
	item, err := parseDescr(h.descr)
	if err != nil {
		return nil, err
	}
	if item, err = item.as(d, h.descr); err != nil {
		return nil, err
	}
	n, err := Count(h.shape)
	if err != nil {
		return nil, err
	}
	size, need := 0, 0
	if item.size > 0 {
		if n > math.MaxInt/32/item.size {
			return nil, fmt.Errorf("%w: shape %v of %s", ErrSize, h.shape, h.descr)
		}
		size = n * item.size
	} else if n > maxEmptyItems {
		return nil, fmt.Errorf("%w: shape %v of %s", ErrSize, h.shape, h.descr)
	}
	need = size
	if item.dtype == String {
		need += 16 * n
	}
	if limit > 0 && int64(need) > limit {
		return nil, fmt.Errorf("%w: %d bytes for shape %v of %s, want at most %d", ErrLimit, need, h.shape, h.descr, limit)
	}
	data, err := readExactly(r, size)
	if err != nil {
		return nil, fmt.Errorf("shape %v of %s: %w", h.shape, h.descr, err)
	}
	if item.swap {
		swapBytes(data, item.word)
	}
	if h.fortran && len(h.shape) > 1 {
		data = fromFortran(data, h.shape, item.size)
	}
	return item.tensor(h.shape, n, data)
}

// readExactly returns n bytes of r, aligned. What r cannot hold is not allocated.
func readExactly(r io.Reader, n int) ([]byte, error) {
	left, known := remaining(r)
	if known && left < int64(n) {
		return nil, fmt.Errorf("%d bytes are left, want %d", left, n)
	}
	if known || n <= 1<<16 {
		b := AlignedBytes(n)
		if k, err := io.ReadFull(r, b); err != nil {
			return nil, fmt.Errorf("%d bytes are left, want %d: %w", k, n, err)
		}
		return b, nil
	}
	var buf bytes.Buffer
	k, err := io.Copy(&buf, io.LimitReader(r, int64(n)))
	if err != nil {
		return nil, err
	}
	if k < int64(n) {
		return nil, fmt.Errorf("%d bytes are left, want %d: %w", k, n, io.ErrUnexpectedEOF)
	}
	b := AlignedBytes(n)
	copy(b, buf.Bytes())
	return b, nil
}

// remaining tells how many bytes r still has, for readers that know.
func remaining(r io.Reader) (int64, bool) {
	switch x := r.(type) {
	case interface{ Len() int }:
		return int64(x.Len()), true
	case *os.File:
		info, err := x.Stat()
		if err != nil || !info.Mode().IsRegular() {
			return 0, false
		}
		at, err := x.Seek(0, io.SeekCurrent)
		return info.Size() - at, err == nil
	case *io.SectionReader:
		at, err := x.Seek(0, io.SeekCurrent)
		return x.Size() - at, err == nil
	}
	return 0, false
}

// npyItem says how the elements of an array lie in the file.
type npyItem struct {
	kind  byte  // NumPy's letter
	dtype DType // Undefined for V
	size  int   // bytes per element
	word  int   // bytes per number, for swapping
	swap  bool
}

var npyNames = map[string]DType{
	"f2": Float16, "f4": Float32, "f8": Float64, "i1": Int8, "i2": Int16, "i4": Int32, "i8": Int64,
	"u1": Uint8, "u2": Uint16, "u4": Uint32, "u8": Uint64, "b1": Bool, "c8": Complex64, "c16": Complex128,
}

// parseDescr reads NumPy's array-protocol string such as "<f4".
func parseDescr(s string) (npyItem, error) {
	rest := s
	swap := false
	if rest != "" {
		switch rest[0] {
		case '<':
			swap, rest = !nativeLittle, rest[1:]
		case '>', '!':
			swap, rest = nativeLittle, rest[1:]
		case '|', '=':
			rest = rest[1:]
		}
	}
	if rest == "?" {
		rest = "b1"
	}
	if d, ok := npyNames[rest]; ok {
		it := npyItem{kind: rest[0], dtype: d, size: d.Size(), word: d.Size(), swap: swap}
		if d.IsComplex() {
			it.word /= 2
		}
		return it, nil
	}
	if len(rest) > 1 {
		n := 0
		for _, c := range []byte(rest[1:]) {
			if !digitByte(c) || n > 1<<28 {
				return npyItem{}, fmt.Errorf("element type %q", s)
			}
			n = n*10 + int(c-'0')
		}
		switch rest[0] {
		case 'U':
			return npyItem{kind: 'U', dtype: String, size: 4 * n, word: 4, swap: swap}, nil
		case 'S', 'a':
			return npyItem{kind: 'S', dtype: String, size: n, word: 1}, nil
		case 'V':
			return npyItem{kind: 'V', size: n, word: n, swap: swap && n == 2}, nil
		}
	}
	if strings.HasPrefix(rest, "O") {
		return npyItem{}, fmt.Errorf("element type %q: Python objects are not read", s)
	}
	return npyItem{}, fmt.Errorf("element type %q, want a bool, integer, float, complex or string type", s)
}

func digitByte(c byte) bool { return c >= '0' && c <= '9' }

// as applies the type the caller says.
func (it npyItem) as(d DType, descr string) (npyItem, error) {
	if it.kind == 'V' && d == Undefined {
		return it, fmt.Errorf("element type %q does not say which type of %d bytes it is; name the type to read it", descr, it.size)
	}
	if d == Undefined || d == it.dtype {
		return it, nil
	}
	size := d.Size()
	if d.IsPacked() {
		size = 1
	}
	odd := d.IsPacked() || d.IsFloat() && size <= 2 // what NumPy has no letter for; float16 as bits too
	if odd && size == it.size && (it.kind == 'V' || it.kind == 'u' || it.kind == 'i' && d.IsSigned()) {
		it.dtype = d
		return it, nil
	}
	return it, fmt.Errorf("element type %q, want %v", descr, d)
}

// tensor returns the tensor of the elements in data, which it takes over.
func (it npyItem) tensor(shape []int, n int, data []byte) (*Tensor, error) {
	if it.dtype == String {
		t := New(String, shape...)
		for i := range n {
			s, err := it.text(data[i*it.size : (i+1)*it.size])
			if err != nil {
				return nil, fmt.Errorf("element %d: %w", i, err)
			}
			t.str[i] = s
		}
		return t, nil
	}
	if it.dtype.IsPacked() {
		return Pack(it.dtype, Of(data, shape...))
	}
	return FromBytes(it.dtype, shape, data, nil)
}

// text returns the string in an element of a <U or |S array.
func (it npyItem) text(b []byte) (string, error) {
	if it.kind == 'S' {
		return string(bytes.TrimRight(b, "\x00")), nil
	}
	var s strings.Builder
	zeros := 0
	for ; len(b) > 0; b = b[4:] {
		c := binary.NativeEndian.Uint32(b)
		if c == 0 {
			zeros++
			continue
		}
		if c > utf8.MaxRune || !utf8.ValidRune(rune(c)) {
			return "", fmt.Errorf("character %#x", c)
		}
		for ; zeros > 0; zeros-- { // zeros inside belong to the string
			s.WriteByte(0)
		}
		s.WriteRune(rune(c))
	}
	return s.String(), nil
}

// swapBytes reverses each group of word bytes.
func swapBytes(b []byte, word int) {
	for ; len(b) >= word && word > 1; b = b[word:] {
		for i, j := 0, word-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
	}
}

// fromFortran returns the elements of an array in column-major order in row-major order.
func fromFortran(src []byte, shape []int, size int) []byte {
	dst := AlignedBytes(len(src))
	if len(src) == 0 {
		return dst
	}
	rank := len(shape)
	strides := make([]int, rank) // of src, in bytes
	for i, n := 0, size; i < rank; i++ {
		strides[i] = n
		n *= shape[i]
	}
	at := make([]int, rank)
	from, inner, step := 0, shape[rank-1], strides[rank-1]
	for to := 0; to < len(dst); {
		for k := range inner {
			copy(dst[to:to+size], src[from+k*step:])
			to += size
		}
		for i := rank - 2; i >= 0; i-- {
			at[i]++
			from += strides[i]
			if at[i] < shape[i] {
				break
			}
			from -= at[i] * strides[i]
			at[i] = 0
		}
	}
	return dst
}

// WriteNPY writes t in NumPy's .npy format, version 1. Types that NumPy lacks
// are written as ml_dtypes' are, "V1" or "V2", packed types with a byte per
// element. Strings are written as <U, or as |S if one of them is not UTF-8; a
// string with zeros at its end, which the format would lose, is an error.
func WriteNPY(w io.Writer, t *Tensor) error {
	order := "<"
	if !nativeLittle {
		order = ">"
	}
	item, descr := t.dtype.Size(), ""
	for name, d := range npyNames {
		if d == t.dtype {
			if descr = order + name; item == 1 {
				descr = "|" + name
			}
		}
	}
	asBytes := false
	switch {
	case t.dtype == String:
		var err error
		if item, asBytes, err = stringItem(t.str); err != nil {
			return fmt.Errorf("npy: %w", err)
		}
		if descr = fmt.Sprintf("%sU%d", order, item); asBytes {
			descr = fmt.Sprintf("|S%d", item)
		}
	case t.dtype.IsPacked():
		descr = "|V1"
	case descr == "":
		if descr = fmt.Sprintf("%sV%d", order, item); item == 1 {
			descr = "|V1"
		}
	}
	if err := writeNPYHeader(w, descr, t.shape); err != nil {
		return err
	}
	if t.dtype != String {
		data := t.data
		if t.dtype.IsPacked() {
			data = Unpack(t).data
		}
		_, err := w.Write(data)
		return err
	}
	out := bufio.NewWriter(w)
	unit := 4
	if asBytes {
		unit = 1
	}
	for _, s := range t.str {
		n := 0
		if asBytes {
			n = len(s)
			out.WriteString(s)
		} else {
			for _, c := range s {
				out.Write(binary.NativeEndian.AppendUint32(out.AvailableBuffer(), uint32(c)))
				n++
			}
		}
		for n = (item - n) * unit; n > 0; n-- {
			out.WriteByte(0)
		}
	}
	return out.Flush() // reports what earlier writes met
}

// stringItem returns the length of the longest string, in bytes if asBytes is
// set, else in characters.
func stringItem(ss []string) (n int, asBytes bool, err error) {
	n = 1
	runes := 1
	for i, s := range ss {
		if strings.HasSuffix(s, "\x00") {
			return 0, false, fmt.Errorf("element %d, %q, ends in a zero byte", i, s)
		}
		n, runes = max(n, len(s)), max(runes, utf8.RuneCountInString(s))
		asBytes = asBytes || !utf8.ValidString(s)
	}
	if !asBytes {
		n = runes
	}
	return n, asBytes, nil
}

func writeNPYHeader(w io.Writer, descr string, shape []int) error {
	var dims strings.Builder
	for i, d := range shape {
		if i > 0 {
			dims.WriteByte(' ')
		}
		fmt.Fprintf(&dims, "%d,", d)
	}
	text := dims.String()
	if len(shape) > 1 {
		text = strings.TrimSuffix(text, ",")
	}
	h := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, text)
	const prefix = len(npyMagic) + 4
	h += strings.Repeat(" ", 63-(prefix+len(h))%64) + "\n"
	if len(h) > math.MaxUint16 {
		return fmt.Errorf("npy: a shape of %d dimensions", len(shape))
	}
	b := append([]byte(npyMagic), 1, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(h)))
	_, err := w.Write(append(b, h...))
	return err
}
