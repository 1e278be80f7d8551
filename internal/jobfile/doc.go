// Package jobfile reads files of jobs: CSV as spreadsheets of several countries
// save it, JSON lines, JSON arrays and formatted JSON, compressed or not. The
// commands publish and reconcile use it, and dlq republish for corrected jobs.
//
// It holds one row at a time, so a file may have any length. No row is lost
// silently: every row becomes a job, an error with its place, or is skipped and
// counted, and if the rest of a file cannot be read, that is an error.
package jobfile
