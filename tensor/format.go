package tensor

import "fmt"

// String returns element type and shape, e.g. "float32 [1 3 224 224]".
func (t *Tensor) String() string { return fmt.Sprint(t.dtype, " ", t.shape) }
