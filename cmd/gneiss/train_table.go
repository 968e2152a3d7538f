package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
	"github.com/gneiss-run/gneiss/train/prep"
)

// sources says where samples are: a path or pattern, a list of these, or a mapping of
// names to files of one array each.
type sources struct {
	paths  []string
	arrays map[string]string
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (s *sources) UnmarshalYAML(n *yaml.Node) error {
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Value != "" {
			s.paths = []string{n.Value}
		}
		return nil
	case yaml.SequenceNode:
		return n.Decode(&s.paths)
	case yaml.MappingNode:
		return n.Decode(&s.arrays)
	}
	return fmt.Errorf("line %d: want a file, a list of files, or names with files", n.Line)
}

func (s sources) given() bool { return len(s.paths)+len(s.arrays) > 0 }

// String names the files, for messages.
func (s sources) String() string {
	if s.arrays != nil {
		var all []string
		for _, name := range slices.Sorted(maps.Keys(s.arrays)) {
			all = append(all, s.arrays[name])
		}
		return strings.Join(all, ", ")
	}
	return strings.Join(s.paths, ", ")
}

// tables reports whether all are tables.
func (s sources) tables() bool {
	return s.paths != nil && !slices.ContainsFunc(s.paths, func(p string) bool { return !data.IsTable(p) })
}

// open opens the files of s, patterns among them, as one source.
func (s sources) open(each func(path string) (data.Source, error)) (data.Source, error) {
	files, err := data.Glob(s.paths...)
	if err != nil {
		return nil, err
	}
	var all []data.Source
	for _, f := range files {
		src, err := each(f)
		if err != nil {
			return nil, err
		}
		all = append(all, src)
	}
	return data.Join(all...), nil
}

// readArrays reads a file for each name.
func readArrays(files map[string]string) (train.Arrays, error) {
	all := map[string]*tensor.Tensor{}
	for name, file := range files {
		x, err := data.ReadArray(file)
		if err != nil {
			return nil, err
		}
		all[name] = x
	}
	return train.NewArrays(all)
}

// cleanConfig is what is done to a table's rows and cells before training.
type cleanConfig struct {
	Missing    string  `yaml:"missing"` // drop, mean, median, mode or constant
	Fill       float64 `yaml:"fill"`
	Indicator  bool    `yaml:"indicator"`
	Outliers   string  `yaml:"outliers"` // clip or drop
	Rule       string  `yaml:"rule"`     // iqr or quantile
	Factor     float64 `yaml:"factor"`
	Low        float64 `yaml:"low"`
	High       float64 `yaml:"high"`
	Duplicates string  `yaml:"duplicates"` // drop
	Constant   string  `yaml:"constant"`   // drop
}

func (c *cleanConfig) check() error {
	for key, v := range map[string]string{"duplicates": c.Duplicates, "constant": c.Constant} {
		if v != "" && v != prep.Drop {
			return fmt.Errorf("data: clean: %s is %q, want drop", key, v)
		}
	}
	return nil
}

// tabular reports whether the samples are columns to make features of.
func (c *trainConfig) tabular() bool {
	d := &c.Data
	if d.Tokenizer != "" || c.pictured() {
		return false
	}
	return d.asksForFeatures() || len(d.Train.paths) > 0 && data.IsTable(d.Train.paths[0]) && c.Model.Import == "" && d.Inputs == nil
}

// asksForFeatures reports whether settings say how features are made.
func (d *dataConfig) asksForFeatures() bool {
	return d.Features != nil || d.Categorical != nil || d.Numeric != nil || d.Clean != nil || d.Normalize != "" || d.Encode != "" || d.Preprocess != ""
}

// prepare reads the tables of training and validation, fits what makes features
// of them on the former, and tells on w what was cleaned.
func (c *trainConfig) prepare(ctx context.Context, w io.Writer) error {
	d := &c.Data
	o := prep.Config{Target: c.target(), Targets: d.Target.columns, Features: d.Features, Categorical: d.Categorical, Numeric: d.Numeric, Normalize: d.Normalize, Encode: d.Encode,
		Classes: c.classifies() && d.Target.columns == nil}
	if k := d.Clean; k != nil {
		o.Missing, o.Fill, o.Indicator, o.Outliers, o.Rule, o.Factor, o.Low, o.High = k.Missing, k.Fill, k.Indicator, k.Outliers, k.Rule, k.Factor, k.Low, k.High
		o.Duplicates, o.DropConstant = k.Duplicates == prep.Drop, k.Constant == prep.Drop
	}
	table, err := openTables(d.Train)
	if err != nil {
		return err
	}
	other, training, validation := table, func(int) bool { return true }, func(int) bool { return true }
	switch {
	case d.Validation.given():
		if other, err = openTables(d.Validation); err != nil {
			return err
		}
	case c.division.given():
		held, err := c.heldRows(ctx, table)
		if err != nil {
			return err
		}
		// A file that grows meanwhile has rows that belong to neither part.
		n := table.Len()
		training, validation = func(i int) bool { return i < n && !held(i) }, func(i int) bool { return i < n && held(i) }
	default:
		other = nil
	}
	if c.prep, err = prep.Fit(ctx, table, training, o); err != nil {
		return fmt.Errorf("%v: %w", d.Train, err)
	}
	if err := tellNames(w, c.prep); err != nil {
		return err
	}
	if c.Data.Stream.on {
		c.table, c.training = table, training
		err = tellCleaned(w, "training", c.prep.Report)
	} else {
		c.prepared[0], err = c.part(ctx, w, "training", table, training)
	}
	if err != nil || other == nil {
		return err
	}
	c.prepared[1], err = c.part(ctx, w, "validation", other, validation)
	return err
}

// tellNames tells of columns that name rows, as numbers of tickets do, which a model can learn by heart: nearly each row has
// a category of its own.
func tellNames(w io.Writer, p *prep.Prep) error {
	for _, col := range p.Columns {
		if n := len(col.Categories); n > 50 && n > p.Report.Kept/2 {
			if _, err := fmt.Fprintf(w, "gneiss: column %q has %d categories in %d rows: if it names them, leave it out: data.features lists what is used\n", col.Name, n, p.Report.Kept); err != nil {
				return err
			}
		}
	}
	return nil
}

// openTables opens the tables of s as one.
func openTables(s sources) (data.Table, error) {
	if s.arrays != nil {
		return nil, fmt.Errorf("%v: features are made of tables, such as .csv", s)
	}
	files, err := data.Glob(s.paths...)
	if err != nil {
		return nil, err
	}
	return data.OpenTable(files...)
}

// part makes the samples of a part, and tells what was cleaned.
func (c *trainConfig) part(ctx context.Context, w io.Writer, name string, t data.Table, keep func(int) bool) (train.Arrays, error) {
	a, r, err := c.prep.Samples(ctx, t, keep)
	if err != nil {
		return nil, err
	}
	return a, tellCleaned(w, name, r)
}

// tellCleaned tells what cleaning did to a part.
func tellCleaned(w io.Writer, name string, r *prep.Report) error {
	text := fmt.Sprintf("gneiss: %s: %d of %d rows", name, r.Kept, r.Rows)
	for _, what := range []struct {
		name   string
		counts map[string]int
	}{{"rows dropped", r.Dropped}, {"missing values", r.Missing}, {"clipped", r.Clipped}, {"new categories", r.Categories}} {
		var list []string
		for _, k := range slices.Sorted(maps.Keys(what.counts)) {
			list = append(list, fmt.Sprintf("%s %d", k, what.counts[k]))
		}
		if list != nil {
			text += fmt.Sprintf("; %s: %s", what.name, strings.Join(list, ", "))
		}
	}
	if len(r.Constant) > 0 {
		text += "; constant columns: " + strings.Join(r.Constant, ", ")
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// classesKey is the metadata with the names of classes, a JSON array.
const classesKey = "classes"

// targetsKey is the metadata with the names of the columns that the model was trained to predict, a JSON array.
const targetsKey = "targets"

// classNames are what the numbers of classes mean; nil where the data do not say.
func (c *trainConfig) classNames() []string {
	switch {
	case c.prep != nil:
		return c.prep.Classes
	case c.images != nil:
		return c.images.names
	case c.labels != nil:
		return c.labels.classes
	}
	return nil
}

// describe puts the preprocessing before m, and says in its metadata what it is.
func (c *trainConfig) describe(m *onnx.Model, history []train.Epoch) error {
	put := func(key, text string) {
		m.Metadata = slices.DeleteFunc(m.Metadata, func(p onnx.Prop) bool { return p.Key == key })
		m.Metadata = append(m.Metadata, onnx.Prop{Key: key, Value: text})
	}
	set := func(key string, v any) error {
		b, err := json.Marshal(v)
		put(key, string(b))
		return err
	}
	if c.prep != nil {
		if c.Data.Preprocess != "none" {
			if err := c.prep.Attach(m); err != nil {
				return err
			}
		}
		if err := set("features", c.prep.Features()); err != nil {
			return err
		}
	}
	left, err := c.takePixels(m)
	if err != nil {
		return err
	}
	if left != nil {
		if err := set(preprocessKey, left); err != nil {
			return err
		}
	}
	if names := c.classNames(); names != nil {
		if err := set(classesKey, names); err != nil {
			return err
		}
	}
	if c.Loss.Name != "" { // what a teacher says alone has no targets
		if err := set(targetsKey, c.Data.Target.all()); err != nil {
			return err
		}
	}
	if len(c.scores) > 0 {
		if err := set("metrics", c.scores); err != nil {
			return err
		}
	} else if len(history) > 0 {
		if last := history[len(history)-1]; len(last.Metrics) > 0 {
			if err := set("metrics", last.Metrics); err != nil {
				return err
			}
		}
	}
	put("training_config", c.settings)
	return nil
}
