package tensor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func openNPY(t *testing.T, name string) io.Reader {
	b, err := os.ReadFile("testdata/npy/" + name + ".npy")
	require.NoError(t, err)
	return bytes.NewReader(b)
}

// The numbers 0 to 23, [2 3 4], in the type.
func count24(t *testing.T, d DType) *Tensor {
	out := New(d, 2, 3, 4)
	for i := range out.n {
		switch d {
		case Bool:
			Data[bool](out)[i] = i != 0
		case Complex64:
			Data[complex64](out)[i] = complex(float32(i), 0)
		case Complex128:
			Data[complex128](out)[i] = complex(float64(i), 0)
		case Int8, Uint8:
			out.data[i] = byte(i)
		case Int16:
			Data[int16](out)[i] = int16(i)
		case Uint16:
			Data[uint16](out)[i] = uint16(i)
		case Int32:
			Data[int32](out)[i] = int32(i)
		case Uint32:
			Data[uint32](out)[i] = uint32(i)
		case Int64:
			Data[int64](out)[i] = int64(i)
		case Uint64:
			Data[uint64](out)[i] = uint64(i)
		default:
			NarrowFrom(out, i, []float32{float32(i)})
		}
	}
	return out
}

func TestReadNPY(t *testing.T) {
	for name, d := range npyNames {
		for _, order := range []string{"le_", "be_"} {
			if order == "be_" && d.Size() == 1 {
				continue
			}
			got, err := ReadNPY(openNPY(t, order+name), 1<<20)
			require.NoError(t, err, name)
			require.NoError(t, Compare(got, count24(t, d), Tolerance{}), name)
		}
	}
	for _, name := range []string{"fortran", "version2", "version3"} {
		got, err := ReadNPY(openNPY(t, name), 0)
		require.NoError(t, err, name)
		require.NoError(t, Compare(got, count24(t, Float32), Tolerance{}), name)
	}
	texts := Of([]string{"a", "bcd", "", "€😀"}, 2, 2)
	for name, want := range map[string]*Tensor{"scalar": Scalar[float32](2.5), "empty": New(Float32, 0, 3),
		"le_U": texts, "be_U": texts, "S": Of([]string{"a", "xyz"})} {
		got, err := ReadNPY(openNPY(t, name), 1<<20)
		require.NoError(t, err, name)
		require.NoError(t, Compare(got, want, Tolerance{}), name)
	}
	// The same from a file, a part of one and readers that do not know their length.
	f, err := os.Open("testdata/npy/le_f8.npy")
	require.NoError(t, err)
	defer f.Close()
	for _, r := range []io.Reader{f, io.NewSectionReader(f, 0, 128+192), iotest.OneByteReader(openNPY(t, "le_f8"))} {
		got, err := ReadNPY(r, 0)
		require.NoError(t, err)
		require.NoError(t, Compare(got, count24(t, Float64), Tolerance{}))
	}
	big := New(Float64, 20000)
	var buf bytes.Buffer
	require.NoError(t, WriteNPY(&buf, big))
	got, err := ReadNPY(iotest.HalfReader(bytes.NewReader(buf.Bytes())), 0)
	require.NoError(t, err)
	require.NoError(t, Compare(got, big, Tolerance{}))
	_, err = ReadNPY(iotest.HalfReader(bytes.NewReader(buf.Bytes()[:100000])), 0)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = ReadNPY(bytes.NewReader(buf.Bytes()), 1000)
	require.ErrorIs(t, err, ErrLimit)
}

func TestReadNPYAs(t *testing.T) {
	for name, d := range map[string]DType{"bfloat16": BFloat16, "float8_e4m3fn": Float8E4M3FN, "int4": Int4, "uint4": Uint4,
		"float4_e2m1fn": Float4E2M1, "int2": Int2} {
		_, err := ReadNPY(openNPY(t, "ml_"+name), 0)
		require.ErrorContains(t, err, "name the type", name)
		got, err := ReadNPYAs(openNPY(t, "ml_"+name), 0, d)
		require.NoError(t, err, name)
		require.Equal(t, d, got.DType())
		v, err := Float64s(got)
		require.NoError(t, err)
		require.Equal(t, []float64{0, 1, 1}, v)
	}
	got, err := ReadNPYAs(openNPY(t, "le_u2"), 0, BFloat16)
	require.NoError(t, err)
	require.Equal(t, BFloat16, got.DType())
	_, err = ReadNPYAs(openNPY(t, "le_f4"), 0, Float32)
	require.NoError(t, err)
	_, err = ReadNPYAs(openNPY(t, "le_f4"), 0, Float64)
	require.ErrorContains(t, err, `npy: element type "<f4", want float64`)
	_, err = ReadNPYAs(openNPY(t, "ml_bfloat16"), 0, Float8E5M2)
	require.Error(t, err)
}

func npyBytes(version byte, header, data string) []byte {
	b := []byte(npyMagic + string([]byte{version, 0, byte(len(header)), byte(len(header) >> 8)}))
	if version > 1 {
		b = append(b, 0, 0)
	}
	return append(b, header+data...)
}

func TestReadNPYErrors(t *testing.T) {
	dict := func(descr, shape string) string {
		return fmt.Sprintf("{'descr': %s, 'fortran_order': False, 'shape': %s}", descr, shape)
	}
	for _, c := range []struct {
		in  []byte
		err string
	}{
		{nil, "header: EOF"},
		{[]byte("PK\x03\x04 something else"), "header begins with"},
		{npyBytes(9, "", ""), "version 9.0, want 1 to 3"},
		{[]byte(npyMagic + "\x02\x00\xff\xff\xff\xff"), "want at most 1048576"},
		{[]byte(npyMagic + "\x02\x00\xff"), "header"},
		{[]byte(npyMagic + "\x02\x00\x01\x00\x01"), "header"},
		{[]byte(npyMagic + "\x01\x00\xff\xffabc"), "header: 3 bytes are left"},
		{npyBytes(1, dict("'<f4'", "(3,)"), "abc"), "3 bytes are left, want 12"},
		{npyBytes(1, dict("'<f4'", "(2000000000, 2000000000, 9)"), ""), "impossible size"},
		{npyBytes(1, dict("'<f4'", "(9223372036854775807,9)"), ""), "overflows"},
		{npyBytes(1, dict("'<f4'", "(99999999999999999999,)"), ""), "overflows"},
		{npyBytes(1, dict("'<f4'", "(-1,)"), ""), "want a dimension"},
		{npyBytes(1, dict("'<f4'", "3"), ""), `"3}", want "("`},
		{npyBytes(1, dict("'<f4'", "(1;"), ""), `want ")"`},
		{npyBytes(1, dict("'<f4'", "("+strings.Repeat("1,", 65)+")"), ""), "more than 64 dimensions"},
		{npyBytes(1, dict("'<U0'", "(9999999,)"), ""), "impossible size"},
		{npyBytes(1, dict("'<U1'", "(1,)"), "\x00\xd8\x00\x00"), "element 0: character 0xd800"},
		{npyBytes(1, dict("'<Ux'", "(1,)"), ""), `element type "<Ux"`},
		{npyBytes(1, dict("'<f16'", "(1,)"), ""), `element type "<f16", want`},
		{npyBytes(1, dict("'|O'", "(1,)"), ""), "Python objects"},
		{npyBytes(1, dict("''", "(1,)"), ""), "element type"},
		{npyBytes(1, dict("[('x', '<f4')]", "(1,)"), ""), "array of records"},
		{npyBytes(1, dict("f4", "(1,)"), ""), "want a string"},
		{npyBytes(1, dict(`'\x3cf4'`, "(1,)"), ""), "escape"},
		{npyBytes(1, "{'descr", ""), "a string without end"},
		{npyBytes(1, "{'descr' '", ""), `want ":"`},
		{npyBytes(1, "{'descr': '<f4'}", ""), `no key "fortran_order"`},
		{npyBytes(1, "{'descr': '<f4', 'descr': '<f4'}", ""), `key "descr" twice`},
		{npyBytes(1, "{'x': 1}", ""), `key "x"`},
		{npyBytes(1, "{'fortran_order': 0}", ""), `want "False"`},
		{npyBytes(1, "x", ""), `want "{"`},
		{npyBytes(1, "{'descr': '<f4' x", ""), `want "}"`},
		{npyBytes(1, dict("'<f4'", "(1,)")+"x", ""), "text after the dictionary"},
	} {
		_, err := ReadNPY(bytes.NewReader(c.in), 1<<30)
		require.ErrorContains(t, err, c.err, "%q", c.in)
	}
	for _, name := range []string{"record", "object"} {
		_, err := ReadNPY(openNPY(t, name), 0)
		require.Error(t, err, name)
	}
	got, err := ReadNPY(bytes.NewReader(npyBytes(1, `{"shape":(1L,), 'fortran_order':False,"descr":"|?",} `+"\n", "\x07")), 0)
	require.NoError(t, err)
	require.NoError(t, Compare(got, Of([]bool{true}), Tolerance{}))
	require.Equal(t, byte(1), got.Bytes()[0])
}

func TestWriteNPY(t *testing.T) {
	for d := DType(1); d < NumDTypes; d++ {
		in := New(d, 2, 3)
		switch {
		case d == String:
			copy(in.str, []string{"a", "", "€", "x\x00y"})
		case d.IsPacked():
			in.SetPackedCode(4, 3)
		default:
			in.data[d.Size()] = 1
		}
		var buf bytes.Buffer
		require.NoError(t, WriteNPY(&buf, in), "%v", d)
		as := Undefined
		if bytes.Contains(buf.Bytes(), []byte("V")) {
			as = d
		}
		got, err := ReadNPYAs(&buf, 1<<20, as)
		require.NoError(t, err, "%v", d)
		require.NoError(t, Compare(got, in, Tolerance{}), "%v", d)
	}
	// Byte for byte as NumPy has it.
	for _, name := range []string{"le_f4", "le_i8", "le_u1", "le_b1", "le_c16", "scalar", "empty", "S", "le_U"} {
		want, err := os.ReadFile("testdata/npy/" + name + ".npy")
		require.NoError(t, err)
		v, err := ReadNPY(bytes.NewReader(want), 0)
		require.NoError(t, err)
		if name == "S" {
			continue
		}
		var buf bytes.Buffer
		require.NoError(t, WriteNPY(&buf, v))
		require.Equal(t, string(want), buf.String(), name)
	}
	raw := Of([]string{"\xff", "ab"})
	var buf bytes.Buffer
	require.NoError(t, WriteNPY(&buf, raw))
	got, err := ReadNPY(&buf, 0)
	require.NoError(t, err)
	require.NoError(t, Compare(got, raw, Tolerance{}))
	require.ErrorContains(t, WriteNPY(&buf, Of([]string{"a\x00"})), "ends in a zero byte")
	require.ErrorContains(t, WriteNPY(&buf, New(Float32, make([]int, 40000)...)), "40000 dimensions")
	require.ErrorIs(t, WriteNPY(failing{}, raw), io.ErrShortWrite)
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestNPZ(t *testing.T) {
	for _, name := range []string{"plain", "deflated"} {
		b, err := os.ReadFile("testdata/npy/" + name + ".npz")
		require.NoError(t, err)
		got, err := ReadNPZ(bytes.NewReader(b), int64(len(b)), 1000)
		require.NoError(t, err)
		require.Len(t, got, 2)
		require.Equal(t, "x", got[0].Name)
		require.NoError(t, Compare(got[0].Tensor, count24(t, Float32), Tolerance{}))
		require.Equal(t, "y", got[1].Name)
		require.NoError(t, Compare(got[1].Tensor, Scalar[int64](3), Tolerance{}))
		for _, limit := range []int64{95, 96, 99} {
			_, err = ReadNPZ(bytes.NewReader(b), int64(len(b)), limit)
			require.ErrorIs(t, err, ErrLimit)
		}
		var buf bytes.Buffer
		require.NoError(t, WriteNPZ(&buf, got))
		again, err := ReadNPZ(bytes.NewReader(buf.Bytes()), int64(buf.Len()), 0)
		require.NoError(t, err)
		require.Equal(t, len(got), len(again))
		require.NoError(t, Compare(again[0].Tensor, got[0].Tensor, Tolerance{}))
	}
	_, err := ReadNPZ(strings.NewReader("no zip"), 6, 0)
	require.ErrorContains(t, err, "npz: ")
	one := Scalar[int8](1)
	require.ErrorContains(t, WriteNPZ(io.Discard, []Named{{"a", one}, {"a", one}}), `array "a" twice`)
	require.ErrorContains(t, WriteNPZ(io.Discard, []Named{{"a", Of([]string{"\x00"})}}), `npz: array "a"`)
	var buf bytes.Buffer
	require.NoError(t, WriteNPZ(&buf, []Named{{"s", Of([]string{"abc"})}, {"t", one}}))
	_, err = ReadNPZ(bytes.NewReader(buf.Bytes()), int64(buf.Len()), 1000)
	require.NoError(t, err)
}

func FuzzNPY(f *testing.F) {
	paths, err := filepath.Glob("testdata/npy/*.npy")
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint8(0))
		f.Add(b, uint8(BFloat16))
		f.Add(b, uint8(Int4))
	}
	f.Fuzz(func(t *testing.T, b []byte, as uint8) {
		v, err := ReadNPYAs(bytes.NewReader(b), 1<<16, DType(as%NumDTypes))
		if err != nil {
			return
		}
		var buf bytes.Buffer
		if err := WriteNPY(&buf, v); err != nil {
			t.Fatal(err)
		}
		d := Undefined
		if v.DType().Unpacked() != v.DType() || v.DType().IsFloat() && v.DType().Size() <= 2 && v.DType() != Float16 {
			d = v.DType()
		}
		again, err := ReadNPYAs(&buf, 0, d)
		if err != nil {
			t.Fatal(err)
		}
		if err := Compare(again, v, Tolerance{Abs: math.SmallestNonzeroFloat64}); err != nil {
			t.Fatal(err)
		}
		v.Format(10)
	})
}

func TestMapFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weights")
	page := os.Getpagesize()
	want := bytes.Repeat([]byte("gneiss"), page)
	require.NoError(t, os.WriteFile(path, want, 0o600))
	m, err := MapFile(path)
	require.NoError(t, err)
	require.Equal(t, want, m.Bytes())
	require.NoError(t, m.Release(1, 3*page))
	require.NoError(t, m.Release(1, 1))
	require.Equal(t, want, m.Bytes())
	for _, r := range [][2]int{{-1, 1}, {0, len(want) + 1}, {1, math.MaxInt}, {len(want) + 1, 0}, {0, -1}} {
		require.Error(t, m.Release(r[0], r[1]))
	}
	x, err := FromBytes(Uint8, []int{len(want)}, m.Bytes(), m)
	require.NoError(t, err)
	require.Equal(t, uint64('g'), x.At(0))
	require.NoError(t, m.Close())
	require.NoError(t, m.Close())
	require.Nil(t, m.Bytes())

	_, err = MapFile(filepath.Join(t.TempDir(), "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = MapFile(t.TempDir())
	require.Error(t, err)
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	m, err = MapFile(empty)
	require.NoError(t, err)
	require.Empty(t, m.Bytes())
	require.NoError(t, m.Release(0, 0))
	require.NoError(t, m.Close())
}

func TestGuard(t *testing.T) {
	require.NoError(t, Guard(func() error { return nil }))
	wrong := errors.New("wrong")
	require.Equal(t, wrong, Guard(func() error { return wrong }))
	require.PanicsWithValue(t, "bug", func() { _ = Guard(func() error { panic("bug") }) })
}
