package main

import (
	"fmt"
	goruntime "runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/knob"
	"github.com/gneiss-run/gneiss/onnx/schema"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := "(built from source)"
			if info, ok := debug.ReadBuildInfo(); ok {
				if info.Main.Version != "" && info.Main.Version != "(devel)" {
					v = info.Main.Version
				}
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						v += " " + s.Value[:min(12, len(s.Value))]
					}
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "gneiss %s, %s %s/%s, ISA %s, opsets up to %d\n", v, goruntime.Version(), goruntime.GOOS, goruntime.GOARCH, cpu.Level(), schema.Newest(""))
			return nil
		},
	}
}

func knobsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "knobs",
		Short: "List the environment variables that change how gneiss runs",
		Args:  exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			t := table{head: []string{"variable", "type", "default", "now", "what it does"}}
			for _, k := range knob.All() {
				t.add(k.Name, k.Type, k.Default, k.Get(), k.Help)
			}
			t.print(cmd.OutOrStdout())
			return nil
		},
	}
}
