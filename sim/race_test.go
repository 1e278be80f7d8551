//go:build race

package sim_test

// The race detector costs ten times the time, and a simulation has one
// goroutine: a few seeds show that the runner around it is sound.
func init() { raced = 10 }
