package ops

import "fmt"

// BitShift: Z = X shifted by Y bits to the side that the attribute direction
// says (LEFT or RIGHT), element-wise with broadcasting.
//
//	X, Y: T[...]    Z: T[...], of the shape that X and Y broadcast to
//
// Signed numbers keep their sign when shifted to the right. Where Y is negative
// or not below the number of bits, the result is -1 for a negative X shifted
// to the right, else 0.
//
// T: all integers of 8 bits and more.
//
// Spec: https://onnx.ai/onnx/operators/onnx__BitShift.html
func init() {
	register(&Op{
		Name: "BitShift",
		Versions: []Version{
			// 28 only adds the signed types.
			{Since: 11, In: N(2), Out: N(1), InPlace: []int{0, 1}, Infer: inferBroadcast, Build: buildBitShift},
		},
	})
}

func buildBitShift(b *BuildContext) (Kernel, error) {
	switch d := b.Str("direction", ""); d {
	case "LEFT":
		return b.need(0, wrappingKernels(shiftLeftPair[uint8]().erase(nil), shiftLeftPair[uint16]().erase(nil), shiftLeftPair[uint32]().erase(nil), shiftLeftPair[uint64]().erase(nil)))
	case "RIGHT":
		return b.need(0, integerPairs(
			shiftRightPair[int8]().kernel(), shiftRightPair[int16]().kernel(), shiftRightPair[int32]().kernel(), shiftRightPair[int64]().kernel(),
			shiftRightPair[uint8]().kernel(), shiftRightPair[uint16]().kernel(), shiftRightPair[uint32]().kernel(), shiftRightPair[uint64]().kernel()))
	default:
		return nil, fmt.Errorf("attribute \"direction\" is %q, want \"LEFT\" or \"RIGHT\"", d)
	}
}
