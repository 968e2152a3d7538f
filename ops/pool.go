package ops

import (
	goreflect "reflect"
	"sync"
)

var pools sync.Map // reflect.Type of T: *sync.Pool of *T

// borrow returns a T in any state that earlier users left it in, for the
// working memory of parallel loops; Put gives it back.
func borrow[T any]() (t *T, pool *sync.Pool) {
	key := goreflect.TypeFor[T]()
	p, ok := pools.Load(key)
	if !ok {
		p, _ = pools.LoadOrStore(key, &sync.Pool{})
	}
	pool = p.(*sync.Pool)
	t, ok = pool.Get().(*T)
	if !ok {
		t = new(T)
	}
	return t, pool
}
