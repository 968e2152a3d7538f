package prep

import (
	"math"
	"math/rand/v2"
	"slices"
)

// maxSample is how many numbers of a column quantiles and modes are exact for; of
// longer ones they are those of as large a random sample.
const maxSample = 1 << 20

// stats describes the numbers of a column: moments by Welford's method (Note on a
// method for calculating corrected sums of squares and products, 1962), and a uniform
// sample by reservoir (Vitter, Random sampling with a reservoir, 1985), which is
// deterministic.
type stats struct {
	n        int
	mean, m2 float64
	min, max float64
	sample   []float64
	rand     *rand.Rand
	most     int // of sample
	sorted   bool
}

// newStats returns the stats of no numbers yet. ranks has them know quantiles and the mode, for
// which a sample of up to 8 MiB is held.
func newStats(seed int, ranks bool) *stats {
	s := &stats{min: math.Inf(1), max: math.Inf(-1), rand: rand.New(rand.NewPCG(uint64(seed), 0x57a7))}
	if ranks {
		s.most = maxSample
	}
	return s
}

func (s *stats) add(x float64) {
	s.n++
	d := x - s.mean
	s.mean += d / float64(s.n)
	s.m2 += d * (x - s.mean)
	s.min, s.max = min(s.min, x), max(s.max, x)
	if s.sorted = false; len(s.sample) < s.most {
		s.sample = append(s.sample, x)
	} else if s.most == 0 {
		return
	} else if k := s.rand.IntN(s.n); k < s.most {
		s.sample[k] = x
	}
}

// std returns the standard deviation of the population.
func (s *stats) std() float64 { return math.Sqrt(s.m2 / float64(max(s.n, 1))) }

// quantile interpolates linearly between the nearest ranks, as NumPy's default.
func (s *stats) quantile(q float64) float64 {
	if !s.sorted {
		slices.Sort(s.sample)
		s.sorted = true
	}
	at := q * float64(len(s.sample)-1)
	i := int(at)
	if i+1 >= len(s.sample) {
		return s.sample[len(s.sample)-1]
	}
	return s.sample[i] + (at-float64(i))*(s.sample[i+1]-s.sample[i])
}

// mode returns the most frequent number, the least of equally frequent ones.
func (s *stats) mode() float64 {
	s.quantile(0) // sorts
	best, most := s.sample[0], 0
	for i := 0; i < len(s.sample); {
		k := i
		for k < len(s.sample) && s.sample[k] == s.sample[i] {
			k++
		}
		if k-i > most {
			best, most = s.sample[i], k-i
		}
		i = k
	}
	return best
}
