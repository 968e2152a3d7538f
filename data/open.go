package data

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gneiss-run/gneiss/tensor"
)

// A Format opens a file as a Source.
type Format func(path string, o Options) (Source, error)

var (
	formatsMu sync.RWMutex
	formats   = map[string]Format{".csv": openCSV, ".jsonl": openJSONLines, ".ndjson": openJSONLines}
)

// Register has Open read files whose names end in ext, such as ".parquet", by
// f. It is for init functions of packages that programs import for a format.
func Register(ext string, f Format) {
	formatsMu.Lock()
	defer formatsMu.Unlock()
	formats[ext] = f
}

func formatOf(ext string) Format {
	formatsMu.RLock()
	defer formatsMu.RUnlock()
	return formats[ext]
}

// kinds lists what Open reads, for messages.
func kinds() string {
	formatsMu.RLock()
	defer formatsMu.RUnlock()
	all := []string{".npz", ".npy", ".idx", ".pb", ".png", ".jpg", ".gif"}
	for ext := range formats {
		all = append(all, ext)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

var (
	inputFile = regexp.MustCompile(`^input_(\d+)\.pb$`)
	dataSet   = regexp.MustCompile(`^test_data_set_(\d+)$`)
)

// Open returns the batches that are at path, a file or a folder:
//
//   - .npz: a batch; the names of its arrays are those of inputs
//   - .npy, and IDX as of MNIST (train-images-idx3-ubyte.gz): a batch for a model with a single input
//   - .pb: a TensorProto, a batch for the input of its name
//   - .png, .jpg, .jpeg, .gif: an image for a model with a single input, prepared
//     as Options says; BatchSize of them are a batch
//   - .csv, with a header: BatchSize rows are a batch
//   - .jsonl, .ndjson: so many objects are; an input is the field of its name, a number
//     or an array
//   - what Register has added
//   - a folder with input_0.pb and so on, or with folders test_data_set_0 and so on
//     of these, as ONNX's tests have them: each is a batch
//   - another folder: all such files in it, and the images in folders below, in
//     order of their paths. Other files are passed over, and so is a labels.csv
//     beside others.
//
// Open looks for files; they are read when their batch is asked for.
func Open(path string, o Options) (Source, error) {
	if o.BatchSize < 0 {
		return nil, fmt.Errorf("data: Options.BatchSize is %d, want 0 or more", o.BatchSize)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	var files []string
	if info.IsDir() {
		var sets []string
		if files, sets, err = look(path); err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		if len(sets) > 0 {
			var c chain
			for _, dir := range sets {
				c = append(c, unit{name: dir, o: &o, read: readSet})
			}
			if err := o.forImages(path, c); err != nil {
				return nil, err
			}
			return c, nil
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("data: %s: nothing in it is data: want files %s, or input_*.pb", path, kinds())
		}
	} else {
		files = []string{path}
	}
	c, err := units(files, &o)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if err := o.forImages(path, c); err != nil {
		return nil, err
	}
	return c, nil
}

// forImages refuses a preprocessing that nothing of c would get.
func (o *Options) forImages(path string, c chain) error {
	if o.Preprocess == "" || slices.ContainsFunc(c, func(u unit) bool { return u.images != nil }) {
		return nil
	}
	return fmt.Errorf("data: %s: preprocessing %q is for images, and none are there: other data must be as the model takes it", path, o.Preprocess)
}

// look lists the files of a folder that Open reads, or its data sets.
func look(dir string) (files, sets []string, err error) {
	entries, err := os.ReadDir(dir) // in order
	if err != nil {
		return nil, nil, err
	}
	numbers := map[string]int{}
	for _, e := range entries {
		if m := dataSet.FindStringSubmatch(e.Name()); m != nil && e.IsDir() {
			p := filepath.Join(dir, e.Name())
			if numbers[p], err = strconv.Atoi(m[1]); err != nil {
				return nil, nil, err
			}
			sets = append(sets, p)
		} else if inputFile.MatchString(e.Name()) {
			return nil, []string{dir}, nil
		}
	}
	if len(sets) > 0 {
		slices.SortFunc(sets, func(a, b string) int { return numbers[a] - numbers[b] })
		return nil, sets, nil
	}
	labels := ""
	err = filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		ext := kindOf(p)
		below := filepath.Dir(p) != filepath.Clean(dir)
		switch {
		case strings.HasPrefix(e.Name(), ".") && p != dir:
			if e.IsDir() {
				return filepath.SkipDir
			}
		case e.IsDir():
		case isImage(ext):
			files = append(files, p)
		case below:
		case e.Name() == "labels.csv":
			labels = p
		case ext == ".npz" || ext == ".npy" || ext == ".idx" || ext == ".pb" || formatOf(ext) != nil:
			files = append(files, p)
		}
		return nil
	})
	if labels != "" && len(files) == 0 {
		files = append(files, labels)
	}
	return files, nil, err
}

// units makes batches of files: one of each, but images together.
func units(files []string, o *Options) (chain, error) {
	var c chain
	var pictures *pictures
	for _, path := range files {
		ext := kindOf(path)
		switch open := formatOf(ext); {
		case isImage(ext):
			if pictures == nil {
				var err error
				if pictures, err = newPictures(o); err != nil {
					return nil, fmt.Errorf("%s: %w", path, err)
				}
			}
			if n := len(c); n > 0 && c[n-1].images != nil && len(c[n-1].images) < pictures.batch {
				c[n-1].images = append(c[n-1].images, path)
			} else {
				c = append(c, unit{name: path, o: o, images: []string{path}, pictures: pictures})
			}
		case open != nil:
			src, err := open(path, *o)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			c = append(c, unit{src: src})
		case ext == ".npz" || ext == ".npy" || ext == ".idx" || ext == ".pb":
			c = append(c, unit{name: path, o: o, read: readOne})
		default:
			return nil, fmt.Errorf("%s: unknown kind of file %q: want %s", path, ext, kinds())
		}
	}
	if pictures == nil || !pictures.fixed {
		return c, nil
	}
	// A model that takes 8 images at a time cannot take the last 3.
	whole := slices.DeleteFunc(slices.Clone(c), func(u unit) bool { return u.images != nil && len(u.images) < pictures.batch })
	if len(whole) == 0 {
		return nil, fmt.Errorf("%s: the input takes batches of %d images, there are less", files[0], pictures.batch)
	}
	return whole, nil
}

// unit is one batch of a chain, or a Source.
type unit struct {
	src      Source
	name     string
	o        *Options
	read     func(path string, o *Options) (Batch, error)
	images   []string
	pictures *pictures
}

// chain is a Source of units.
type chain []unit

func (c chain) Len() int {
	n := 0
	for _, u := range c {
		switch {
		case u.src == nil:
			n++
		case u.src.Len() < 0:
			return -1
		default:
			n += u.src.Len()
		}
	}
	return n
}

func (c chain) Batches(ctx context.Context) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		for _, u := range c {
			if u.src != nil {
				for b, err := range u.src.Batches(ctx) {
					if !yield(b, err) || err != nil {
						return
					}
				}
				continue
			}
			b, err := u.batch(ctx)
			if err != nil {
				yield(Batch{}, err)
				return
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

// batch reads the unit.
func (u *unit) batch(ctx context.Context) (Batch, error) {
	if err := ctx.Err(); err != nil {
		return Batch{}, err
	}
	if u.images != nil {
		return u.pictures.read(ctx, u.images)
	}
	b, err := u.read(u.name, u.o)
	if err == nil {
		b.Name = u.name
		err = u.o.complete(b)
	}
	if err != nil {
		var at *fs.PathError // which names the file
		if errors.As(err, &at) {
			return Batch{}, fmt.Errorf("data: %w", err)
		}
		return Batch{}, fmt.Errorf("data: %s: %w", u.name, err)
	}
	return b, nil
}

// readOne reads a file that is a batch.
func readOne(path string, o *Options) (Batch, error) {
	var name string
	switch ext := kindOf(path); ext {
	case ".pb":
		i := 0
		if len(o.Inputs) > 1 {
			i = len(o.Inputs) // only the name tells
		}
		name, t, err := readProto(path, i, o)
		b := Batch{}
		if err == nil {
			b.Inputs = map[string]*tensor.Tensor{name: t}
		}
		return b, err
	case ".npy", ".idx":
		in, err := o.single("a file of one array")
		if err != nil {
			return Batch{}, err
		}
		name = in.Name
	}
	vs, err := ReadFile(name, path, *o)
	if err != nil {
		return Batch{}, err
	}
	ts, err := tensors(vs)
	return Batch{Inputs: ts}, err
}

// readSet reads a folder of ONNX's test layout.
func readSet(dir string, o *Options) (Batch, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return Batch{}, err
	}
	b := Batch{Inputs: map[string]*tensor.Tensor{}}
	for _, e := range entries {
		m := inputFile.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		i, err := strconv.Atoi(m[1])
		if err != nil {
			return Batch{}, fmt.Errorf("%s: %w", e.Name(), err)
		}
		name, t, err := readProto(filepath.Join(dir, e.Name()), i, o)
		if err != nil {
			return Batch{}, fmt.Errorf("%s: %w", e.Name(), err)
		}
		if b.Inputs[name] != nil {
			return Batch{}, fmt.Errorf("%s: input %q is there twice", e.Name(), name)
		}
		b.Inputs[name] = t
	}
	if len(b.Inputs) == 0 {
		return Batch{}, errors.New("no input_*.pb in it")
	}
	return b, nil
}
