// Command gneiss runs, inspects, checks, optimises and benchmarks ONNX models.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gneiss-run/gneiss/internal/knob"
	"github.com/gneiss-run/gneiss/tensor"
)

// Exit codes, as scripts rely on them.
const (
	exitOK      = 0
	exitFailed  = 1 // one line on standard error says what, where, why
	exitUsage   = 2
	exitDiffers = 3 // done, but an output differs or a bound was missed
)

// exitError carries an exit code other than 1. A nil err prints nothing: what
// there is to say was said.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// outWriter remembers the first error of standard output: a command whose
// output got lost has failed.
type outWriter struct {
	io.Writer
	mu  sync.Mutex
	err error
}

func (w *outWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	return n, err
}

// run is the whole program: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	out := &outWriter{Writer: stdout}
	started := false // what fails before a command starts is wrong usage
	root := rootCommand(out)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetErr(stderr)
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		started = true
		for _, k := range knob.All() {
			if err := k.Err(); err != nil {
				return err
			}
		}
		return nil
	}
	cmd := root
	err := guarded(stderr, func() (err error) {
		cmd, err = root.ExecuteContextC(ctx)
		return err
	})
	if err == nil && out.err != nil {
		err = fmt.Errorf("standard output: %w", out.err)
	}
	if err == nil {
		return exitOK
	}
	code := exitFailed
	var e *exitError
	switch {
	case errors.As(err, &e):
		code = e.code
		if e.err == nil {
			return code
		}
	case !started:
		code = exitUsage
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		err = errors.New("interrupted")
	}
	hint := ""
	if code == exitUsage {
		hint = "; " + cmd.CommandPath() + " --help says more"
	}
	fmt.Fprintf(stderr, "gneiss: %s%s\n", oneLine(err), hint)
	return code
}

// guarded calls f. A fault in a mapped file, which somebody may truncate while
// it is in use, is an error; so is a panic, which the caller would otherwise see
// as the exit code of wrong usage.
func guarded(stderr io.Writer, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(stderr, "%s\n", debug.Stack())
			err = fmt.Errorf("internal error: %v; please report it with the lines above", r)
		}
	}()
	return tensor.Guard(f)
}

// oneLine is the text of err on one line, without the control characters that
// a name in a file may hold.
func oneLine(err error) string {
	return printable(strings.Join(strings.Fields(err.Error()), " "))
}

func init() { cobra.AddTemplateFunc("versionText", versionText) }

func rootCommand(stdout io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:           "gneiss",
		Short:         "Run, inspect, check, optimise and benchmark ONNX models",
		Version:       "see the template", // which makes the text only when it is asked for: that unpacks the table of operators
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			hint := ""
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = ", perhaps " + strings.Join(near, " or ")
			}
			return usageError("there is no command %q%s", args[0], hint)
		},
	}
	root.SetOut(stdout) // before the completion command is made, which keeps it
	root.SetVersionTemplate("{{versionText}}\n")
	root.SuggestionsMinimumDistance = 2
	root.AddCommand(runCommand(), inspectCommand(), checkCommand(), benchCommand(), optimizeCommand(), quantizeCommand(), pruneCommand(), convertCommand(), trainCommand(), evalCommand(), distillCommand(),
		conformanceCommand(), versionCommand(), knobsCommand())
	root.SetHelpCommand(helpCommand())
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Use = "completion SHELL"
			c.Short = "Print the completion script for bash, zsh, fish or powershell"
			c.Args = cobra.ArbitraryArgs
			c.RunE = func(_ *cobra.Command, args []string) error {
				if len(args) == 0 {
					return usageError("completion: for which shell? bash, zsh, fish or powershell")
				}
				return usageError("completion: there is none for %q: want bash, zsh, fish or powershell", args[0])
			}
		}
	}
	return root
}

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Print help about a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usageError("help: there is no command %q", strings.Join(args, " "))
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}
