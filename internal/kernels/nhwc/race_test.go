//go:build race

package nhwc

func init() { raceEnabled = true }
