// Package tensor: see the declarations.
package tensor
