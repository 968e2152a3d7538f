package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
	"github.com/gneiss-run/gneiss/train/prep"
)

// maxClasses bounds the classes that a column of text makes.
const maxClasses = 1 << 16

// severalTargets is the tensor that several targets make.
const severalTargets = "target"

// targetConfig names the targets: one column or array, or several of a number each.
type targetConfig struct {
	name    string   // of the tensor; "": target
	columns []string // of several; nil: the one of that name
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (t *targetConfig) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.SequenceNode {
		return n.Decode(&t.name)
	}
	var names []string
	if err := n.Decode(&names); err != nil {
		return err
	}
	*t = targetsOf(names)
	for i, name := range names {
		if name == "" || slices.Contains(names[:i], name) {
			return fmt.Errorf("line %d: data: target: %q is empty or there twice", n.Line, name)
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("line %d: data: target is an empty list: want names of columns", n.Line)
	}
	return nil
}

// targetsOf are targets by their names.
func targetsOf(names []string) targetConfig {
	switch len(names) {
	case 0:
		return targetConfig{}
	case 1:
		return targetConfig{name: names[0]}
	}
	return targetConfig{severalTargets, names}
}

// tensor is the name of the tensor in batches.
func (t *targetConfig) tensor() string {
	if t.name == "" {
		return severalTargets
	}
	return t.name
}

// all are the names of the columns or arrays.
func (t *targetConfig) all() []string {
	if t.columns != nil {
		return t.columns
	}
	return []string{t.tensor()}
}

// labels says how what stands in files becomes the tensor of targets.
type labels struct {
	name    string   // of the tensor
	columns []string // or arrays, of a number each; nil: one of that name
	classes []string // what text in it means by its number; nil: it has numbers

	once    sync.Once
	numbers map[string]int64 // of classes
}

// number returns the number of a class; ok is false if there is none of that name.
func (l *labels) number(class string) (n int64, ok bool) {
	l.once.Do(func() {
		l.numbers = map[string]int64{}
		for i, name := range l.classes {
			l.numbers[name] = int64(i)
		}
	})
	n, ok = l.numbers[class]
	return n, ok
}

// plain reports whether the files have the tensor as it is.
func (l *labels) plain() bool { return l == nil || l.columns == nil && l.classes == nil }

// wants returns what is to be read of files for want; nil is everything.
func (l *labels) wants(want []data.Input) []data.Input {
	at := slices.IndexFunc(want, func(in data.Input) bool { return l != nil && in.Name == l.name })
	if at < 0 || l.plain() {
		return want
	}
	out := slices.Clone(want)
	if l.classes != nil {
		out[at].Type = onnx.UnrankedType(tensor.String)
		return out
	}
	out = slices.Delete(out, at, at+1)
	for _, c := range l.columns {
		if !slices.ContainsFunc(out, func(in data.Input) bool { return in.Name == c }) {
			out = append(out, data.Input{Name: c, Type: onnx.UnrankedType(tensor.Float32)})
		}
	}
	return out
}

// of returns src with the tensor of targets in its batches.
func (l *labels) of(src data.Source) data.Source {
	if l.plain() {
		return src
	}
	return labelled{src, l}
}

type labelled struct {
	data.Source
	l *labels
}

func (s labelled) Batches(ctx context.Context) iter.Seq2[data.Batch, error] {
	return func(yield func(data.Batch, error) bool) {
		for b, err := range s.Source.Batches(ctx) {
			if err == nil {
				err = s.l.put(&b)
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// put makes the tensor of what b has of it, if anything.
func (l *labels) put(b *data.Batch) error {
	if l.plain() {
		return nil
	}
	if l.classes != nil {
		x := b.Inputs[l.name]
		if x == nil || x.DType() != tensor.String {
			return nil
		}
		y := make([]int64, x.Len())
		for i, text := range tensor.Data[string](x) {
			class, ok := l.number(text)
			if !ok {
				return fmt.Errorf("%s: column %q: %q is no class of the model: these are %s", b.Place(i), l.name, text, someNames(l.classes))
			}
			y[i] = class
		}
		b.Inputs = maps.Clone(b.Inputs)
		b.Inputs[l.name] = tensor.Of(y, len(y))
		return nil
	}
	if !slices.ContainsFunc(l.columns, func(c string) bool { return b.Inputs[c] != nil }) {
		return nil
	}
	n := b.Size()
	y := make([]float32, n*len(l.columns))
	inputs := maps.Clone(b.Inputs)
	for k, c := range l.columns {
		x := b.Inputs[c]
		if x == nil {
			return fmt.Errorf("%s: there is no %q, a target: it has %s", b.Name, c, strings.Join(namesOf(b.Inputs), ", "))
		}
		v, err := tensor.Float64s(x)
		if err != nil {
			return fmt.Errorf("%s: %q: %w", b.Name, c, err)
		}
		if x.Rank() == 0 || x.Dim(0) != n || len(v) != n {
			return fmt.Errorf("%s: %q is %v, want a number for each of %d samples, as it is one of several targets", b.Name, c, x, n)
		}
		for i, e := range v {
			y[i*len(l.columns)+k] = float32(e)
		}
		delete(inputs, c)
	}
	inputs[l.name] = tensor.Of(y, n, len(l.columns))
	b.Inputs = inputs
	return nil
}

// takesClasses reports whether targets may be the names of classes.
func (c *trainConfig) takesClasses() bool {
	return c.classifies() || c.Loss.Name == "bce_with_logits" || c.Loss.Name == "" && c.Teacher != nil
}

// findLabels finds what the targets of tables are that are not made into features: numbers, or text, whose
// classes it tells on w.
func (c *trainConfig) findLabels(ctx context.Context, w io.Writer) error {
	d := &c.Data
	c.labels = &labels{name: c.target(), columns: d.Target.columns}
	for _, s := range []sources{d.Train, d.Validation} {
		if d.Text == "" || !s.tables() {
			continue
		}
		t, err := openTables(s)
		if err != nil {
			return err
		}
		if !slices.Contains(t.Columns(), d.Text) {
			return fmt.Errorf("%v: there is no column %q, which data.text says is the text; the columns are %s", s, d.Text, strings.Join(t.Columns(), ", "))
		}
	}
	if d.Target.columns != nil || !c.takesClasses() || !d.Train.tables() {
		return nil
	}
	t, err := openTables(d.Train)
	if err != nil {
		return err
	}
	at := slices.Index(t.Columns(), c.target())
	if at < 0 {
		return nil // it may not be needed; who reads it says what there is
	}
	counts, text, i := map[string]int{}, false, -1
	for row, err := range t.Rows(ctx) {
		if err != nil {
			return err
		}
		i++
		cell := strings.TrimSpace(row[at])
		if strings.HasPrefix(cell, "[") { // an array of JSON lines
			return nil
		}
		if text = text || notNumber(cell); text && data.IsMissing(cell) {
			return fmt.Errorf("%s: column %q, the target, has no value", data.Place(t, i), c.target())
		}
		if counts[cell] == 0 {
			cell = strings.Clone(cell)
		}
		if counts[cell]++; len(counts) > maxClasses {
			if !text {
				return nil
			}
			return fmt.Errorf("%s: column %q, the target, has more than %d classes", data.Place(t, i), c.target(), maxClasses)
		}
	}
	if !text {
		return nil
	}
	distinct := map[string]bool{}
	for name := range counts {
		if data.IsMissing(name) {
			return fmt.Errorf("%v: column %q, the target, has rows without a value", d.Train, c.target())
		}
		distinct[name] = true
	}
	c.labels.classes = prep.Sorted(distinct)
	each := make([]int, len(distinct))
	for k, name := range c.labels.classes {
		each[k] = counts[name]
	}
	_, err = fmt.Fprintf(w, "gneiss: %v: %s: %s\n", d.Train, counted(i+1, "row"), classCounts(c.labels.classes, each))
	return err
}

// classCounts lists classes with how many samples each has.
func classCounts(names []string, counts []int) string {
	var list []string
	for i, n := range names {
		if list = append(list, fmt.Sprintf("%s %d", n, counts[i])); i == 9 && len(names) > 10 {
			list = append(list, fmt.Sprintf("and %d classes more", len(names)-10))
			break
		}
	}
	return strings.Join(list, ", ")
}

// checkClasses reports classes that the model has no scores for.
func (c *trainConfig) checkClasses(m *onnx.Model) error {
	names, have := c.classNames(), c.outputClasses(m)
	switch {
	case names == nil || have > reportClasses || c.classAxis():
		return nil
	case c.Loss.Name == "bce_with_logits" || c.Loss.Name == "focal":
		if len(names) > 2 || have != 1 {
			return fmt.Errorf("loss %s: column %q has %d classes (%s), and the model's output is %d wide: want two classes and an output of one logit, or cross_entropy",
				c.Loss.Name, c.target(), len(names), someNames(names), have)
		}
	case c.classifies() && len(names) > have:
		return fmt.Errorf("loss %s: column %q has %d classes (%s), and the model's output has scores of %d", c.Loss.Name, c.target(), len(names), someNames(names), have)
	}
	return nil
}

// checkTargets reports targets that the loss does not take. where says of what, for messages.
func (c *trainConfig) checkTargets(where func(i int) string, a train.Arrays) error {
	y := a[c.target()]
	if y == nil || y.Dim(0) == 0 || c.Loss.Name != "bce_with_logits" && c.Loss.Name != "focal" {
		return nil
	}
	v, err := tensor.Float64s(y)
	if err != nil {
		return nil // of a type that nothing is trained on
	}
	width := len(v) / y.Dim(0)
	for i, e := range v {
		if e >= 0 && e <= 1 {
			continue
		}
		name := c.target()
		if c.Data.Target.columns != nil && width == len(c.Data.Target.columns) {
			name = c.Data.Target.columns[i%width]
		}
		return fmt.Errorf("%s: %q is %g, want 0 to 1 for loss %s", where(i/width), name, e, c.Loss.Name)
	}
	return nil
}

// quotedList lists names for messages.
func quotedList(names []string) string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = strconv.Quote(name)
	}
	return strings.Join(list, ", ")
}
