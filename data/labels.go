package data

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Label says what a sample is.
type Label struct {
	File string // which sample; "" where labels are in the order of samples
	Text string // the label as it is written
}

// Class returns the label as the number of a class.
func (l Label) Class() (int, error) {
	n, err := strconv.Atoi(l.Text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("label %q: want the number of a class, from 0", l.Text)
	}
	return n, nil
}

// Classes returns a function for the classes of the samples of a batch whose
// first sample is the first-th of its source. Labels that name files are found by
// the sample's file, with as many folders as the label has; others go by the order.
func Classes(labels []Label) (func(b Batch, first int) ([]int, error), error) {
	if len(labels) == 0 {
		return nil, errors.New("data: there are no labels")
	}
	classes := make([]int, len(labels))
	byFile := map[string]int{}
	for i, l := range labels {
		c, err := l.Class()
		if err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		classes[i] = c
		if l.File != "" {
			byFile[filepath.ToSlash(l.File)] = c
		}
	}
	if len(byFile) == 0 {
		return func(b Batch, first int) ([]int, error) {
			last := first + b.Size()
			if last > len(classes) {
				return nil, fmt.Errorf("data: %s: there are %d labels, and this is sample %d", b.Name, len(classes), last)
			}
			return classes[first:last], nil
		}, nil
	}
	return func(b Batch, _ int) ([]int, error) {
		files := b.Files
		if files == nil {
			if b.Size() != 1 {
				return nil, fmt.Errorf("data: %s: its %d samples are not files of their own, but the labels name files: list labels without files, in the order of samples", b.Name, b.Size())
			}
			files = []string{b.Name}
		}
		out := make([]int, len(files))
		for i, f := range files {
			c, ok := 0, false
			for rest := filepath.ToSlash(f); !ok && rest != ""; {
				c, ok = byFile[rest]
				_, rest, _ = strings.Cut(rest, "/")
			}
			if !ok {
				return nil, fmt.Errorf("data: %s: it has no label", f)
			}
			out[i] = c
		}
		return out, nil
	}, nil
}

// The names that a header may have, in lower case.
var (
	fileColumns  = []string{"file", "filename", "path", "image", "name"}
	labelColumns = []string{"label", "labels", "class", "target", "y"}
)

// Labels reads a CSV file with a label in each row, or with a file and its
// label. A first row that only names these columns, such as "file,label", is
// a header. A file that has two labels is an error.
func Labels(path string) ([]Label, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	defer f.Close()
	if _, err := sizeOf(f); err != nil {
		return nil, fmt.Errorf("data: %s: %w", path, err)
	}
	ls, err := readLabels(f)
	if err != nil {
		return nil, fmt.Errorf("data: %s: %w", path, err)
	}
	return ls, nil
}

func readLabels(f io.Reader) ([]Label, error) {
	var ls []Label
	seen := map[string]bool{}
	r := newCSV(f)
	for n := 1; ; n++ {
		row, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(row) > 2 {
			return nil, fmt.Errorf("row %d has %d columns, want a label, or a file and its label", n, len(row))
		}
		l := Label{Text: strings.TrimSpace(row[len(row)-1])}
		if len(row) == 2 {
			l.File = strings.TrimSpace(row[0])
		}
		if n == 1 && slices.Contains(labelColumns, strings.ToLower(l.Text)) && (l.File == "" || slices.Contains(fileColumns, strings.ToLower(l.File))) {
			continue
		}
		switch {
		case l.Text == "" || len(row) == 2 && l.File == "":
			return nil, fmt.Errorf("row %d has an empty cell", n)
		case l.File != "" && seen[l.File]:
			return nil, fmt.Errorf("row %d: %q has a label already", n, l.File)
		}
		seen[l.File] = true
		ls = append(ls, l)
	}
	if len(ls) == 0 {
		return nil, errors.New("no labels in it")
	}
	return ls, nil
}

// ClassFolders lists the images of a folder that has a folder for each class: their
// paths, in order, their classes, and what the classes are called, by the
// folders, in order of names. Images in folders below count, too; what is hidden
// (.git) does not.
func ClassFolders(dir string) (files []string, classes []int, names []string, err error) {
	fail := func(err error) ([]string, []int, []string, error) { return nil, nil, nil, fmt.Errorf("data: %w", err) }
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fail(err)
	}
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			if isImage(kindOf(e.Name())) {
				return fail(fmt.Errorf("%s: an image beside the folders of classes: which class is it of?", filepath.Join(dir, e.Name())))
			}
			continue
		}
		n := len(files)
		err := filepath.WalkDir(filepath.Join(dir, e.Name()), func(p string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && strings.HasPrefix(d.Name(), "."):
				return filepath.SkipDir
			case !d.IsDir() && isImage(kindOf(p)):
				files, classes = append(files, p), append(classes, len(names))
			}
			return nil
		})
		if err != nil {
			return fail(err)
		}
		if len(files) == n {
			return fail(fmt.Errorf("%s: there is no image of this class: want files .png, .jpg or .gif", filepath.Join(dir, e.Name())))
		}
		names = append(names, e.Name())
	}
	if len(names) == 0 {
		return fail(fmt.Errorf("%s: there is no folder in it: want one for each class", dir))
	}
	return files, classes, names, nil
}

// ImageTable returns the images that a column of t names, as files below dir, and what the columns targets
// say of each. column "" is the one called file, filename, path, image or name. Each file must be there, and
// be named once.
func ImageTable(ctx context.Context, t Table, dir, column string, targets ...string) (files []string, labels [][]string, err error) {
	cols := t.Columns()
	at, to := slices.Index(cols, column), make([]int, len(targets))
	for i, target := range targets {
		to[i] = slices.Index(cols, target)
	}
	if column == "" {
		at = slices.IndexFunc(cols, func(c string) bool {
			return !slices.Contains(targets, c) && slices.Contains(fileColumns, strings.ToLower(c))
		})
	}
	switch list := strings.Join(cols, ", "); {
	case at < 0 && column == "":
		return nil, nil, fmt.Errorf("data: no column of %s is called one of %s: say which names the images", list, strings.Join(fileColumns, ", "))
	case at < 0:
		return nil, nil, fmt.Errorf("data: there is no column %q for the images; there are %s", column, list)
	case slices.Contains(to, -1):
		return nil, nil, fmt.Errorf("data: there is no column %q for the target; there are %s", targets[slices.Index(to, -1)], list)
	}
	seen := map[string]int{}
	i := -1
	for row, err := range t.Rows(ctx) {
		if i++; err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, nil, err
		}
		name := filepath.FromSlash(strings.TrimSpace(row[at]))
		label, none := make([]string, len(to)), -1
		for k, c := range to {
			if label[k] = strings.Clone(strings.TrimSpace(row[c])); IsMissing(label[k]) {
				none = k
			}
		}
		path := strings.Clone(filepath.Join(dir, name))
		before, twice := seen[path]
		switch {
		case !filepath.IsLocal(name):
			err = fmt.Errorf("column %q is %q, want a file below %s", cols[at], name, dir)
		case !isImage(kindOf(name)):
			err = fmt.Errorf("column %q is %q, want a file .png, .jpg or .gif", cols[at], name)
		case none >= 0:
			err = fmt.Errorf("column %q has no value", targets[none])
		case twice:
			err = fmt.Errorf("column %q: %q is there already, in %s", cols[at], name, Place(t, before))
		default:
			_, err = os.Stat(path)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("data: %s: %w", Place(t, i), err)
		}
		seen[path] = i
		files, labels = append(files, path), append(labels, label)
	}
	return files, labels, nil
}
