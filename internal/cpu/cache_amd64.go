//go:build !noasm

package cpu

// cpuid runs the instruction of that name, with leaf in EAX and sub in ECX.
func cpuid(leaf, sub uint32) (eax, ebx, ecx, edx uint32)

// LastCache returns the size in bytes of the cache in front of memory, 0 if it is not known. Intel tells
// about caches in leaf 4 of CPUID, AMD in leaf 0x8000001d.
func LastCache() int {
	for _, leaf := range []uint32{4, 0x8000001d} {
		if most, _, _, _ := cpuid(leaf&0x80000000, 0); most < leaf {
			continue
		}
		size, highest := 0, uint32(0)
		for i := range uint32(16) {
			a, b, c, _ := cpuid(leaf, i)
			kind, level := a&31, a>>5&7
			if kind == 0 { // no more
				break
			}
			if level > highest {
				ways, parts, line, sets := int(b>>22)+1, int(b>>12&0x3ff)+1, int(b&0xfff)+1, int(c)+1
				size, highest = ways*parts*line*sets, level
			}
		}
		if size > 0 {
			return size
		}
	}
	return 0
}
