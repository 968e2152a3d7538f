package train

import (
	"context"
	"fmt"
	"maps"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/tensor"
)

// Images is a Dataset of image files, which are read when their batch is asked for.
type Images struct {
	files   []string
	input   string
	reader  *data.Images
	targets Arrays
}

// NewImages returns the Dataset of files, which reader makes the tensor called input
// of, and of targets, which have a sample for each; nil: none.
func NewImages(files []string, input string, reader *data.Images, targets Arrays) (*Images, error) {
	switch {
	case len(files) == 0:
		return nil, fmt.Errorf("train: a data set of no images")
	case targets[input] != nil:
		return nil, fmt.Errorf("train: images and a target are both called %q", input)
	case len(targets) > 0 && targets.Len() != len(files):
		return nil, fmt.Errorf("train: %d images have %d targets", len(files), targets.Len())
	}
	return &Images{files, input, reader, targets}, nil
}

// Len returns the number of images.
func (d *Images) Len() int { return len(d.files) }

// File returns the path of image i.
func (d *Images) File(i int) string { return d.files[i] }

// Batch implements Dataset.
func (d *Images) Batch(ctx context.Context, index []int) (map[string]*tensor.Tensor, error) {
	files := make([]string, len(index))
	for i, k := range index {
		if k < 0 || k >= len(d.files) {
			return nil, fmt.Errorf("train: there is no sample %d: there are %d images", k, len(d.files))
		}
		files[i] = d.files[k]
	}
	x, err := d.reader.Read(ctx, files)
	if err != nil {
		return nil, err
	}
	out := map[string]*tensor.Tensor{d.input: x}
	if len(d.targets) > 0 {
		y, err := d.targets.Batch(ctx, index)
		if err != nil {
			return nil, err
		}
		maps.Copy(out, y)
	}
	return out, nil
}
