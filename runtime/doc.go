// Package runtime compiles a model to a program and runs it.
package runtime
