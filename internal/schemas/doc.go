// Package schemas builds the JSON Schemas for consumers that are not written in Go:
// docs/schemas/job.schema.json, docs/schemas/withdrawal.schema.json and
// docs/schemas/event.schema.json, in draft 2020-12,
// each without external references.
//
// The members come from the types of package capture; their descriptions and limits are
// here, and a member without a description is an error. Tests compare the published
// files with the generated schemas, and the schemas with what the decoder accepts and
// the program writes. To write the files, run
//
//	go test ./internal/schemas -update
//
// A schema accepts everything that the decoder accepts. It cannot refuse everything that
// the decoder refuses: errors of the text (a duplicate member, trailing bytes, the size)
// and contradictions between members.
package schemas

// Draft is the dialect of both schemas.
const Draft = "https://json-schema.org/draft/2020-12/schema"
