// Package idle keeps what is large and will be wanted again, until two
// collections have seen it unused.
package idle

import (
	"runtime"
	"sync"
)

// List is a free list. Unlike a sync.Pool, which keeps one item for each processor
// apart, it hands out what any goroutine has put back, so it never holds more items than
// were in use at a time. The garbage collector empties it: what lies in it through two
// collections goes. The zero List is empty. It is safe for concurrent use and must not be
// copied.
type List[T any] struct {
	mu    sync.Mutex
	items [2][]T // of late, and from before the last collection
	aging bool   // a finalizer will call age
}

// Get returns the item that was put back last, or the zero T if there is none.
func (l *List[T]) Get() (x T, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.items {
		if n := len(l.items[i]); n > 0 {
			return l.remove(i, n-1), true
		}
	}
	return x, false
}

// GetFit returns an item of at least n by size: the smallest. If there is none it gives up the
// largest of the smaller ones, for which a new one will take the place.
func (l *List[T]) GetFit(n int, size func(T) int) (x T, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	best, fits, have := [2]int{}, false, 0
	for i, list := range l.items {
		for j, x := range list {
			s := size(x)
			better := s > have
			if fits {
				better = s >= n && s < have
			} else if s >= n {
				better = true
			}
			if better {
				best, fits, have = [2]int{i, j}, s >= n, s
			}
		}
	}
	if have == 0 {
		return x, false
	}
	y := l.remove(best[0], best[1])
	if !fits {
		return x, false
	}
	return y, true
}

// remove takes item j out of list i.
func (l *List[T]) remove(i, j int) T {
	list := l.items[i]
	x, last := list[j], len(list)-1
	list[j] = list[last]
	clear(list[last:])
	l.items[i] = list[:last]
	return x
}

// Put puts x into the list.
func (l *List[T]) Put(x T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items[0] = append(l.items[0], x)
	if !l.aging {
		l.aging = true
		l.watch()
	}
}

// Clear empties the list now. What was in it may be collected at once, which what the list
// keeps is not: each collection that ages it counts it as in use.
func (l *List[T]) Clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = [2][]T{}
}

// watch has age called after the next collection.
func (l *List[T]) watch() {
	runtime.SetFinalizer(&struct{ l *List[T] }{l}, func(w *struct{ l *List[T] }) { w.l.age() })
}

// age gives up what was old already.
func (l *List[T]) age() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = [2][]T{nil, l.items[0]}
	if l.aging = len(l.items[1]) > 0; l.aging {
		l.watch()
	}
}
