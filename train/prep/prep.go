// Package prep makes the columns of raw tables into features: missing values,
// outliers and duplicates are treated, numbers normalised, categories encoded. All
// is fitted on training data alone, by reading them through (they may be larger
// than memory), in float64, and is an ONNX graph: the one that makes the features
// to train on is put before the trained model, which then takes raw columns.
//
//	table, err := data.OpenTable("people.csv")
//	p, err := prep.Fit(ctx, table, nil, prep.Config{Target: "label", Missing: prep.Median, Normalize: prep.Standard})
//	samples, report, err := p.Samples(ctx, table, nil)  // of "features" and "label"
//	…                                                    // train a model with the input "features"
//	err = p.Attach(m)                                    // m takes the columns now
//
// Image is the same for models of images: they take pixels then.
package prep

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/data"
)

// Input is the name of the tensor of features, float32 [N, F].
const Input = "features"

// What becomes of missing values (Config.Missing).
const (
	Drop     = "drop"     // the row is left out
	Mean     = "mean"     // of the training part; as for Median, categories take the most frequent one
	Median   = "median"   //
	Mode     = "mode"     // the most frequent value, the least of equally frequent ones
	Constant = "constant" // Config.Fill; a missing category is a category of its own
)

// How numbers are normalised (Config.Normalize).
const (
	Standard = "standard" // mean 0, standard deviation 1 (of the population)
	MinMax   = "minmax"   // from 0 to 1
	Robust   = "robust"   // median 0, interquartile range 1
)

// Config says how columns become features. The zero value of a field leaves the data
// as they are; missing values are errors then.
type Config struct {
	Target string // the column to predict
	// Targets are several columns to predict together, of numbers, or true and false as 1 and 0; Target is the name
	// of the tensor that they make, float32 [N, len(Targets)]. Nil: the column Target.
	Targets     []string
	Features    []string // columns; nil: all but those to predict
	Categorical []string // columns of numbers that are categories; those with text are in any case
	Numeric     []string // columns that must be numbers: text in one is an error, else it makes categories
	Classes     bool     // Target is classes even where it holds numbers

	Missing   string  // Drop, Mean, Median, Mode, Constant; "": missing values are errors
	Fill      float64 // for Constant
	Indicator bool    // one more feature for each column that has missing values: 1 where they are

	// Outliers is "clip" or "drop" (the row) for numbers outside of bounds: by Rule "iqr" (or "")
	// Factor (0: 1.5) interquartile ranges off the quartiles, by "quantile" the
	// quantiles Low and High (both 0: 0.01 and 0.99).
	Outliers  string
	Rule      string
	Factor    float64
	Low, High float64

	Duplicates   bool   // rows that are equal in all features and the target to one before are left out
	DropConstant bool   // columns with one value are left out
	Normalize    string // Standard, MinMax, Robust; "": not at all
	Encode       string // of categories: "onehot" (or ""), or "index": their number is the feature
}

func (c *Config) check() error {
	for _, v := range []struct {
		what, have string
		want       []string
	}{
		{"missing", c.Missing, []string{"", Drop, Mean, Median, Mode, Constant}},
		{"outliers", c.Outliers, []string{"", "clip", "drop"}},
		{"rule", c.Rule, []string{"", "iqr", "quantile"}},
		{"normalize", c.Normalize, []string{"", Standard, MinMax, Robust}},
		{"encode", c.Encode, []string{"", "onehot", "index"}},
	} {
		if !slices.Contains(v.want, v.have) {
			return fmt.Errorf("prep: %s is %q, want one of %s", v.what, v.have, strings.Join(v.want[1:], ", "))
		}
	}
	if c.Factor == 0 {
		c.Factor = 1.5
	}
	if c.Low == 0 && c.High == 0 {
		c.Low, c.High = 0.01, 0.99
	}
	switch {
	case c.Target == "":
		return fmt.Errorf("prep: there is no target: want the name of a column")
	case c.Targets != nil && len(c.Targets) == 0:
		return fmt.Errorf("prep: there are no targets: want the names of columns")
	case c.Targets != nil && c.Classes:
		return fmt.Errorf("prep: several targets, %q, are numbers, not classes", c.Targets)
	case !(c.Factor > 0 && c.Factor < math.Inf(1)):
		return fmt.Errorf("prep: factor is %g, want a number above 0", c.Factor)
	case !(c.Low >= 0 && c.Low < c.High && c.High <= 1):
		return fmt.Errorf("prep: low and high are %g and %g, want quantiles from 0 to 1", c.Low, c.High)
	case math.IsNaN(c.Fill) || math.IsInf(c.Fill, 0):
		return fmt.Errorf("prep: fill is %g, want a number", c.Fill)
	}
	return nil
}

// targets are the columns to predict.
func (c *Config) targets() []string {
	if c.Targets == nil {
		return []string{c.Target}
	}
	return c.Targets
}

// Column is a column of the table that becomes features.
type Column struct {
	Name       string
	Categories []string // in order; nil for numbers. "" is the missing one
	Missing    bool     // the training part has missing values
	Fill       float64  // what a missing number becomes
	FillText   string   // what a missing category becomes
	Low, High  float64  // bounds of numbers, infinite where there are none
	Offset     float64  // (x - Offset) / Scale is the feature
	Scale      float64

	at int // in the table
}

// numeric reports whether c holds numbers.
func (c *Column) numeric() bool { return c.Categories == nil }

// Report counts what cleaning has done to one part of the data.
type Report struct {
	Rows       int            // read
	Kept       int            // of these
	Missing    map[string]int // cells without a value, by column
	Dropped    map[string]int // rows, by reason: "missing", "outliers", "duplicates"
	Clipped    map[string]int // cells, by column
	Constant   []string       // columns that are left out
	Categories map[string]int // cells of a category that training had not, by column
}

func newReport() *Report {
	return &Report{Missing: map[string]int{}, Dropped: map[string]int{}, Clipped: map[string]int{}, Categories: map[string]int{}}
}

// Prep is a fitted preprocessing. It may be used by several goroutines at once.
type Prep struct {
	Columns []Column // numbers first, in the order of the table; then categories
	Classes []string // what the numbers of the target's classes mean; nil: the target is numbers
	Report  *Report  // of the training part

	config  Config
	all     []string // columns of the table
	targets []int    // in the table
}

// Features returns the names of the features, in order.
func (p *Prep) Features() []string {
	var out []string
	for _, c := range p.Columns {
		if c.numeric() {
			out = append(out, c.Name)
		}
	}
	for _, c := range p.Columns {
		if p.indicates(&c) {
			out = append(out, c.Name+" is missing")
		}
	}
	for _, c := range p.Columns {
		switch {
		case c.numeric():
		case p.config.Encode == "index":
			out = append(out, c.Name)
		default:
			for _, v := range c.Categories {
				out = append(out, c.Name+"="+v)
			}
		}
	}
	return out
}

func (p *Prep) indicates(c *Column) bool { return p.config.Indicator && c.Missing }

// number reads a cell of a column of numbers; NaN is a missing one.
func number(cell string) (float64, error) {
	if data.IsMissing(cell) {
		return math.NaN(), nil
	}
	v, err := data.ParseFloat(cell)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is no number", cell)
	case math.IsNaN(v):
		return v, nil
	case math.Abs(v) > math.MaxFloat32: // infinities as well
		return 0, fmt.Errorf("%s is no finite float32", cell)
	}
	return v, nil
}
