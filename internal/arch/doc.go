// Package arch holds no code: its tests are the contract of the house, who may
// import whom, how long files may be, and what comes with an operator.
package arch
