// Package schemas makes the JSON Schemas that other services read instead of our Go
// types: docs/schemas/job.schema.json and docs/schemas/event.schema.json, both
// draft 2020-12 and each complete in itself.
//
// The members come from package capture, so that a new one cannot be
// forgotten; what a member may hold and what it means stands here. The tests
// hold the published files equal to what is made here, and what is made here to
// what the decoder takes and the program writes. Rewrite the files with
//
//	go test ./internal/schemas -update
//
// A schema never refuses what the decoder takes. It cannot refuse all that the
// decoder refuses: not what is wrong with the text (a member twice, bytes after
// the end, too large), and not two members that contradict each other.
package schemas

// Draft is the dialect of both schemas.
const Draft = "https://json-schema.org/draft/2020-12/schema"
