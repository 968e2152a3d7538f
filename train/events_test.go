package train

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

func TestEvents(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	e, err := NewEvents(dir)
	require.NoError(t, err)
	loss := 0.25
	require.NoError(t, e.Epoch(12, Epoch{TrainLoss: 0.5, ValidationLoss: &loss, Metrics: map[string]float64{"accuracy": 0.75}, Rate: 0.125}))
	require.NoError(t, e.Close())
	files, err := filepath.Glob(filepath.Join(dir, "events.out.tfevents.*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	b, err := os.ReadFile(files[0])
	require.NoError(t, err)
	unmask := func(c uint32) uint32 { c -= 0xa282ead8; return c>>17 | c<<15 }
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	var records [][]byte
	for len(b) > 0 {
		n := binary.LittleEndian.Uint64(b)
		require.Equal(t, crc32.Checksum(b[:8], castagnoli), unmask(binary.LittleEndian.Uint32(b[8:])))
		data := b[12 : 12+n]
		require.Equal(t, crc32.Checksum(data, castagnoli), unmask(binary.LittleEndian.Uint32(b[12+n:])))
		records, b = append(records, data), b[16+n:]
	}
	require.Len(t, records, 2)
	require.Contains(t, string(records[0]), "brain.Event:2")
	got := map[string]float32{}
	field := func(b []byte, want protowire.Number, f func(typ protowire.Type, v []byte)) {
		for len(b) > 0 {
			num, typ, n := protowire.ConsumeTag(b)
			require.Positive(t, n)
			b = b[n:]
			n = protowire.ConsumeFieldValue(num, typ, b)
			require.Positive(t, n)
			if num == want {
				f(typ, b[:n])
			}
			b = b[n:]
		}
	}
	inner := func(v []byte) []byte {
		x, n := protowire.ConsumeBytes(v)
		require.Positive(t, n)
		return x
	}
	field(records[1], 2, func(_ protowire.Type, v []byte) { require.Equal(t, byte(12), v[0]) })
	field(records[1], 5, func(_ protowire.Type, v []byte) {
		field(inner(v), 1, func(_ protowire.Type, v []byte) {
			var tag string
			field(inner(v), 1, func(_ protowire.Type, v []byte) { tag = string(inner(v)) })
			field(inner(v), 2, func(_ protowire.Type, v []byte) { got[tag] = math.Float32frombits(binary.LittleEndian.Uint32(v)) })
		})
	})
	require.Equal(t, map[string]float32{"loss/train": 0.5, "loss/validation": 0.25, "metrics/accuracy": 0.75, "learning_rate": 0.125, "seconds": 0}, got)
}
