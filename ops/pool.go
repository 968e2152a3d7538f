package ops

import (
	goreflect "reflect"
	"sync"
)

var pools sync.Map // reflect.Type of T: *sync.Pool of *T

// borrow returns a T in any state that earlier users left it in, for the
// working memory of parallel loops; Put gives it back.
func borrow[T any]() (t *T, pool *sync.Pool) {
	pool = poolOf(goreflect.TypeFor[T]())
	t, ok := pool.Get().(*T)
	if !ok {
		t = new(T)
	}
	return t, pool
}

func poolOf(t goreflect.Type) *sync.Pool {
	p, ok := pools.Load(t)
	if !ok {
		p, _ = pools.LoadOrStore(t, &sync.Pool{})
	}
	return p.(*sync.Pool)
}
