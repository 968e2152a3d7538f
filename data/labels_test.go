package data

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/tensor"
)

func TestClasses(t *testing.T) {
	two := Batch{Name: "a.npz", Inputs: map[string]*tensor.Tensor{"x": tensor.New(tensor.Float32, 2, 3)}}
	one := Batch{Name: "dir/b.npy", Inputs: map[string]*tensor.Tensor{"x": tensor.New(tensor.Float32, 1, 3)}}

	inOrder, err := Classes([]Label{{Text: "3"}, {Text: "1"}, {Text: "2"}})
	require.NoError(t, err)
	c, err := inOrder(two, 1)
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, c)
	_, err = inOrder(two, 2)
	require.ErrorContains(t, err, "3 labels, and this is sample 4")

	byFile, err := Classes([]Label{{"b.npy", "5"}, {"cats/1.png", "1"}, {"dogs/1.png", "2"}})
	require.NoError(t, err)
	c, err = byFile(one, 7)
	require.NoError(t, err)
	require.Equal(t, []int{5}, c)
	images := two
	images.Files = []string{"photos/dogs/1.png", "photos/cats/1.png"}
	c, err = byFile(images, 0)
	require.NoError(t, err)
	require.Equal(t, []int{2, 1}, c)
	images.Files = []string{"photos/1.png"}
	_, err = byFile(images, 0)
	require.ErrorContains(t, err, "photos/1.png: it has no label")
	_, err = byFile(two, 0)
	require.ErrorContains(t, err, "list labels without files")

	_, err = Classes([]Label{{Text: "cat"}})
	require.ErrorContains(t, err, `label "cat"`)
	_, err = Classes(nil)
	require.Error(t, err)
}
