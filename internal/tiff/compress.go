package tiff

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
)

const (
	compressNone       = 1
	compressLZW        = 5
	compressDeflate    = 8
	compressPackBits   = 32773
	compressOldDeflate = 32946
)

// compressions fill dst with what src stands for; it is an error when src ends
// before, and what is left of it then is ignored.
var compressions = map[int]func(dst, src []byte) error{
	compressNone:       stored,
	compressLZW:        lzw,
	compressDeflate:    deflate,
	compressPackBits:   packBits,
	compressOldDeflate: deflate,
}

func short(got, want int) error {
	return fmt.Errorf("data for %d bytes, want %d", got, want)
}

func stored(dst, src []byte) error {
	if n := copy(dst, src); n < len(dst) {
		return short(n, len(dst))
	}
	return nil
}

func deflate(dst, src []byte) error {
	r, err := zlib.NewReader(bytes.NewReader(src))
	if err != nil {
		return err
	}
	if n, err := io.ReadFull(r, dst); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return short(n, len(dst))
		}
		return err
	}
	return nil
}

// packBits (section 9): a byte n says that n+1 bytes follow as they are, or that
// the next one is repeated 1-n times; -128 says nothing.
func packBits(dst, src []byte) error {
	at := 0
	for at < len(dst) {
		if len(src) < 1 {
			return short(at, len(dst))
		}
		n := int(int8(src[0]))
		src = src[1:]
		switch {
		case n >= 0:
			k := copy(dst[at:], src[:min(n+1, len(src))])
			if k < n+1 && at+k < len(dst) {
				return short(at+k, len(dst))
			}
			at += k
			src = src[k:]
		case n > -128:
			if len(src) < 1 {
				return short(at, len(dst))
			}
			for range min(1-n, len(dst)-at) {
				dst[at] = src[0]
				at++
			}
			src = src[1:]
		}
	}
	return nil
}

// lzw (section 13): codes of 9 to 12 bits, high bits first, which grow one code
// early. A code above 257 stands for the bytes of an earlier code and one more.
func lzw(dst, src []byte) error {
	const clear, end, first = 256, 257, 258
	// Each code's bytes lie in dst already, where it was written first.
	var start, length [4096]int
	next, last := first, -1 // the code to be made, the code before
	width, at := 9, 0
	lastAt, lastLen := 0, 0
	acc, bits := uint32(0), 0
	for at < len(dst) {
		for bits < width {
			if len(src) == 0 {
				return short(at, len(dst))
			}
			acc = acc<<8 | uint32(src[0])
			src = src[1:]
			bits += 8
		}
		bits -= width
		code := int(acc>>bits) & (1<<width - 1)
		switch {
		case code == clear:
			next, last, width = first, -1, 9
			continue
		case code == end:
			return short(at, len(dst))
		case code > next || code == next && last < 0 || code >= first && last < 0:
			return fmt.Errorf("LZW code %d, want up to %d", code, next)
		}
		if last >= 0 && next < 4096 {
			// The bytes of the last code and the one after them, which is written now.
			start[next], length[next] = lastAt, lastLen+1
			next++
		}
		lastAt, lastLen = at, 1
		if code < 256 {
			dst[at] = byte(code)
			at++
		} else {
			from := start[code]
			lastLen = min(length[code], len(dst)-at)
			// One at a time: the code that is just made overlaps its own bytes.
			for k := range lastLen {
				dst[at+k] = dst[from+k]
			}
			at += lastLen
		}
		last = code
		if next >= 1<<width-1 && width < 12 {
			width++
		}
	}
	return nil
}
