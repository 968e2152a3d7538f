//go:build noasm || !amd64

package par

import "sync/atomic"

var idle atomic.Uint32

// pause lets a little time pass.
func pause() {
	for range 16 {
		idle.Load()
	}
}
