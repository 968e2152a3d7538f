package runtime

import "testing"

// SmallRegions gives regions to models of any size until the test ends.
func SmallRegions(t *testing.T) {
	run, buffer := leastRegion, leastRegional
	leastRegion, leastRegional = 0, 1
	t.Cleanup(func() { leastRegion, leastRegional = run, buffer })
}
