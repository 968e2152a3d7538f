package tensor_test

import (
	"bytes"
	"fmt"

	"github.com/gneiss-run/gneiss/tensor"
)

// Tensors are made over Go slices, read back as such, printed and compared.
func Example() {
	t := tensor.Of([]float32{1, 2, 3, 4, 5, 6.5}, 2, 3)
	fmt.Println(t)
	fmt.Println(t.Format(1000))

	half := tensor.New(tensor.Float16, 2, 3)
	tensor.Narrow(half, t)
	fmt.Printf("%x\n", half.Bytes()[:4])

	other := t.Clone()
	tensor.Data[float32](other)[4] = 5.5
	fmt.Println(tensor.Compare(other, t, tensor.DefaultTolerance))
	// Output:
	// float32 [2 3]
	// [[  1   2   3]
	//  [  4   5 6.5]]
	// 003c0040
	// 1 of 6 elements of float32 [2 3] differ; first at [1 1]: 5.5, want 5; max absolute error 0.5, max relative error 0.1
}

// Arrays go to NumPy and come back.
func ExampleReadNPY() {
	var file bytes.Buffer
	if err := tensor.WriteNPY(&file, tensor.Of([]int64{1, 2, 3})); err != nil {
		fmt.Println(err)
	}
	t, err := tensor.ReadNPY(&file, 1<<20)
	fmt.Println(t.Format(10), err)
	// Output: [1 2 3] <nil>
}

// Of a large tensor only the edges are printed.
func ExampleTensor_Format() {
	t := tensor.New(tensor.Int32, 8, 100)
	for i := range tensor.Data[int32](t) {
		tensor.Data[int32](t)[i] = int32(i)
	}
	fmt.Println(t.Format(20))
	// Output:
	// [[  0   1   2 ...  97  98  99]
	//  [100 101 102 ... 197 198 199]
	//  [200 201 202 ... 297 298 299]
	//  ...
	//  [500 501 502 ... 597 598 599]
	//  [600 601 602 ... 697 698 699]
	//  [700 701 702 ... 797 798 799]]
}
