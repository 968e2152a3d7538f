package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The page of the configuration has all keys, layers, models and steps that the program knows.
func TestTrainingPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/training.md")
	require.NoError(t, err)
	known := slices.Concat(keysOf(&trainConfig{}), keysOf(&modelConfig{}), keysOf(&weightsConfig{}), keysOf(&headConfig{}), keysOf(&dataConfig{}), keysOf(&cleanConfig{}),
		keysOf(&groupConfig{}), keysOf(&teacherConfig{}), keysOf(&exportConfig{}), keysOf(&qatConfig{}), keysOf(&mixedConfig{}), keysOf(&scaleConfig{}),
		keysOf(&streamConfig{}), namesOf(activations), namesOf(sized), namesOf(augmentations), readyNames())
	for _, name := range readyNames() {
		known = append(known, keysOf(readyModels[name]())...)
	}
	require.Contains(t, known, "class_weights")
	var said []string // the words in code
	for i, text := range strings.Split(string(page), "`") {
		if i%2 == 1 {
			said = append(said, strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,:{}[]", r) })...)
		}
	}
	for _, key := range known {
		assert.Contains(t, said, key)
	}
}
