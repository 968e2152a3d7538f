// Package tensor holds the values that models compute on.
//
// A [Tensor] is an element type ([DType]), a shape and contiguous row-major
// storage. It is made by [New] (zeroed), [Of] (over a Go slice, without a copy),
// [Scalar], or [FromBytes] (over bytes that belong to somebody else, such as a
// mapped file). [Data] gives the storage back as a slice:
//
//	t := tensor.New(tensor.Float32, 2, 3)
//	row := tensor.Data[float32](t)[3:6]
//
// Sizes that come from outside are checked by [Count] or [ByteSize] first;
// shapes are combined by [Broadcast], [BroadcastStrides], [Strides] and [Axis].
// Storage may be shared by any number of tensors, so whoever made a tensor may
// write it and everybody else only reads.
//
// The other kinds of [Value] are [Sequence], [Optional], [Map] and [Sparse].
//
// # Small types
//
// Go has no float16, bfloat16 or float8: [F16], [BF16], [F8E4M3FN] and so on
// hold their bits, convert exactly to float32, and are rounded to by [F16Of] and
// its like, from float32 or, without a second rounding, from float64. [Widen]
// and [Narrow] convert whole tensors. Elements of two and four bits share bytes,
// the first in the lowest bits; [Unpack] and [Pack] give them a byte each.
//
// # Byte order and alignment
//
// Storage is in the byte order of the machine. Files that are little-endian,
// as ONNX's are, must be swapped by whoever decodes them on a big-endian
// machine. What New allocates begins at a multiple of [Alignment]; FromBytes
// takes any address, so kernels load unaligned. On the few machines that cannot,
// FromBytes copies.
//
// # For tools
//
// [Tensor.At], [Float64s] and [Int64s] read elements of any type,
// [Tensor.Format] prints them, [Compare] and [Diff] say how far two values are
// apart and [Rule] whether that is close enough. [ReadNPY], [WriteNPY],
// [ReadNPZ] and [WriteNPZ] exchange arrays with NumPy. [MapFile] maps a file, and
// [Guard] survives its being cut short.
package tensor
