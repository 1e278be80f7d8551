// Package contest is what the small candidates of the benchmark share: the
// flags by which the harness drives them, the signed capture call, and the line
// of JSON that they print when they end.
//
// It is a module of its own and needs the standard library only, so that no
// peer's dependencies choose the versions of another's.
package contest
