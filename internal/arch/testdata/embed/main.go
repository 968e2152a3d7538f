// Command embed runs a model on zeros; it stands for a service that embeds the library.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/gneiss-run/gneiss"
)

func main() {
	s, err := gneiss.Open(os.Args[1], gneiss.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer s.Close()
	in := map[string]gneiss.Value{}
	for _, v := range s.Inputs() {
		in[v.Name] = gneiss.NewTensor(make([]float32, 10), 1, 10)
	}
	out, err := s.Run(context.Background(), in)
	fmt.Println(out, err)
}
