package idle

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGet(t *testing.T) {
	var l List[int]
	_, ok := l.Get()
	require.False(t, ok)
	l.Put(1)
	l.Put(2)
	for _, want := range []int{2, 1} {
		x, ok := l.Get()
		require.True(t, ok)
		require.Equal(t, want, x)
	}
	_, ok = l.Get()
	require.False(t, ok)
}

func TestGetFit(t *testing.T) {
	size := func(x int) int { return x }
	var l List[int]
	for _, x := range []int{5, 9, 3, 7} {
		l.Put(x)
	}
	x, ok := l.GetFit(6, size)
	require.True(t, ok)
	require.Equal(t, 7, x)
	_, ok = l.GetFit(10, size) // in the place of 9
	require.False(t, ok)
	_, ok = l.GetFit(6, size) // in the place of 5
	require.False(t, ok)
	x, ok = l.GetFit(1, size)
	require.True(t, ok)
	require.Equal(t, 3, x)
	_, ok = l.GetFit(0, size)
	require.False(t, ok)
}

func TestCollected(t *testing.T) {
	var l List[*[1 << 20]byte]
	gone := make(chan bool, 1)
	x := new([1 << 20]byte)
	runtime.SetFinalizer(x, func(*[1 << 20]byte) { gone <- true })
	l.Put(x)
	l.age() // the item is old, not gone
	y, ok := l.Get()
	require.True(t, ok)
	require.Same(t, x, y)
	l.Put(y)
	x, y = nil, nil
	require.Eventually(t, func() bool {
		runtime.GC()
		return len(gone) == 1
	}, 10*time.Second, time.Millisecond)
	l.mu.Lock()
	defer l.mu.Unlock()
	require.False(t, l.aging)
}
