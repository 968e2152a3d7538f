package jpeg

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// exifOf returns a JPEG file's beginning with a segment of Exif data.
func exifOf(order binary.AppendByteOrder, tag, typ uint16, count, value uint32) []byte {
	b := []byte("Exif\x00\x00II*\x00")
	if order == binary.BigEndian {
		b = []byte("Exif\x00\x00MM\x00*")
	}
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 2)
	entry := func(tag, typ uint16, count, value uint32) {
		b = order.AppendUint32(order.AppendUint16(order.AppendUint16(b, tag), typ), count)
		switch typ {
		case 3:
			b = order.AppendUint16(order.AppendUint16(b, uint16(value)), 0)
		case 1:
			b = append(b, byte(value), 0, 0, 0)
		default:
			b = order.AppendUint32(b, value)
		}
	}
	entry(0x010f, 2, 1, 0)
	entry(tag, typ, count, value)
	b = order.AppendUint32(b, 0)
	head := binary.BigEndian.AppendUint16([]byte{0xff, markSOI, 0xff, markAPP0, 0, 4, 1, 2, 0xff, 0xff, markAPP1}, uint16(len(b)+2))
	return append(append(head, b...), 0xff, markSOS, 0, 2)
}

func TestOrientation(t *testing.T) {
	for o := range uint32(10) {
		want := 1
		if o >= 1 && o <= 8 {
			want = int(o)
		}
		for _, typ := range []uint16{1, 3, 4} {
			require.Equal(t, want, Orientation(exifOf(binary.LittleEndian, 0x112, typ, 1, o)))
			require.Equal(t, want, Orientation(exifOf(binary.BigEndian, 0x112, typ, 1, o)))
		}
	}
	require.Equal(t, 1, Orientation(exifOf(binary.BigEndian, 0x113, 3, 1, 6)), "another tag")
	require.Equal(t, 1, Orientation(exifOf(binary.BigEndian, 0x112, 5, 1, 6)), "a fraction")
	require.Equal(t, 1, Orientation(exifOf(binary.BigEndian, 0x112, 3, 2, 6)), "two values")

	whole := exifOf(binary.LittleEndian, 0x112, 3, 1, 6)
	at := bytes.Index(whole, []byte("II*\x00"))
	for i := range whole { // cut anywhere, it is read or says nothing
		o := Orientation(whole[:i])
		require.True(t, o == 1 || i >= len(whole)-4 && o == 6, i)
	}
	for _, offset := range []uint32{0, 7, 1 << 15, 1<<32 - 1} {
		b := bytes.Clone(whole)
		binary.LittleEndian.PutUint32(b[at+4:], offset)
		require.Equal(t, 1, Orientation(b), offset)
	}
	require.Equal(t, 1, Orientation(nil))
	require.Equal(t, 1, Orientation([]byte("GIF89a, which is no JPEG")))
	require.Equal(t, 1, Orientation(append([]byte{0xff, markSOI, 0xff, markSOS, 0, 2}, whole[2:]...)), "behind the scan")
}

func FuzzOrientation(f *testing.F) {
	f.Add(exifOf(binary.LittleEndian, 0x112, 3, 1, 6))
	f.Add(exifOf(binary.BigEndian, 0x112, 4, 1, 8))
	f.Fuzz(func(t *testing.T, b []byte) {
		if o := Orientation(b); o < 1 || o > 8 {
			t.Fatal(o)
		}
	})
}
