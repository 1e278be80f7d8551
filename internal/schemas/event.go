package schemas

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// Event returns the schema of a ledger event. It accepts types, kinds, reasons and members
// that later versions may add: consumers must ignore what they do not know.
func Event() ([]byte, error) {
	w := walker{described: eventMembers(), used: map[string]bool{}}
	root, err := w.structure("event", reflect.TypeFor[capture.Event]())
	if err != nil {
		return nil, err
	}
	for name := range w.described {
		if !w.used[name] {
			return nil, fmt.Errorf("eventMembers describes %s, which no event has: remove it", name)
		}
	}
	head := obj(
		"$schema", Draft,
		"title", "Ledger event",
		"description", "One fact about a trade, published to captures.<trade_id>.<type> as a CloudEvent in binary mode. "+
			"Types, members and values may be added: ignore what you do not know.",
	)
	defs := obj(
		"job", writtenJob().with("description", "The job as it was read.", "allOf", decimalsRules("amount", "authorized_amount")),
		"money", obj("type", "object", "properties", obj("amount", amountSchema(), "currency", currencySchema()),
			"required", []string{"amount", "currency"}, "allOf", decimalsRules("amount")),
	).with(pairs(currencyDefs())...)
	return publish(head.with(pairs(root)...).with("allOf", append(typeRules(), decimalsRules("amount")...), "$defs", defs))
}

// walker builds schemas from Go types. Every member must be described.
type walker struct {
	described map[string]object
	used      map[string]bool
}

func (w *walker) structure(of string, t reflect.Type) (object, error) {
	var properties object
	var always []string
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "-" {
			continue // not a member of the event
		}
		schema, err := w.member(of, name, t.Field(i).Type)
		if err != nil {
			return nil, err
		}
		properties = properties.with(name, schema)
		if options == "" {
			always = append(always, name)
		}
	}
	schema := obj("type", "object", "properties", properties)
	if len(always) > 0 {
		schema = schema.with("required", always)
	}
	return schema, nil
}

func (w *walker) member(of, name string, t reflect.Type) (object, error) {
	path := of + "." + name
	about, ok := w.described[path]
	if !ok {
		return nil, fmt.Errorf("%s is not described: add it to eventMembers", path)
	}
	w.used[path] = true
	schema, err := w.value(name, t)
	return schema.with(pairs(about)...), err
}

func (w *walker) value(name string, t reflect.Type) (object, error) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return obj("type", "string", "format", "date-time", "pattern", eventTimePattern), nil
	case t == reflect.TypeFor[capture.Job]():
		return ref("job"), nil
	case t == reflect.TypeFor[capture.Amount]():
		return ref("money"), nil
	case t.Kind() == reflect.String:
		return obj("type", "string"), nil
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64, t.Kind() == reflect.Uint64:
		return obj("type", "integer"), nil
	case t.Kind() == reflect.Bool:
		return obj("type", "boolean"), nil
	case t.Kind() == reflect.Struct:
		return w.structure(name, t)
	}
	return nil, fmt.Errorf("member %s has the unsupported type %s: add it to walker.value", name, t)
}

// typeRules returns the required members of each known type.
func typeRules() []object {
	via := func(v capture.Via) object { return obj("via", obj("const", v)) }
	none := object{}
	rules := map[capture.EventType]struct {
		required   []string
		properties object
	}{
		capture.Attempted: {[]string{"attempt", "call", "request_id", "lease_until", "job"}, none},
		capture.Answered:  {[]string{"call", "via", "answer"}, via(capture.ViaCapture)},
		capture.Queried:   {[]string{"via", "answer"}, via(capture.ViaQuery)},
		capture.Notified:  {nil, none},
		capture.Released:  {[]string{"by"}, none},
		capture.Retried:   {[]string{"by"}, none},
		capture.Withdrawn: {nil, none},
		capture.Dismissed: {[]string{"by"}, none},
		capture.Captured:  {[]string{"amount", "currency", "via", "answer"}, none},
		capture.Failed:    {[]string{"reason", "amount", "currency"}, obj("reason", open(capture.FailedReasons()))},
		capture.Parked:    {[]string{"reason", "amount", "currency"}, obj("reason", open(capture.ParkedReasons()))},
	}
	var list []object
	for _, t := range capture.EventTypes() {
		if rules[t].required == nil {
			continue
		}
		then := obj("required", rules[t].required)
		if len(rules[t].properties) > 0 {
			then = then.with("properties", rules[t].properties)
		}
		list = append(list, obj("if", obj("properties", obj("type", obj("const", t)), "required", []string{"type"}), "then", then))
	}
	return list
}

// open returns a schema that lists the known values and accepts others.
func open[T ~string](words []T) object {
	return obj("anyOf", []object{obj("enum", words), obj("pattern", `^.`)})
}
