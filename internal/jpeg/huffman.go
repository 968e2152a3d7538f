package jpeg

import "fmt"

// bitReader reads the bits of entropy-coded segments. Bits beyond the end of a
// segment read as 0 and set short.
type bitReader struct {
	b     []byte
	at    int // of the next byte that is not in acc
	acc   uint64
	n     int // how many low bits of acc are still to be read
	short bool
	bad   bool // a code that is not in its table was read
}

func (r *bitReader) fill() {
	for r.n <= 56 && r.at < len(r.b) {
		c := r.b[r.at]
		if c == 0xff {
			if r.at+1 >= len(r.b) || r.b[r.at+1] != 0 {
				return // a marker
			}
			r.at++
		}
		r.at++
		r.acc = r.acc<<8 | uint64(c)
		r.n += 8
	}
}

// peek16 returns the next 16 bits.
func (r *bitReader) peek16() uint32 {
	if r.n < 16 {
		if r.fill(); r.n < 16 {
			return uint32(r.acc<<(16-r.n)) & 0xffff
		}
	}
	return uint32(r.acc>>(r.n-16)) & 0xffff
}

func (r *bitReader) skip(k int) {
	if k > r.n {
		r.short, r.n = true, k
	}
	r.n -= k
}

// read returns the next k bits, at most 16.
func (r *bitReader) read(k int) int32 {
	if k == 0 {
		return 0
	}
	v := r.peek16() >> (16 - k)
	r.skip(k)
	return int32(v)
}

// signed reads a value of k bits as T.81, F.2.2.1 codes it: the half of them
// that begin with 0 are negative.
func (r *bitReader) signed(k int) int32 {
	v := r.read(k)
	if k > 0 && v < 1<<(k-1) {
		v += -1<<k + 1
	}
	return v
}

// nextMarker drops bits that are left and finds the next marker.
func (r *bitReader) nextMarker() (byte, bool) {
	r.acc, r.n = 0, 0
	for ; r.at+1 < len(r.b); r.at++ {
		if m := r.b[r.at+1]; r.b[r.at] == 0xff && m != 0 && m != 0xff {
			r.at += 2
			return m, true
		}
	}
	r.at = len(r.b)
	return 0, false
}

const lookBits = 9

// huffman decodes codes of up to lookBits bits with a table, longer ones by
// comparison with the first code beyond each length.
type huffman struct {
	look   [1 << lookBits]uint16 // length<<8 | value, 0 for longer codes
	beyond [17]uint32            // the code of 16 bits that is greater than all of that length
	offset [17]int32             // added to a code of that length it gives the index in values
	values []byte
}

// newHuffman builds the table that begins with the 16 numbers of codes of each
// length, and returns how many bytes it takes.
func newHuffman(b []byte) (*huffman, int, error) {
	total := 0
	for _, n := range b[:16] {
		total += int(n)
	}
	if total > 256 || len(b) < 16+total {
		return nil, 0, fmt.Errorf("JPEG Huffman table of %d codes in %d bytes", total, len(b))
	}
	h := &huffman{values: append([]byte(nil), b[16:16+total]...)}
	code, at := 0, 0
	for length := 1; length <= 16; length++ {
		n := int(b[length-1])
		h.offset[length] = int32(at - code)
		if code+n > 1<<length {
			return nil, 0, fmt.Errorf("JPEG Huffman table with too many codes of %d bits", length)
		}
		if length <= lookBits {
			wide := 1 << (lookBits - length)
			for i := range n * wide {
				h.look[code*wide+i] = uint16(length)<<8 | uint16(h.values[at+i/wide])
			}
		}
		at += n
		code += n
		h.beyond[length] = uint32(code) << (16 - length)
		code <<= 1
	}
	return h, 16 + total, nil
}

// symbol reads one code.
func (r *bitReader) symbol(h *huffman) int {
	p := r.peek16()
	if e := h.look[p>>(16-lookBits)]; e != 0 {
		r.skip(int(e >> 8))
		return int(e & 255)
	}
	for length := lookBits + 1; length <= 16; length++ {
		if p < h.beyond[length] {
			r.skip(length)
			return int(h.values[int32(p>>(16-length))+h.offset[length]])
		}
	}
	r.bad = true
	return 0
}
