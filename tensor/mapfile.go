package tensor

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"sync"
)

// ErrFault is wrapped by what Guard returns when memory could not be read.
var ErrFault = errors.New("tensor: a mapped file could not be read; it was cut short or its disk failed")

// Mapping is a file mapped to memory, or read where the system cannot map.
// Tensors over its bytes name it as owner in FromBytes.
type Mapping struct {
	mu   sync.Mutex
	data []byte
	free func([]byte) error // nil if data is ordinary memory
}

// MapFile maps a regular file for reading. Access to bytes that somebody cut off
// the file since is a fault: see Guard. The caller calls Close when no slice or
// tensor over the bytes is used any more.
func MapFile(path string) (*Mapping, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: no regular file", path)
	}
	if info.Size() > math.MaxInt {
		return nil, fmt.Errorf("%s: %w: %d bytes", path, ErrSize, info.Size())
	}
	if info.Size() == 0 {
		return &Mapping{}, nil
	}
	m, err := mapFile(f, int(info.Size()))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// Bytes returns the contents of the file, not to be written; nil after Close.
func (m *Mapping) Bytes() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data
}

// Close unmaps the file. Reading its bytes afterwards is a fault. A second
// Close does nothing.
func (m *Mapping) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	data := m.data
	m.data = nil
	if data == nil || m.free == nil {
		return nil
	}
	return m.free(data)
}

// Release tells the system that bytes [off, off+n) will not be needed soon:
// whole pages among them leave memory and are read from the file again when
// they are touched. Where the system has no such call it does nothing.
func (m *Mapping) Release(off, n int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if off < 0 || n < 0 || off > len(m.data) || n > len(m.data)-off {
		return fmt.Errorf("tensor: release of %d bytes at %d of a mapping of %d", n, off, len(m.data))
	}
	page := os.Getpagesize()
	start, end := (off+page-1)/page*page, (off+n)/page*page
	if m.free == nil || start >= end {
		return nil
	}
	return releasePages(m.data[start:end])
}

// Guard calls f and turns a memory fault in it into an error that wraps
// ErrFault, where Go would otherwise end the process. It covers the calling
// goroutine only: others that read mapped bytes have a Guard of their own.
func Guard(f func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		switch r := recover().(type) {
		case nil:
		case interface {
			error
			Addr() uintptr
		}:
			err = fmt.Errorf("%w (address %#x)", ErrFault, r.Addr())
		default:
			panic(r)
		}
	}()
	return f()
}
