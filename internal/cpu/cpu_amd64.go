package cpu

import (
	"slices"

	"golang.org/x/sys/cpu"
)

// detect relies on x/sys/cpu, whose AVX flags are false unless XGETBV says that
// the operating system saves the registers.
func detect() Features {
	x := &cpu.X86
	f := Features{
		AVX2:       x.HasAVX2 && x.HasFMA,
		AVX512:     x.HasAVX512F && x.HasAVX512CD && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasBMI2,
		AVX512VNNI: x.HasAVX512VNNI,
		AVX512BF16: x.HasAVX512BF16,
		AVX512VBMI: x.HasAVX512VBMI,
		AVXVNNI:    x.HasAVXVNNI,
	}
	// Whoever caps the level has not asked for what the system must be asked for.
	if c := isa.Get(); !slices.Contains([]string{Generic, AVX2, AVX512, VNNI}, c) {
		f.AMX = f.AVX2 && f.AVX512 && f.AVX512VNNI && x.HasAMXTile && x.HasAMXInt8 && allowTiles()
		f.AMXBF16 = f.AMX && x.HasAMXBF16
	}
	return f
}
