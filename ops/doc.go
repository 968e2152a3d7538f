// Package ops holds the operators: one file each, with versions, type
// inference and kernel.
package ops
