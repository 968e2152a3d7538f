package runtime

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"

	"github.com/gneiss-run/gneiss/internal/atomicfile"
	"github.com/gneiss-run/gneiss/internal/kernels/frozen"
	"github.com/gneiss-run/gneiss/tensor"
)

// packFile is a file of packed weights, see Options.PackFile:
//
//	magic, length of the index (uint64), its CRC-32C (uint32)
//	index: JSON
//	blocks, each at a multiple of 64 bytes, as the machine has numbers
//
// An entry is found by the content of what was packed, so another model's file, or that of the same
// model before it was changed, gives nothing wrong.
type packFile struct {
	path    string
	mapping *tensor.Mapping // nil: there was no file that could be used
	old     map[string]packRecord
	kinds   map[string]bool // what packKind says of those in old

	mu    sync.Mutex
	used  map[string]frozen.Form // by key: what this session has packed or found
	fresh bool                   // something in used is not in the file
}

// packRecord is an entry of the index.
type packRecord struct {
	Key    string
	Kind   string
	Header []int
	Blocks [][2]int // offset, length
}

const (
	packAlign = 64
	packHead  = len(packMagic) + 12
)

// packMagic tells the version of this layout; what the blocks hold depends on the architecture.
const packMagic = "gneiss packed weights 1\n"

type packIndex struct {
	Arch    string
	Format  int
	Size    int // of the file
	Records []packRecord
}

// openPackFile reads the index of the file at path. One that cannot be used counts as empty; err says why.
func openPackFile(path string) (f *packFile, err error) {
	f = &packFile{path: path, old: map[string]packRecord{}, kinds: map[string]bool{}, used: map[string]frozen.Form{}}
	m, err := tensor.MapFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return f, err
	}
	x, err := readPackIndex(m.Bytes())
	if err != nil {
		_ = m.Close() // of no interest beside err
		return f, fmt.Errorf("%s: %w", path, err)
	}
	f.mapping = m
	for _, r := range x.Records {
		f.old[r.Key] = r
		_, kind, _ := strings.Cut(r.Key, " ")
		f.kinds[kind] = true
	}
	return f, nil
}

func readPackIndex(b []byte) (x packIndex, err error) {
	if len(b) < packHead || string(b[:len(packMagic)]) != packMagic {
		return x, errors.New("not a file of packed weights, or of another version")
	}
	n, sum := binary.LittleEndian.Uint64(b[len(packMagic):]), binary.LittleEndian.Uint32(b[len(packMagic)+8:])
	if n > uint64(len(b)-packHead) {
		return x, fmt.Errorf("the index has %d bytes, the file %d", n, len(b))
	}
	text := b[packHead:][:n]
	if crc32.Checksum(text, castagnoli) != sum {
		return x, errors.New("the index is damaged")
	}
	if err := json.Unmarshal(text, &x); err != nil {
		return x, err
	}
	if x.Arch != goruntime.GOARCH || x.Format != frozen.Format {
		return x, fmt.Errorf("packed for %s in format %d, want %s in %d", x.Arch, x.Format, goruntime.GOARCH, frozen.Format)
	}
	if x.Size != len(b) {
		return x, fmt.Errorf("%d bytes, want %d", len(b), x.Size)
	}
	for _, r := range x.Records {
		for _, k := range r.Blocks {
			if k[0] < 0 || k[1] < 0 || k[0] > len(b) || k[1] > len(b)-k[0] {
				return x, fmt.Errorf("a block at %d of %d bytes, the file has %d", k[0], k[1], len(b))
			}
		}
	}
	return x, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// packKeyOf names the packed form of t: two checksums of its content, which processors compute as fast as
// they read, and what packKind says.
func packKeyOf(t *tensor.Tensor, layout string) string {
	b := t.Bytes()
	return fmt.Sprintf("%08x%08x %s", crc32.Checksum(b, castagnoli), crc32.ChecksumIEEE(b), packKind(t, layout))
}

// packKind is the type and shape of t and the layout.
func packKind(t *tensor.Tensor, layout string) string {
	return fmt.Sprintf("%v%v %s", t.DType(), t.Shape(), layout)
}

// get returns the packed form of t, from the file if it is there.
func (f *packFile) get(t *tensor.Tensor, layout string, pack func() (any, error)) (any, error) {
	if len(t.Bytes()) < minKept {
		return pack()
	}
	key := ""
	if f.kinds[packKind(t, layout)] { // else it is not there, whatever the content
		key = packKeyOf(t, layout)
	}
	if r, ok := f.old[key]; ok {
		form := frozen.Form{Kind: r.Kind, Header: r.Header}
		for _, k := range r.Blocks {
			form.Blocks = append(form.Blocks, f.mapping.Bytes()[k[0]:][:k[1]:k[1]])
		}
		if v, err := form.Thaw(); err == nil {
			f.keep(key, form, false)
			return v, nil
		}
	}
	v, err := pack()
	if err != nil {
		return nil, err
	}
	if z, ok := v.(frozen.Freezer); ok {
		if form, ok := z.Freeze(); ok {
			if key == "" {
				key = packKeyOf(t, layout)
			}
			f.keep(key, form, true)
		}
	}
	return v, nil
}

// minKept is the size from which on weights are kept: smaller ones are packed sooner than looked up.
const minKept = 1 << 14

func (f *packFile) keep(key string, form frozen.Form, fresh bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used[key] = form
	f.fresh = f.fresh || fresh
}

// save writes the file anew if something was packed that it lacks.
func (f *packFile) save() error {
	if !f.fresh {
		return nil
	}
	x := packIndex{Arch: goruntime.GOARCH, Format: frozen.Format}
	keys := make([]string, 0, len(f.used))
	for k := range f.used {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	numbers := 1
	place := func(from int) int { // offsets behind an index that ends at from
		at := from
		x.Records, numbers = x.Records[:0], 1
		for _, key := range keys {
			form := f.used[key]
			r := packRecord{Key: key, Kind: form.Kind, Header: form.Header}
			for _, b := range form.Blocks {
				at = (at + packAlign - 1) / packAlign * packAlign
				r.Blocks = append(r.Blocks, [2]int{at, len(b)})
				at += len(b)
				numbers++
			}
			x.Records = append(x.Records, r)
		}
		return at
	}
	// The offsets are in the index, whose length they depend on: room for all their digits.
	x.Size = place(packHead)
	text, err := json.Marshal(x)
	if err != nil {
		return err
	}
	room := len(text) + 20*numbers
	x.Size = place(packHead + room)
	if text, err = json.Marshal(x); err != nil {
		return err
	}
	text = append(text, slices.Repeat([]byte(" "), room-len(text))...)
	return atomicfile.Write(f.path, func(w io.Writer) error {
		head := append([]byte(packMagic), make([]byte, 12)...)
		binary.LittleEndian.PutUint64(head[len(packMagic):], uint64(room))
		binary.LittleEndian.PutUint32(head[len(packMagic)+8:], crc32.Checksum(text, castagnoli))
		if _, err := w.Write(append(head, text...)); err != nil {
			return err
		}
		at := packHead + room
		for i, key := range keys {
			for j, b := range f.used[key].Blocks {
				off := x.Records[i].Blocks[j][0]
				if _, err := w.Write(make([]byte, off-at)); err != nil {
					return err
				}
				if _, err := w.Write(b); err != nil {
					return err
				}
				at = off + len(b)
			}
		}
		return nil
	})
}
