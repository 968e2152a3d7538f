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
// an allocation from its place in the slab when nothing lives there, and from
// the free list otherwise; so a plan can be less than perfect, but never wrong,
// whatever depends on data.

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
	index  []int32 // of the allocation for each result of the program, -1: none
	work   []int32 // by instruction, up to the last that has one: the allocation for its working memory, -1: none
	slabs  idle.List[*slab]
}

type slab struct {
	data  []byte
	parts []buffer
	used  units // where something lives
}

// placement is an allocation at its place.
type placement struct {
	allocation
	offset int
}

// units returns the units of the slab that p takes up.
func (p *placement) units() (from, to int) {
	return p.offset / tensor.Alignment, (p.offset + p.size + tensor.Alignment - 1) / tensor.Alignment
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
	p := &plan{index: make([]int32, results)}
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
		if a.result < 0 {
			for len(p.work) <= a.at {
				p.work = append(p.work, -1)
			}
			p.work[a.at] = int32(i)
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
	data := tensor.AlignedBytes(p.size)
	huge.Advise(unsafe.Pointer(unsafe.SliceData(data)), p.size)
	return p.over(data)
}

// over returns a slab in data, which nothing else uses.
func (p *plan) over(data []byte) *slab {
	return &slab{data: data, parts: make([]buffer, len(p.allocs)), used: newUnits(p.size / tensor.Alignment)}
}

// place returns the planned buffer for a result if it is large enough and
// free; else nil.
func (a *arena) place(result, size int) *buffer {
	if a.plan == nil {
		return nil
	}
	i := a.plan.index[result]
	if i < 0 || size > a.plan.allocs[i].size {
		return nil
	}
	p := &a.plan.allocs[i]
	from, to := p.units()
	if a.slab.used.any(from, to) {
		return nil
	}
	a.slab.used.set(from, to)
	b := &a.slab.parts[i]
	*b = buffer{data: a.slab.data[p.offset : p.offset+p.size : p.offset+p.size], kind: planned, rec: -1, idx: int(i)}
	return b
}

// scratchPlace returns where the working memory of an instruction of the main program lies in the slab, or nil.
func (a *arena) scratchPlace(at int) []byte {
	if a.plan == nil || at >= len(a.plan.work) || a.plan.work[at] < 0 {
		return nil
	}
	p := &a.plan.allocs[a.plan.work[at]]
	if a.slab.used.any(p.units()) {
		return nil
	}
	return a.slab.data[p.offset : p.offset+p.size : p.offset+p.size]
}
