package near

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHint(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "abc", 3}, {"kitten", "sitting", 3}, {"adam", "adam", 0}, {"adam", "adamm", 1}} {
		require.Equal(t, c.want, Distance(c.a, c.b))
		require.Equal(t, c.want, Distance(c.b, c.a))
	}
	known := []string{"adam", "adamw", "sgd", "Lion"}
	require.Equal(t, `; did you mean "adam" or "adamw"?`, Hint("adem", known))
	require.Equal(t, `; did you mean "Lion"?`, Hint("lion", known))
	require.Equal(t, "", Hint("rmsprop", known))
}
