package train

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Events writes scalars to an event file, which TensorBoard shows.
//
// Format: records of length, masked CRC-32C of it, an Event message
// (https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/event.proto)
// and its masked CRC-32C.
type Events struct {
	f *os.File
}

// NewEvents makes an event file in dir.
func NewEvents(dir string) (*Events, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("train: events: %w", err)
	}
	now := time.Now()
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	f, err := os.Create(filepath.Join(dir, fmt.Sprintf("events.out.tfevents.%d.%s.%d", now.Unix(), host, os.Getpid())))
	if err != nil {
		return nil, fmt.Errorf("train: events: %w", err)
	}
	e := &Events{f}
	version := protowire.AppendString(protowire.AppendTag(event(now, 0), 3, protowire.BytesType), "brain.Event:2")
	if err := e.record(version); err != nil {
		f.Close()
		return nil, err
	}
	return e, nil
}

// event begins an Event message.
func event(at time.Time, step int) []byte {
	b := protowire.AppendTag(nil, 1, protowire.Fixed64Type)
	b = protowire.AppendFixed64(b, math.Float64bits(float64(at.UnixNano())/1e9))
	b = protowire.AppendTag(b, 2, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(step))
}

func (e *Events) record(data []byte) error {
	masked := func(b []byte) uint32 {
		c := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
		return (c>>15 | c<<17) + 0xa282ead8
	}
	n := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	b := binary.LittleEndian.AppendUint32(n, masked(n))
	b = binary.LittleEndian.AppendUint32(append(b, data...), masked(data))
	if _, err := e.f.Write(b); err != nil {
		return fmt.Errorf("train: events: %w", err)
	}
	return nil
}

// Scalars writes values of one step by tag.
func (e *Events) Scalars(step int, values map[string]float64) error {
	var summary []byte
	for _, tag := range slices.Sorted(maps.Keys(values)) {
		v := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), tag)
		v = protowire.AppendFixed32(protowire.AppendTag(v, 2, protowire.Fixed32Type), math.Float32bits(float32(values[tag])))
		summary = protowire.AppendBytes(protowire.AppendTag(summary, 1, protowire.BytesType), v)
	}
	return e.record(protowire.AppendBytes(protowire.AppendTag(event(time.Now(), step), 5, protowire.BytesType), summary))
}

// Epoch writes the record of an epoch, at a number of updates.
func (e *Events) Epoch(step int, r Epoch) error {
	values := map[string]float64{"loss/train": r.TrainLoss, "learning_rate": r.Rate, "seconds": r.Seconds}
	if r.ValidationLoss != nil {
		values["loss/validation"] = *r.ValidationLoss
	}
	for name, v := range r.Metrics {
		values["metrics/"+name] = v
	}
	return e.Scalars(step, values)
}

// Close closes the file.
func (e *Events) Close() error { return e.f.Close() }
