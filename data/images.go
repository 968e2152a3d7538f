package data

import (
	"context"
	"fmt"
	"image"
	"sync"

	"github.com/gneiss-run/gneiss/tensor"
)

// Images reads image files for one input, any of them in any order. It may be used
// by several goroutines at once.
type Images struct{ p *pictures }

// NewImages returns a reader for the only one of o.Inputs, of type [N,C,H,W] or
// [N,H,W,C]. What becomes of images is what Options says, as for Open. Of what it
// has decoded and brought to size it keeps up to keep bytes.
func NewImages(o Options, keep int64) (*Images, error) {
	p, err := newPictures(&o)
	if err == nil && !p.plan.batched {
		err = fmt.Errorf("input %q is %v, want a first dimension of images", p.input, p.plan.typ)
	}
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	p.kept = &keptImages{left: keep, images: map[string]*image.NRGBA{}}
	return &Images{p}, nil
}

// Size returns the height and width that images are brought to; 0: as they are.
func (i *Images) Size() (height, width int) { return i.p.plan.h, i.p.plan.w }

// Read returns the images of files, one after the other along the first dimension. Its
// errors name the file.
func (i *Images) Read(ctx context.Context, files []string) (*tensor.Tensor, error) {
	if len(files) == 0 {
		return nil, fmt.Errorf("data: a batch of no images")
	}
	b, err := i.p.read(ctx, files)
	if err != nil {
		return nil, err
	}
	return b.Inputs[i.p.input], nil
}

// keptImages are images by their paths, of a bounded size together. Nil keeps none.
type keptImages struct {
	mu     sync.Mutex
	left   int64 // bytes
	images map[string]*image.NRGBA
}

func (k *keptImages) get(path string) *image.NRGBA {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.images[path]
}

func (k *keptImages) put(path string, img *image.NRGBA) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if n := int64(len(img.Pix)); k.images[path] == nil && n <= k.left {
		k.images[path], k.left = img, k.left-n
	}
}
