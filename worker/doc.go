// Package worker takes capture jobs from JetStream and sees each to its
// outcome. Read process.go first: it is a job's way from top to bottom. What
// to do is decided by package capture; this package only obeys, and owns what
// the decision does not: pulling, waiting, the limits on gateway calls, and
// how a decision becomes an ack, a delayed redelivery or a dead letter.
package worker
