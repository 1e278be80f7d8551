package schemas

import (
	"slices"
	"strings"

	"github.com/capture-worker/capture-worker/capture"
)

// required are the required members of a job.
var required = []string{"trade_id", "amount", "currency"}

// jobMembers returns the schemas of the members of a job.
func jobMembers() map[string]object {
	return map[string]object{
		"trade_id":          obj("type", "string", "pattern", tradeIDPattern, "description", "The gateway's id of the authorization."),
		"amount":            amountSchema().with("description", "What to capture: a plain positive decimal with at most the currency's decimals, as a string. Not above authorized_amount.", "examples", []string{"24.99"}),
		"currency":          currencySchema().with("description", "ISO 4217, upper case; the authorization's.", "examples", []string{"EUR"}),
		"order_id":          line(128).with("description", "The shop's order number. Copied to every outcome. No personal data."),
		"description":       line(255).with("description", "One line for the gateway. Default: \"order <order_id>\" or \"capture of <trade_id>\". No personal data."),
		"authorized_at":     moment().with("description", "When the trade was authorized. It can be captured for 30 days from then."),
		"authorized_amount": amountSchema().with("description", "The authorized amount, in the same currency. Set it if less is captured."),
		"capture_before":    moment().with("description", "From this moment on no capture call is made. Not before authorized_at."),
		"notify_url": obj("type", "string", "maxLength", 512, "allOf", []object{obj("pattern", asciiPattern), obj("pattern", urlPattern)},
			"not", obj("pattern", parameterPattern),
			"description", "The URL to which the gateway POSTs changes: absolute, https, without user and password, with a host that the worker's gateway.notify_hosts allows."),
		"capture_id": line(128).with("description", captureIDText),
	}
}

const captureIDText = "The shop's own id of this capture, such as that of a parcel. A job with another one for a captured trade is a dead letter, whatever its amount. " +
	"Copied to every outcome. No personal data."

// askedName and askedDescription accept more than the ledger has: a worker removes
// unprintable characters and cuts a description.
func askedName(description string) object {
	return obj("type", "string", "maxLength", 128, "pattern", "^[^\ufffd]*$", "not", obj("pattern", parameterPattern), "description", description)
}

func askedDescription() object {
	return obj("type", "string", "not", obj("pattern", parameterPattern),
		"description", "One line for the gateway, of up to 255 characters: line ends and unprintable characters are removed, a longer text is cut. "+
			"Default: \"order <order_id>\" or \"capture of <trade_id>\". No personal data.")
}

func line(limit int) object {
	return obj("type", "string", "maxLength", limit, "pattern", linePattern(), "not", obj("pattern", parameterPattern))
}

func moment() object {
	return obj("type", "string", "format", "date-time", "pattern", timePattern)
}

// Job returns the schema of a published job: the body of a message that a Decoder without
// a mapping accepts.
func Job() ([]byte, error) {
	members := jobMembers()
	members["order_id"] = askedName("The shop's order number. Copied to every outcome, without unprintable characters. No personal data.")
	members["capture_id"] = askedName(captureIDText)
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
			"as the body of a message or the data of a CloudEvent. Not in the schema: no member may occur twice, amount must not be above "+
			"authorized_amount, capture_before not before authorized_at, and a message has at most 256 KiB and 64 levels.",
		"type", "object",
		"properties", properties,
		"required", required,
		"propertyNames", obj(
			"$comment", "Other members are ignored, but one that differs from a known member only in letter case is refused, because JSON parsers disagree on it.",
			"anyOf", []object{obj("enum", capture.JobFields()), obj("not", obj("pattern", anyCasePattern(capture.JobFields())))},
		),
		"allOf", decimalsRules("amount", "authorized_amount"),
		"$defs", obj("absent", absent()).with(pairs(currencyDefs())...),
	))
}

// Withdrawal returns the schema of a published withdrawal: the body of a message that a
// WithdrawalDecoder without a mapping accepts.
func Withdrawal() ([]byte, error) {
	members := map[string]object{
		"trade_id": obj("type", "string", "pattern", tradeIDPattern, "description", "The trade that is not to be captured any more."),
		"order_id": askedName("The order of which no trade is to be captured any more; beside a trade_id, the order that the trade has to belong to."),
		"reason":   obj("type", "string", "description", "Why, for the ledger: unprintable characters are removed, a text of more than 500 characters is cut. No personal data."),
		"by":       askedName("Who, for the ledger; without it, the subject of the message."),
	}
	var properties object
	var either []object
	for _, name := range capture.WithdrawalFields() {
		properties = properties.with(name, optional(members[name]))
	}
	for _, name := range []string{"trade_id", "order_id"} {
		either = append(either, obj("required", []string{name}, "properties", obj(name, obj("not", ref("absent")))))
	}
	return publish(obj(
		"$schema", Draft,
		"title", "Withdrawal",
		"description", "Says that a trade, or every trade of an order, is not to be captured any more. Published to capture.withdrawals.>, "+
			"as the body of a message or the data of a CloudEvent. Not in the schema: no member may occur twice, and a message has at most 256 KiB and 64 levels.",
		"type", "object",
		"properties", properties,
		"anyOf", either,
		"propertyNames", obj(
			"$comment", "Other members are ignored, but one that differs from a known member only in letter case is refused, because JSON parsers disagree on it.",
			"anyOf", []object{obj("enum", capture.WithdrawalFields()), obj("not", obj("pattern", anyCasePattern(capture.WithdrawalFields())))},
		),
		"$defs", obj("absent", absent()),
	))
}

func absent() object {
	return obj(
		"description", "null and blank text count as an absent optional member.",
		"anyOf", []object{obj("type", "null"), obj("type", "string", "pattern", blankPattern())},
	)
}

// optional returns a schema that also accepts null and blank text. The description stays
// at the top level, where tools look for it.
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

// writtenJob returns the schema of a job in the ledger: amounts with all decimals, no
// member without a value.
func writtenJob() object {
	members := jobMembers()
	var properties object
	for _, name := range capture.JobFields() {
		properties = properties.with(name, members[name])
	}
	properties = properties.with("cleaned", obj("type", "string", "enum", cleanedLists(),
		"description", "The members whose text was cleaned when the job was read."))
	return obj("type", "object", "properties", properties, "required", required)
}

// cleanedLists are the values that "cleaned" may have.
func cleanedLists() []string {
	var lists []string
	for mask := 1; mask < 8; mask++ {
		var names []string
		for i, name := range []string{"order_id", "description", "capture_id"} {
			if mask&(1<<i) != 0 {
				names = append(names, name)
			}
		}
		lists = append(lists, strings.Join(names, ","))
	}
	return lists
}
