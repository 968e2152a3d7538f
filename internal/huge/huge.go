// Package huge asks for large pages for memory that is used again and again: the
// processor translates their addresses with fewer entries.
package huge

// Least is the number of bytes below which Advise does nothing.
const Least = 4 << 20
