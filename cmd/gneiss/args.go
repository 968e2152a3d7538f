package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// exactArgs is cobra.ExactArgs with the exit code of wrong usage.
func exactArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < n:
			return usageError("%s: an argument is missing; usage: %s", cmd.Name(), cmd.UseLine())
		case len(args) > n:
			return usageError("%s: %s more than it takes: %q; usage: %s", cmd.Name(), counted(len(args)-n, "argument"), args[n], cmd.UseLine())
		}
		return nil
	}
}

// counted writes "1 problem", "2 problems".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
