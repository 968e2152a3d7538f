package main

import (
	"encoding/json"
	"fmt"
	"io"
	goruntime "runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/knob"
	"github.com/gneiss-run/gneiss/onnx/schema"
)

// buildVersion is the module's version and the commit it was built from.
func buildVersion() (version, revision string) {
	version = "(built from source)"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version, ""
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return version, revision
}

func versionText() string {
	v, rev := buildVersion()
	if rev != "" {
		v += " " + rev[:min(12, len(rev))]
	}
	return fmt.Sprintf("gneiss %s, %s %s/%s, ISA %s, opsets up to %d", v, goruntime.Version(), goruntime.GOOS, goruntime.GOARCH, cpu.Level(), schema.Newest(""))
}

// writeJSON writes v as one line.
func writeJSON(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, string(b))
	return err
}

func versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !asJSON {
				fmt.Fprintln(cmd.OutOrStdout(), versionText())
				return nil
			}
			v, rev := buildVersion()
			return writeJSON(cmd.OutOrStdout(), map[string]any{"version": v, "revision": rev, "go": goruntime.Version(),
				"os": goruntime.GOOS, "arch": goruntime.GOARCH, "isa": cpu.Level(), "opset": schema.Newest("")})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func knobsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "knobs",
		Short: "List the environment variables that change how gneiss runs",
		Args:  exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			type row struct {
				Name    string `json:"name"`
				Type    string `json:"type"`
				Default string `json:"default"`
				Now     string `json:"now"`
				Help    string `json:"help"`
			}
			var rows []row
			t := table{head: []string{"variable", "type", "default", "now", "what it does"}}
			for _, k := range knob.All() {
				rows = append(rows, row{k.Name, k.Type, k.Default, k.Get(), k.Help})
				t.add(k.Name, k.Type, k.Default, k.Get(), k.Help)
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), map[string]any{"knobs": rows})
			}
			t.print(cmd.OutOrStdout())
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
