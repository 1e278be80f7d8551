package schemas

import (
	"slices"

	"github.com/capture-worker/capture-worker/capture"
)

// required are the members that every job has.
var required = []string{"trade_id", "amount", "currency"}

// jobMembers says what the members of a job may hold.
func jobMembers() map[string]object {
	return map[string]object{
		"trade_id":          obj("type", "string", "pattern", tradeIDPattern, "description", "The gateway's name of the authorization."),
		"amount":            amountSchema().with("description", "What to capture: a plain positive decimal with at most the currency's decimals, as a string. Not above authorized_amount.", "examples", []string{"24.99"}),
		"currency":          currencySchema().with("description", "ISO 4217, upper case; the authorization's.", "examples", []string{"EUR"}),
		"order_id":          line(128).with("description", "The shop's name of the order. Carried into every outcome. Nothing personal."),
		"description":       line(255).with("description", "One line for the gateway. Without it: \"order <order_id>\" or \"capture of <trade_id>\". Nothing personal."),
		"authorized_at":     moment().with("description", "When the authorization was given. It can be captured for 30 days from then."),
		"authorized_amount": amountSchema().with("description", "What was authorized, in the same currency. Say it when less is captured."),
		"capture_before":    moment().with("description", "From this moment on no capture call is made. Not before authorized_at."),
		"notify_url": obj("type", "string", "maxLength", 512, "allOf", []object{obj("pattern", asciiPattern), obj("pattern", urlPattern)},
			"not", obj("pattern", neighbourPattern),
			"description", "Where the gateway reports changes: absolute https, without user and password, and a host that the worker's gateway.notify_hosts allows."),
	}
}

// askedOrder and askedDescription are wider than what is written of them: a
// worker cleans them of what cannot be printed, and cuts a description.
func askedOrder() object {
	return obj("type", "string", "maxLength", 128, "pattern", "^[^\ufffd]*$", "not", obj("pattern", neighbourPattern),
		"description", "The shop's name of the order. Carried into every outcome, without marks that cannot be printed. Nothing personal.")
}

func askedDescription() object {
	return obj("type", "string", "not", obj("pattern", neighbourPattern),
		"description", "One line for the gateway, of 255 characters: line ends and marks that cannot be printed are cleaned, a longer text is cut. "+
			"Without it: \"order <order_id>\" or \"capture of <trade_id>\". Nothing personal.")
}

func line(limit int) object {
	return obj("type", "string", "maxLength", limit, "pattern", linePattern(), "not", obj("pattern", neighbourPattern))
}

func moment() object {
	return obj("type", "string", "format", "date-time", "pattern", timePattern)
}

// Job returns the schema of a job as it is published: what a Decoder without a
// mapping takes as the body of a message.
func Job() ([]byte, error) {
	members := jobMembers()
	members["order_id"] = askedOrder()
	members["description"] = askedDescription()
	var properties object
	for _, name := range capture.JobFields() {
		schema := members[name]
		if !slices.Contains(required, name) {
			schema = optional(schema)
		}
		properties = properties.with(name, schema)
	}
	return publish(obj(
		"$schema", Draft,
		"title", "Capture job",
		"description", "Asks capture-worker for one capture of one authorized trade. Published to capture.jobs.shipped or capture.jobs.batch, "+
			"as the body of a message or the data of a CloudEvent. A schema cannot say all: no member may occur twice, amount must not be above "+
			"authorized_amount, capture_before not before authorized_at, and a message has at most 256 KiB and 64 levels.",
		"type", "object",
		"properties", properties,
		"required", required,
		"propertyNames", obj(
			"$comment", "Other members are ignored, but not one that differs from ours in letter case only: JSON readers disagree on it.",
			"anyOf", []object{obj("enum", capture.JobFields()), obj("not", obj("pattern", anyCasePattern()))},
		),
		"allOf", decimalsRules("amount", "authorized_amount"),
		"$defs", obj("absent", obj(
			"description", "null and blank text mean that an optional member is absent.",
			"anyOf", []object{obj("type", "null"), obj("type", "string", "pattern", blankPattern())},
		)).with(pairs(currencyDefs())...),
	))
}

// optional lets a member be null or blank. Its description stays outside,
// where tools look for it.
func optional(schema object) object {
	var description any
	for _, m := range schema {
		if m.name == "description" {
			description = m.value
		}
	}
	return obj("description", description, "anyOf", []object{schema.without("description"), ref("absent")})
}

func pairs(o object) []any {
	var list []any
	for _, m := range o {
		list = append(list, m.name, m.value)
	}
	return list
}

// writtenJob is a job as the ledger holds it: amounts with all decimals, no
// member without a value.
func writtenJob() object {
	members := jobMembers()
	var properties object
	for _, name := range capture.JobFields() {
		properties = properties.with(name, members[name])
	}
	properties = properties.with("cleaned", obj("type", "string", "enum", []string{"order_id", "description", "order_id,description"},
		"description", "The members whose text was cleaned when the job was read."))
	return obj("type", "object", "properties", properties, "required", required)
}
