package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strconv"

	"github.com/gneiss-run/gneiss"
	"github.com/gneiss-run/gneiss/tensor"
)

// Keys of the model's metadata.
const (
	vocabularyKey = "vocabulary" // bytes by id, in hexadecimal digits
	contextKey    = "context"
)

// sample writes prompt and length more characters with the model of a file.
func sample(ctx context.Context, path, prompt string, length int, temperature float64, seed uint64, threads int, w io.Writer) (err error) {
	s, err := gneiss.Open(path, gneiss.Options{Threads: threads})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	meta := map[string]string{}
	for _, p := range s.Metadata().Metadata {
		meta[p.Key] = p.Value
	}
	vocabulary, err := hex.DecodeString(meta[vocabularyKey])
	most, e := strconv.Atoi(meta[contextKey])
	if err != nil || e != nil || len(vocabulary) == 0 || most < 1 {
		return fmt.Errorf("%s has no vocabulary or context: was it written by this program?", path)
	}
	ids := encode([]byte(prompt), vocabulary)
	for i, id := range ids {
		if id < 0 {
			return fmt.Errorf("-prompt: byte %d, %q, is not among the %d of the model's vocabulary", i, prompt[i], len(vocabulary))
		}
	}
	if len(ids) == 0 {
		return errors.New("-prompt is empty, want at least one character")
	}
	if _, err := io.WriteString(w, prompt); err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(seed, 0))
	for range length {
		ids = ids[max(0, len(ids)-most):]
		out, err := s.Run(ctx, map[string]gneiss.Value{"x": gneiss.NewTensor(ids, 1, len(ids))})
		if err != nil {
			return err
		}
		logits, ok := out["logits"].(*gneiss.Tensor)
		if !ok || logits.DType() != tensor.Float32 || logits.Len() != len(ids)*len(vocabulary) {
			return fmt.Errorf("%s: the logits are %v, want float32 [1, %d, %d]", path, out["logits"], len(ids), len(vocabulary))
		}
		id, err := draw(r, gneiss.Data[float32](logits)[(len(ids)-1)*len(vocabulary):], temperature)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if _, err := w.Write(vocabulary[id : id+1]); err != nil {
			return err
		}
		ids = append(ids, int64(id))
	}
	_, err = io.WriteString(w, "\n")
	return err
}

// draw returns i with probability softmax(logits / temperature)[i].
func draw(r *rand.Rand, logits []float32, temperature float64) (int, error) {
	top := math.Inf(-1)
	for _, v := range logits {
		top = max(top, float64(v)) // NaN if there is one
	}
	if math.IsNaN(top) || math.IsInf(top, 0) {
		return 0, fmt.Errorf("the largest logit is %g", top)
	}
	p, sum := make([]float64, len(logits)), 0.0
	for i, v := range logits {
		p[i] = math.Exp((float64(v) - top) / temperature)
		sum += p[i]
	}
	x := r.Float64() * sum
	for i, v := range p {
		if x -= v; x < 0 {
			return i, nil
		}
	}
	return len(p) - 1, nil // rounding left a crumb
}
