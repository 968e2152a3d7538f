package tokenizer_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/data/tokenizer"
)

// A tokenizer is trained on a column of a table, and written for gneiss train (data.tokenizer) or Hugging Face's library.
func ExampleTrain() {
	dir, err := os.MkdirTemp("", "tokenizer")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "reviews.csv")
	if err := os.WriteFile(path, []byte("review,label\nwhat a lovely stone,1\na lovely lake,1\na dull stone,0\n"), 0o644); err != nil {
		log.Fatal(err)
	}

	table, err := data.OpenTable(path)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	column := slices.Index(table.Columns(), "review")
	texts := func(yield func(string, error) bool) {
		for row, err := range table.Rows(ctx) {
			text := ""
			if err == nil {
				text = row[column]
			}
			if !yield(text, err) || err != nil {
				return
			}
		}
	}
	t, err := tokenizer.Train(ctx, texts, tokenizer.TrainOptions{Model: "WordPiece", VocabSize: 40, Lowercase: true})
	if err != nil {
		log.Fatal(err)
	}
	if err := t.Save(filepath.Join(dir, "tokenizer.json")); err != nil {
		log.Fatal(err)
	}
	e, err := t.Encode("A lovely stone", tokenizer.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(e.Tokens)
	// Output: [[CLS] a lovely stone [SEP]]
}
