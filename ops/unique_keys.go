package ops

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/tensor"
)

// keyed is a key in the order of an element, and the element's index.
type keyed struct {
	key uint64
	at  int64
}

// uniqueKeys returns the keys of the elements of x and as much room again, nil where there are few or no numbers.
func uniqueKeys(c *Call, x *tensor.Tensor) (keys, room []keyed) {
	var f orderKeys
	switch x.DType() {
	case tensor.Int8:
		f = signedKeys[int8]
	case tensor.Int16:
		f = signedKeys[int16]
	case tensor.Int32:
		f = signedKeys[int32]
	case tensor.Int64:
		f = signedKeys[int64]
	case tensor.Uint8:
		f = unsignedKeys[uint8]
	case tensor.Uint16:
		f = unsignedKeys[uint16]
	case tensor.Uint32:
		f = unsignedKeys[uint32]
	case tensor.Uint64:
		f = unsignedKeys[uint64]
	case tensor.Float32:
		f = float32Keys
	case tensor.Float64:
		f = float64Keys
	}
	n := x.Len()
	if f == nil || n < 64 {
		return nil, nil
	}
	numbers := Scratch[uint64](c, n)
	f(numbers, x, 0, 1)
	mem := Scratch[uint64](c, 4*n) // a keyed is two of them
	all := unsafe.Slice((*keyed)(startOf(mem)), 2*n)
	keys, room = all[:n], all[n:]
	for i, v := range numbers {
		keys[i] = keyed{v, int64(i)}
	}
	return keys, room
}

// sortKeys sorts keys byte by byte, the least first, and leaves equal ones in their order. It returns which of
// keys and room holds them then. Bytes in which no keys differ take no time.
func sortKeys(keys, room []keyed) []keyed {
	var counts [8][256]int
	for _, k := range keys {
		for b := range counts {
			counts[b][uint8(k.key>>(8*b))]++
		}
	}
	for b := range counts {
		to := &counts[b]
		if to[uint8(keys[0].key>>(8*b))] == len(keys) {
			continue
		}
		sum := 0
		for i, n := range to {
			to[i] = sum
			sum += n
		}
		for _, k := range keys {
			i := uint8(k.key >> (8 * b))
			room[to[i]] = k
			to[i]++
		}
		keys, room = room, keys
	}
	return keys
}

// groupKeys groups elements by their keys, which are sorted.
func groupKeys(keys []keyed) *grouping {
	distinct := 1
	for i := 1; i < len(keys); i++ {
		if keys[i].key != keys[i-1].key {
			distinct++
		}
	}
	g := &grouping{make([]int64, 0, distinct), make([]int64, len(keys)), make([]int64, distinct)}
	for i, k := range keys {
		if i == 0 || k.key != keys[i-1].key {
			g.first = append(g.first, k.at)
		}
		group := len(g.first) - 1
		g.inverse[k.at] = int64(group)
		g.counts[group]++
	}
	return g
}
