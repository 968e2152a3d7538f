package runtime

import (
	"slices"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/huge"
	"github.com/gneiss-run/gneiss/internal/idle"
	"github.com/gneiss-run/gneiss/tensor"
)

// A plan places the intermediate values of a run in one slab. It is made from
// a recording of an earlier run with the same input shapes: which allocation
// each instruction made, and when its last reference went. A later run takes
// an allocation from its place in the slab when everything that shared the
// place before has been released, and from the free list otherwise; so a plan
// can be less than perfect, but never wrong, whatever depends on data.

// recording notes the allocations of one run of a main program.
type recording struct{ allocs []allocation }

// allocation is storage of size bytes for a result of instruction at, last read
// by instruction death (-1: it outlived the run). Result -1 is the working memory of
// the instruction, if it is minPlaced or more.
type allocation struct{ at, result, size, death int }

const minPlaced = 64 << 10

// plan is immutable; its slabs are reused between runs.
type plan struct {
	size   int
	allocs []placement
	index  []int32     // of the allocation for each result of the program, -1: none
	work   map[int]int // by instruction: the allocation for its working memory
	slabs  idle.List[*slab]
}

type slab struct {
	data  []byte
	parts []buffer
}

// placement is an allocation at its place. before lists the allocations that
// use part of the same place earlier in the run.
type placement struct {
	allocation
	offset int
	before []int
}

// makePlan places the allocations of a recording: the largest first, each at
// the lowest offset where nothing lives at the same time.
func makePlan(r *recording, results int) *plan {
	var list []placement
	for _, a := range r.allocs {
		if a.death >= a.at && a.size > 0 {
			list = append(list, placement{allocation: a})
		}
	}
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return list[j].size - list[i].size })
	p := &plan{index: make([]int32, results), work: map[int]int{}}
	for i := range p.index {
		p.index[i] = -1
	}
	var placed []int // by offset
	for _, i := range order {
		a := &list[i]
		off, size := 0, (a.size+tensor.Alignment-1)&^(tensor.Alignment-1)
		for _, j := range placed {
			b := &list[j]
			if b.death < a.at || a.death < b.at || b.offset+b.size <= off {
				continue
			}
			if b.offset >= off+size {
				break
			}
			off = (b.offset + b.size + tensor.Alignment - 1) &^ (tensor.Alignment - 1)
		}
		a.offset = off
		p.size = max(p.size, off+size)
		at, _ := slices.BinarySearchFunc(placed, off, func(j, off int) int { return list[j].offset - off })
		placed = slices.Insert(placed, at, i)
	}
	for i := range list {
		a := &list[i]
		for j := range list {
			b := &list[j]
			if b.at < a.at && a.offset < b.offset+b.size && b.offset < a.offset+a.size {
				a.before = append(a.before, j)
			}
		}
		if a.result < 0 {
			p.work[a.at] = i
		} else {
			p.index[a.result] = int32(i)
		}
	}
	p.allocs = list
	return p
}

// slab returns memory for one run.
func (p *plan) slab() *slab {
	if s, ok := p.slabs.Get(); ok {
		return s
	}
	s := &slab{data: tensor.AlignedBytes(p.size), parts: make([]buffer, len(p.allocs))}
	huge.Advise(unsafe.Pointer(unsafe.SliceData(s.data)), p.size)
	return s
}

// place returns the planned buffer for a result if it is large enough and
// free; else nil.
func (a *arena) place(result, size int) *buffer {
	if a.plan == nil {
		return nil
	}
	i := int(a.plan.index[result])
	if i < 0 || size > a.plan.allocs[i].size || !a.vacant(i) {
		return nil
	}
	p := &a.plan.allocs[i]
	b := &a.parts[i]
	b.data, b.kind, b.rec, b.idx = a.slab[p.offset:p.offset+p.size:p.offset+p.size], planned, -1, i
	return b
}

// vacant reports whether nothing lives where the plan has allocation i.
func (a *arena) vacant(i int) bool {
	if a.parts[i].refs != 0 {
		return false
	}
	for _, j := range a.plan.allocs[i].before {
		if a.parts[j].refs != 0 {
			return false
		}
	}
	return true
}

// scratchPlace returns where the working memory of an instruction of the main program lies in the slab, or nil.
func (a *arena) scratchPlace(at int) []byte {
	if a.plan == nil {
		return nil
	}
	i, ok := a.plan.work[at]
	if !ok || !a.vacant(i) {
		return nil
	}
	p := &a.plan.allocs[i]
	return a.slab[p.offset : p.offset+p.size : p.offset+p.size]
}
