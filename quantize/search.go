package quantize

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/internal/atomicfile"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
)

// Recipe is one way to quantise.
type Recipe struct {
	Name string
	// Make rewrites m, and leaves the nodes of exclude as they are.
	Make func(ctx context.Context, m *onnx.Model, exclude []string) (*Summary, error)
}

// Candidate is a model that a search tried.
type Candidate struct {
	Recipe  string   `json:"recipe"`
	Exclude []string `json:"exclude,omitempty"`
	// Bytes of its initializers.
	Bytes int64 `json:"bytes"`
	// LatencyNS is the median of some runs on the first batch, in nanoseconds.
	LatencyNS int64   `json:"latency_ns"`
	Accuracy  float64 `json:"accuracy"`
	Before    float64 `json:"accuracy_before"`
	Drop      float64 `json:"drop"`
	// RelativeL2 is the highest relative L2 error of the outputs.
	RelativeL2 float64 `json:"relative_l2"`
	// Error says why the recipe gave no model.
	Error string `json:"error,omitempty"`
}

func (c *Candidate) key() string { return c.Recipe + "\x00" + strings.Join(c.Exclude, "\x00") }

// SearchConfig says what a search is for.
type SearchConfig struct {
	// MaxDrop is the largest loss of accuracy, relative to the original's.
	MaxDrop float64
	// Fastest asks for the fastest model within the bound instead of the smallest.
	Fastest bool
	// Runtime is how models are run.
	Runtime runtime.Options
	// Layers returns the nodes that a recipe quantises, what hurts most first: those
	// are excluded where the recipe alone misses the bound. Nil: none are.
	Layers func(ctx context.Context, r Recipe) ([]string, error)
	// State is a file in which what was tried is kept, so that a search that was
	// interrupted goes on where it was. ID says what the figures in it are of: a file
	// with another ID is an error, and left as it is. Empty: nothing is kept.
	State, ID string
	// Better is called with each model that is the best so far. The original, if
	// nothing is within the bound, is not reported.
	Better func(m *onnx.Model, s *Summary, c Candidate) error
	// Tried, which may be nil, is called after each candidate.
	Tried func(c Candidate)
}

// searchState is the content of the file.
type searchState struct {
	ID    string      `json:"id"`
	Tried []Candidate `json:"tried"`
}

// Search tries the recipes on copies of m, then, from the one that loses least,
// leaves out more and more of the nodes that hurt most: 1, 2, 4 and so on until the
// bound is met, then fewer again by halving. It returns the index of the best
// within the bound in the list of all that was tried, -1 if there is none. What was tried
// before ctx ended, or before an error, is returned too.
func Search(ctx context.Context, m *onnx.Model, recipes []Recipe, base *Baseline, c SearchConfig) (tried []Candidate, best int, err error) {
	if base.Labelled == 0 || base.Right == 0 {
		return nil, -1, errors.New("a search needs labels, and an original that gets some of them right")
	}
	s := &search{SearchConfig: c, m: m, base: base, best: -1}
	if err := s.load(); err != nil {
		return nil, -1, err
	}
	var least *Candidate
	var from Recipe
	for _, r := range recipes {
		i, err := s.try(ctx, r, nil)
		if err != nil {
			return s.tried, s.best, err
		}
		if x := &s.tried[i]; x.Error == "" && (least == nil || x.Drop < least.Drop || x.Drop == least.Drop && x.RelativeL2 < least.RelativeL2) {
			y := *x
			least, from = &y, r
		}
	}
	if s.best < 0 && least != nil && c.Layers != nil {
		if err := s.leaveOut(ctx, from); err != nil {
			return s.tried, s.best, err
		}
	}
	return s.tried, s.best, nil
}

type search struct {
	SearchConfig
	m     *onnx.Model
	base  *Baseline
	known map[string]Candidate
	tried []Candidate
	best  int
}

// leaveOut looks for the fewest nodes to exclude from r.
func (s *search) leaveOut(ctx context.Context, r Recipe) error {
	layers, err := s.Layers(ctx, r)
	if err != nil {
		return err
	}
	within := func(n int) (bool, error) {
		i, err := s.try(ctx, r, layers[:n])
		return err == nil && s.ok(&s.tried[i]), err
	}
	most := len(layers) - 1 // one is to be quantised at least
	bad, good := 0, 0
	for good == 0 && bad < most {
		n := min(max(2*bad, 1), most)
		ok, err := within(n)
		switch {
		case err != nil:
			return err
		case ok:
			good = n
		default:
			bad = n
		}
	}
	for good-bad > 1 {
		n := (good + bad) / 2
		ok, err := within(n)
		switch {
		case err != nil:
			return err
		case ok:
			good = n
		default:
			bad = n
		}
	}
	return nil
}

func (s *search) ok(c *Candidate) bool { return c.Error == "" && c.Drop <= s.MaxDrop }

// better reports whether a is to be preferred to b.
func (s *search) better(a, b *Candidate) bool {
	if s.Fastest && a.LatencyNS != b.LatencyNS {
		return a.LatencyNS < b.LatencyNS
	}
	if a.Bytes != b.Bytes {
		return a.Bytes < b.Bytes
	}
	return a.Drop < b.Drop
}

// try returns the index of what r gives without the excluded nodes. A recipe that
// fails is a candidate with an Error; err is about what ends the search.
func (s *search) try(ctx context.Context, r Recipe, exclude []string) (int, error) {
	c := Candidate{Recipe: r.Name, Exclude: slices.Clone(exclude)}
	old, known := s.known[c.key()]
	if known {
		c = old
	}
	var model *onnx.Model
	var sum *Summary
	if !known || s.ok(&c) && (s.best < 0 || s.better(&c, &s.tried[s.best])) {
		m := s.m.Clone()
		var err error
		if sum, err = r.Make(ctx, m, exclude); err == nil {
			err = s.measure(ctx, m, sum, &c)
		}
		if ctx.Err() != nil {
			return -1, ctx.Err()
		}
		if err != nil {
			c.Error = err.Error()
		}
		model = m
	}
	s.tried = append(s.tried, c)
	i := len(s.tried) - 1
	if s.ok(&c) && (s.best < 0 || s.better(&c, &s.tried[s.best])) && model != nil {
		s.best = i
		if s.Better != nil {
			if err := s.Better(model, sum, c); err != nil {
				return i, err
			}
		}
	}
	if err := s.save(); err != nil {
		return i, err
	}
	if s.Tried != nil {
		s.Tried(c)
	}
	return i, nil
}

func (s *search) measure(ctx context.Context, m *onnx.Model, sum *Summary, c *Candidate) error {
	session, err := runtime.New(m, s.Runtime)
	if err != nil {
		return err
	}
	defer session.Close()
	e, err := s.base.Compare(ctx, session)
	if err != nil {
		return err
	}
	c.Bytes = sum.After
	c.Accuracy, c.Before = e.Accuracy()
	c.Drop = e.Drop()
	c.RelativeL2 = e.worst()
	d, err := Latency(ctx, session, s.base.src)
	c.LatencyNS = d.Nanoseconds()
	return err
}

// Latency returns the median time of some runs on the first batch of src: about
// half a second of them, at least 3 and at most 50, after 2 that do not count.
func Latency(ctx context.Context, s *runtime.Session, src data.Source) (time.Duration, error) {
	for b, err := range src.Batches(ctx) {
		if err != nil {
			return 0, err
		}
		in := b.Values()
		var times []time.Duration
		total := time.Duration(0)
		for i := 0; i < 5 || i < 52 && total < 500*time.Millisecond; i++ {
			start := time.Now()
			if _, err := s.Run(ctx, in); err != nil {
				return 0, err
			}
			if i >= 2 {
				d := time.Since(start)
				times = append(times, d)
				total += d
			}
		}
		slices.Sort(times)
		return times[len(times)/2], nil
	}
	return 0, errors.New("there are no samples")
}

func (s *search) load() error {
	s.known = map[string]Candidate{}
	if s.State == "" {
		return nil
	}
	b, err := os.ReadFile(s.State)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var st searchState
	if err := json.Unmarshal(b, &st); err != nil {
		return fmt.Errorf("%s: %w; it is not the state of a search: take it away to begin anew", s.State, err)
	}
	if st.ID != s.ID {
		return fmt.Errorf("%s: it is not the state of this search, but of one with another model, samples or settings: name another file, or take it away to begin anew", s.State)
	}
	for _, c := range st.Tried {
		s.known[c.key()] = c
	}
	return nil
}

// save writes the state so that a file is whole or as it was.
func (s *search) save() error {
	if s.State == "" {
		return nil
	}
	st := searchState{ID: s.ID, Tried: slices.Clone(s.tried)}
	seen := map[string]bool{}
	for _, c := range st.Tried {
		seen[c.key()] = true
	}
	for _, k := range slices.Sorted(maps.Keys(s.known)) { // of a run that got further
		if !seen[k] {
			st.Tried = append(st.Tried, s.known[k])
		}
	}
	b, err := json.MarshalIndent(st, "", " ")
	if err != nil {
		return err
	}
	return atomicfile.Write(s.State, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}
