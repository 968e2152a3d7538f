package prep

import (
	"crypto/sha256"
	"fmt"
	"math"
	"strconv"
)

// cleaner decides for the rows of one part of the data, one after the other,
// whether they stay.
type cleaner struct {
	p      *Prep
	report *Report
	seen   map[[16]byte]struct{} // hashes of rows, where duplicates go
}

func (p *Prep) cleaner(r *Report) *cleaner {
	k := &cleaner{p: p, report: r}
	if p.config.Duplicates {
		k.seen = map[[16]byte]struct{}{}
	}
	return k
}

// keeps reports whether the row stays, and counts why not.
func (k *cleaner) keeps(r *record) (bool, error) {
	k.report.Rows++
	drop := func(why string) (bool, error) {
		k.report.Dropped[why]++
		return false, nil
	}
	missing, outlier := false, false
	for i := range k.p.Columns {
		c := &k.p.Columns[i]
		v := 0.0
		if c.numeric() {
			var err error
			if v, err = r.number(c.at); err != nil {
				return false, fmt.Errorf("column %q: %w", c.Name, err)
			}
		}
		if r.missing(c.at) || math.IsNaN(v) {
			if k.p.config.Missing == "" {
				return false, fmt.Errorf("column %q has no value: it is %q; say what becomes of missing ones: missing is drop, mean, median, mode or constant", c.Name, r.cells[c.at])
			}
			missing = true
			k.report.Missing[c.Name]++
			continue
		}
		// As the model compares them: the input is float32.
		if x := float64(float32(v)); c.numeric() && (x < c.Low || x > c.High) {
			if outlier = true; k.p.config.Outliers == "clip" {
				k.report.Clipped[c.Name]++
			}
		}
	}
	for i, at := range k.p.targets {
		if !r.missing(at) {
			continue
		}
		name := k.p.config.targets()[i]
		if k.p.config.Missing != Drop {
			return false, fmt.Errorf("column %q, the target, has no value: it is %q", name, r.cells[at])
		}
		missing = true
		k.report.Missing[name]++
	}
	if missing && k.p.config.Missing == Drop {
		return drop("missing")
	}
	if outlier && k.p.config.Outliers == "drop" {
		return drop("outliers")
	}
	if k.seen != nil {
		h := k.hash(r.cells)
		if _, ok := k.seen[h]; ok {
			return drop("duplicates")
		}
		k.seen[h] = struct{}{}
	}
	k.report.Kept++
	return true, nil
}

// hash is that of the features and the targets; rows whose hashes are equal are.
func (k *cleaner) hash(cells []string) [16]byte {
	var b []byte
	put := func(cell string) {
		b = strconv.AppendInt(b, int64(len(cell)), 10)
		b = append(append(b, ':'), cell...)
	}
	for i := range k.p.Columns {
		put(cells[k.p.Columns[i].at])
	}
	for _, at := range k.p.targets {
		put(cells[at])
	}
	sum := sha256.Sum256(b)
	return [16]byte(sum[:16])
}
