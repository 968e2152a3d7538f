package tensor

import "fmt"

// maxDense bounds what a sparse tensor may become when it is made dense, in
// bytes: a few bytes of a file must not ask for more memory than a machine has.
const maxDense = 1<<31 - 1

// Dense returns the tensor with zeros (empty strings) filled in. Indices are
// linear ([nnz]) or coordinates ([nnz, rank]).
func (s *Sparse) Dense() (*Tensor, error) {
	size, err := ByteSize(s.Values.dtype, s.Shape)
	if err != nil {
		return nil, err
	}
	if size > maxDense {
		return nil, fmt.Errorf("%w: %d bytes when dense, at most %d", ErrSize, size, maxDense)
	}
	bits := s.Values.dtype.Bits()
	if s.Values.dtype != String && bits%8 != 0 {
		return nil, fmt.Errorf("sparse tensor of packed type %v", s.Values.dtype)
	}
	if s.Indices.dtype != Int64 {
		return nil, fmt.Errorf("indices are %v, want int64", s.Indices.dtype)
	}
	nnz, rank := s.Values.n, len(s.Shape)
	coords := s.Indices.Rank() == 2
	if want := nnz; coords && s.Indices.n != nnz*rank || !coords && s.Indices.n != want {
		return nil, fmt.Errorf("indices have shape %v for %d values of rank %d", s.Indices.shape, nnz, rank)
	}
	d := New(s.Values.dtype, s.Shape...)
	idx, strides := Data[int64](s.Indices), Strides(s.Shape)
	es := bits / 8
	for i := range nnz {
		at := 0
		if coords {
			for k := range rank {
				x := idx[i*rank+k]
				if x < 0 || x >= int64(s.Shape[k]) {
					return nil, fmt.Errorf("index %d of value %d is not in [0, %d)", x, i, s.Shape[k])
				}
				at += int(x) * strides[k]
			}
		} else if x := idx[i]; x < 0 || x >= int64(d.n) {
			return nil, fmt.Errorf("index %d of value %d is not in [0, %d)", x, i, d.n)
		} else {
			at = int(x)
		}
		if d.dtype == String {
			d.str[at] = s.Values.str[i]
		} else {
			copy(d.data[at*es:at*es+es], s.Values.data[i*es:i*es+es])
		}
	}
	return d, nil
}
