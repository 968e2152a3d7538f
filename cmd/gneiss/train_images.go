package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
	"github.com/gneiss-run/gneiss/train/augment"
	"github.com/gneiss-run/gneiss/train/nn"
	"github.com/gneiss-run/gneiss/train/prep"
)

// keepImages bounds the bytes of decoded images that are kept between epochs.
const keepImages = 512 << 20

// imageConfig is what data says of samples that are images: of those in a folder with a
// folder for each class, or of those that a table names.
type imageConfig struct {
	Images      string    `yaml:"images"`      // the folder of the images that tables name
	Image       string    `yaml:"image"`       // the column that does. "": file, filename, path, image or name
	Size        imageSize `yaml:"size"`        // height and width that images are brought to
	Channels    int       `yaml:"channels"`    // of a model that is built: 3 (default) or 1
	Layout      string    `yaml:"layout"`      // of an imported model whose type does not tell
	Orientation string    `yaml:"orientation"` // of data.Orientations: exif (default) or stored
}

// imageSize is height and width: one number for both, or a list of two.
type imageSize [2]int

// UnmarshalYAML implements yaml.Unmarshaler.
func (s *imageSize) UnmarshalYAML(n *yaml.Node) error {
	var list []int
	if n.Kind == yaml.ScalarNode {
		list = make([]int, 1)
		if err := n.Decode(&list[0]); err != nil {
			return err
		}
		list = append(list, list[0])
	} else if err := n.Decode(&list); err != nil {
		return err
	}
	if len(list) != 2 || list[0] < 1 || list[1] < 1 {
		return fmt.Errorf("line %d: size is %v, want a height and width of at least 1: 64 or [64, 48]", n.Line, list)
	}
	*s = imageSize(list)
	return nil
}

// imageData is samples that are image files.
type imageData struct {
	parts   [2]imagePart // of training and validation
	names   []string     // of classes; nil: targets are numbers
	columns []string     // of several targets; nil: one
	mode    string       // what becomes of images: of data.Preprocessing
	late    bool         // mode's mean and standard deviation are taken out behind the augmentation
	input   data.Input   // what takes them
	reader  *data.Images
}

type imagePart struct {
	from   string
	files  []string
	labels [][]string     // what is said of each: one class or number, or several numbers
	target *tensor.Tensor // [N]: int64 of classes, or float32; [N, T] of several
}

// pictured reports whether the samples are image files: data has a folder of them, or train is a folder
// of folders.
func (c *trainConfig) pictured() bool {
	d := &c.Data
	if d.Images != "" || d.Size != (imageSize{}) || d.Channels != 0 || d.Layout != "" || d.Orientation != "" {
		return true
	}
	return len(d.Train.paths) == 1 && isClassFolder(d.Train.paths[0])
}

// isClassFolder reports whether path is a folder with folders in it that are no data sets of ONNX's tests,
// and without arrays.
func isClassFolder(path string) bool {
	entries, err := os.ReadDir(path)
	if err != nil || slices.ContainsFunc(entries, func(e os.DirEntry) bool { return filepath.Ext(e.Name()) == ".npz" }) {
		return false
	}
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(e.Name(), "test_data_set_")
	})
}

// checkImages reports settings of images that do not go together.
func (d *dataConfig) checkImages() error {
	if d.Images == "" {
		for _, path := range slices.Concat(d.Train.paths, d.Validation.paths) {
			if info, err := os.Stat(path); err == nil && !info.IsDir() || err != nil && data.IsTable(path) {
				return fmt.Errorf("data: %s is for images, and %s is no folder of them: leave it out, or name the folder that a table's images are in with images", d.imageSetting(), path)
			}
		}
	}
	switch {
	case d.Preprocess != "" && !slices.Contains(data.Preprocessing(), d.Preprocess):
		return fmt.Errorf("data: preprocess of images is %q, want one of %s", d.Preprocess, strings.Join(data.Preprocessing(), ", "))
	case d.Orientation != "" && !slices.Contains(data.Orientations(), d.Orientation):
		return fmt.Errorf("data: orientation is %q, want one of %s", d.Orientation, strings.Join(data.Orientations(), ", "))
	case d.Channels != 0 && d.Channels != 1 && d.Channels != 3:
		return fmt.Errorf("data: channels is %d, want 1 or 3", d.Channels)
	case d.Layout != "" && d.Layout != "NCHW" && d.Layout != "NHWC":
		return fmt.Errorf("data: layout is %q, want NCHW or NHWC", d.Layout)
	case d.Tokenizer != "" || d.Features != nil || d.Categorical != nil || d.Numeric != nil || d.Clean != nil || d.Normalize != "" || d.Encode != "":
		return fmt.Errorf("data: the samples are images: leave out what makes features of columns and tokens of text")
	case d.Train.arrays != nil || d.Validation.arrays != nil || d.Images == "" && (len(d.Train.paths) != 1 || len(d.Validation.paths) > 1):
		return fmt.Errorf("data: train and validation of images are a folder each, with a folder for each class, or tables that name them, with images: their folder")
	case d.Images == "" && d.Image != "":
		return fmt.Errorf("data: image is a column of tables: images is missing, their folder")
	case len(d.Inputs) > 1:
		return fmt.Errorf("data: inputs are %q: images are one", d.Inputs)
	case d.Stream.on:
		return fmt.Errorf("data: stream: images are read when their batch is due in any case: leave it out")
	}
	return nil
}

// imageSetting names a setting that images alone have, of those that are given.
func (d *dataConfig) imageSetting() string {
	switch {
	case d.Orientation != "":
		return "orientation"
	case d.Layout != "":
		return "layout"
	case d.Channels != 0:
		return "channels"
	}
	return "size"
}

// classifies reports whether the loss takes classes.
func (c *trainConfig) classifies() bool {
	return slices.Contains([]string{"cross_entropy", "nll", "focal"}, c.Loss.Name)
}

// findImages lists the images of training and validation, and tells on w what there is. names are those of
// classes; nil: those that the training part has.
func (c *trainConfig) findImages(ctx context.Context, w io.Writer, names []string) error {
	d := &c.Data
	if err := d.checkImages(); err != nil {
		return err
	}
	all := &imageData{mode: d.Preprocess, names: names}
	for i, s := range []sources{d.Train, d.Validation} {
		if !s.given() {
			continue
		}
		p := &all.parts[i]
		p.from = s.String()
		if d.Images != "" {
			t, err := openTables(s)
			if err != nil {
				return err
			}
			if p.files, p.labels, err = data.ImageTable(ctx, t, d.Images, d.Image, d.Target.all()...); err != nil {
				return err
			}
		} else {
			files, classes, folders, err := data.ClassFolders(s.paths[0])
			if err != nil {
				return err
			}
			if p.files = files; all.names == nil {
				all.names = folders
			}
			for _, k := range classes {
				p.labels = append(p.labels, folders[k:k+1])
			}
		}
	}
	if all.columns = d.Target.columns; all.columns != nil && d.Images == "" {
		return fmt.Errorf("data: target is %q, and the images lie in folders of classes: several targets are columns of a table", all.columns)
	}
	text := func(l []string) bool { return notNumber(l[0]) }
	if all.names == nil && all.columns == nil && (c.classifies() || slices.ContainsFunc(all.parts[0].labels, text)) {
		distinct := map[string]bool{}
		for _, l := range all.parts[0].labels {
			distinct[l[0]] = true
		}
		all.names = prep.Sorted(distinct)
	}
	for i, name := range []string{"training", "validation"} {
		p := &all.parts[i]
		if p.files == nil {
			continue
		}
		text, err := all.number(p, c.target())
		if err != nil {
			return fmt.Errorf("data: %s: %w", p.from, err)
		}
		if _, err := fmt.Fprintf(w, "gneiss: %s: %s\n", name, text); err != nil {
			return err
		}
	}
	c.images = all
	return nil
}

func notNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 32)
	return err != nil
}

// number makes the target of p's labels, and says how many there are of each.
func (d *imageData) number(p *imagePart, target string) (string, error) {
	text := counted(len(p.files), "image")
	if d.names == nil {
		var y []float32
		for i, l := range p.labels {
			for k, cell := range l {
				v, err := strconv.ParseFloat(cell, 32)
				if truth, ok := data.ParseTruth(cell); ok {
					v, err = truth, nil
				}
				if err != nil {
					if d.columns != nil {
						target = d.columns[k]
					}
					return "", fmt.Errorf("%s: column %q: %q is no float32", p.files[i], target, cell)
				}
				y = append(y, float32(v))
			}
		}
		shape := []int{len(p.files)}
		if d.columns != nil {
			shape = append(shape, len(d.columns))
		}
		p.target = tensor.Of(y, shape...)
		return text, nil
	}
	class := map[string]int{}
	for i, n := range d.names {
		class[n] = i
	}
	y, counts := make([]int64, len(p.labels)), make([]int, len(d.names))
	for i, l := range p.labels {
		k, ok := class[l[0]]
		if !ok {
			return "", fmt.Errorf("%s: %q is no class of the model: these are %s", p.files[i], l[0], someNames(d.names))
		}
		y[i] = int64(k)
		counts[k]++
	}
	p.target = tensor.Of(y, len(y))
	return text + ": " + classCounts(d.names, counts), nil
}

// someNames lists names for messages.
func someNames(names []string) string {
	if len(names) > 10 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:10], ", "), len(names)-10)
	}
	return strings.Join(names, ", ")
}

// builtInput is the input of a model that is built for images.
func (d *dataConfig) builtInput() (nn.Input, error) {
	in := nn.Input{Name: "image", DType: tensor.Float32, Dims: onnx.Sizes(1, 3, d.Size[0], d.Size[1])}
	in.Dims[0] = onnx.Name("batch")
	if len(d.Inputs) > 0 {
		in.Name = d.Inputs[0]
	}
	if d.Channels > 0 {
		in.Dims[1] = onnx.Size(d.Channels)
	}
	switch {
	case d.Layout == "NHWC":
		return in, fmt.Errorf("data: layout: a model that is built takes NCHW")
	case d.Size != (imageSize{}):
	case d.Preprocess == "imagenet" || d.Preprocess == "crop":
		in.Dims[2], in.Dims[3] = onnx.Size(224), onnx.Size(224)
	default:
		return in, fmt.Errorf("data: size is missing: the height and width that images are brought to")
	}
	return in, nil
}

// openImages has images become what m takes.
func (c *trainConfig) openImages(m *onnx.Model) error {
	d, im := &c.Data, c.images
	inputs := data.InputsOf(m)
	if len(inputs) != 1 {
		return fmt.Errorf("data: the samples are images, and the model has %d inputs, want one", len(inputs))
	}
	im.input = inputs[0]
	typ := im.input.Type
	if typ.Ranked && len(typ.Dims) == 4 {
		typ.Dims = slices.Clone(typ.Dims)
		typ.Dims[0] = onnx.Dim{} // batches are as large as the loader has them
		for i, a := range []int{2, 3} {
			if channelsLast(typ, d.Layout) {
				a--
			}
			n, known := typ.Dims[a].Size()
			switch {
			case d.Size[i] == 0:
			case !known:
				typ.Dims[a] = onnx.Size(d.Size[i])
			case n != d.Size[i]:
				return fmt.Errorf("data: size is %v, and input %q is %v", d.Size, im.input.Name, im.input.Type)
			}
		}
	}
	if d.Channels > 0 && c.Model.Import != "" {
		return fmt.Errorf("data: channels are for models that are built; input %q of the imported one is %v", im.input.Name, im.input.Type)
	}
	mode := im.mode
	if mode == "" && typ.DType == tensor.Uint8 {
		mode = "none"
	}
	if mode == "" {
		mode = "unit"
	}
	im.mode = mode
	// Colours are changed before the mean goes; who sees the samples without what happens to
	// batches needs it gone.
	if mode == "imagenet" && len(d.Augment) > 0 && typ.DType == tensor.Float32 && !channelsLast(typ, d.Layout) && c.QAT == nil && c.Teacher == nil {
		im.late, mode = true, "crop"
	}
	if len(d.Augment) > 0 && channelsLast(typ, d.Layout) {
		return fmt.Errorf("data: augment: input %q is %v: images are changed with their channels first", im.input.Name, im.input.Type)
	}
	o := data.Options{Inputs: []data.Input{{Name: im.input.Name, Type: typ}}, Preprocess: mode, Layout: d.Layout, Orientation: d.Orientation}
	reader, err := data.NewImages(o, keepImages)
	if err != nil {
		return err
	}
	im.reader = reader
	return nil
}

// channelsLast reports whether an input of images has its channels behind its pixels.
func channelsLast(t onnx.Type, layout string) bool {
	if layout != "" || !t.Ranked || len(t.Dims) != 4 {
		return layout == "NHWC"
	}
	colours := func(d onnx.Dim) bool { return d.Is(1) || d.Is(3) || d.Is(4) }
	return !colours(t.Dims[1]) && colours(t.Dims[3])
}

// set returns the samples of a part: 0 of training, 1 of validation.
func (d *imageData) set(part int, target string, want []data.Input) (*train.Images, error) {
	p := &d.parts[part]
	var targets train.Arrays
	rest := slices.DeleteFunc(slices.Clone(want), func(in data.Input) bool { return in.Name == d.input.Name })
	if len(rest) > 0 {
		var err error
		if targets, err = fitted(p.from, train.Arrays{target: p.target}, rest); err != nil {
			return nil, err
		}
	}
	return train.NewImages(p.files, d.input.Name, d.reader, targets)
}

// strata are the classes of the training part, nil where there are none.
func (d *imageData) strata() []int64 {
	if d == nil || d.names == nil {
		return nil
	}
	return tensor.Data[int64](d.parts[0].target)
}

// lateSteps are the steps of normalisation that follow the augmentation.
func (d *imageData) lateSteps() []augment.Step {
	if d == nil || !d.late {
		return nil
	}
	return []augment.Step{augment.Normalize(lateNormalization())}
}

func lateNormalization() prep.Normalization {
	mean, std := data.ImageNet()
	return prep.Normalization{Mean: mean, Std: std}
}

// fileOf is the name of sample i of a data set of images, below the folder that all lie in; "" if it is none.
func fileOf(d train.Dataset, i int) string {
	if part, ok := d.(interface {
		Of() train.Dataset
		Index() []int
	}); ok {
		d, i = part.Of(), part.Index()[i]
	}
	if im, ok := d.(*train.Images); ok {
		return filepath.ToSlash(im.File(i))
	}
	return ""
}
