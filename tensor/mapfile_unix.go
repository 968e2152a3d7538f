//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package tensor

import (
	"os"

	"golang.org/x/sys/unix"
)

func mapFile(f *os.File, size int) (*Mapping, error) {
	data, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return &Mapping{data: data, free: unix.Munmap}, nil
}

func releasePages(b []byte) error {
	return os.NewSyscallError("madvise", unix.Madvise(b, unix.MADV_DONTNEED))
}
