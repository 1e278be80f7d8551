// Package jobfile reads files of jobs in the forms in use: CSV as spreadsheets
// of several countries save it, JSON lines, JSON arrays and printed JSON, packed
// or not. It is what publish, reconcile and the corrected jobs of dlq republish
// read with.
//
// It holds one row at a time, so that a file may have any length, and nothing of
// a file vanishes: every row becomes a job, a fault with its place, or is
// skipped and counted, and what cannot be read on is an error.
package jobfile
