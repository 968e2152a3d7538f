package cpu

import "golang.org/x/sys/cpu"

// detect relies on x/sys/cpu, whose AVX flags are false unless XGETBV says that
// the operating system saves the registers.
func detect() Features {
	x := &cpu.X86
	return Features{
		AVX2:       x.HasAVX2 && x.HasFMA,
		AVX512:     x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasBMI2,
		AVX512VNNI: x.HasAVX512VNNI,
		AVX512BF16: x.HasAVX512BF16,
		AVX512VBMI: x.HasAVX512VBMI,
		AVXVNNI:    x.HasAVXVNNI,
	}
}
