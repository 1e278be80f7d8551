// Package contest is what the small contestants of the benchmark share: the
// flags by which the harness drives them, the signed capture call in its
// leanest form, and the line of JSON that they print when they end.
package contest
