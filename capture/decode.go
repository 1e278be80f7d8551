package capture

// The fields of a job. Their numbers are indexes of the values read from a message.
const (
	fieldTradeID = iota
	fieldAmount
	fieldCurrency
	fieldOrderID
	fieldDescription
	fieldAuthorizedAt
	fieldAuthorizedAmount
	fieldCaptureBefore
	fieldNotifyURL
	fieldCaptureID
	fieldCount
)

// The fields that only a withdrawal has.
const (
	fieldReason = fieldCount + iota
	fieldBy
	slotCount
)

var fieldNames = [slotCount]string{
	"trade_id", "amount", "currency", "order_id", "description",
	"authorized_at", "authorized_amount", "capture_before", "notify_url", "capture_id",
	"reason", "by",
}

// JobFields lists the names of a job's fields in JSON and in Mapping.Fields; the
// first three are required.
func JobFields() []string {
	names := fieldNames
	return names[:fieldCount]
}

// Decoder reads jobs from messages. It is safe for concurrent use.
type Decoder struct {
	fields   *reading
	match    selection
	envelope *node
	hosts    notifyHosts
}

// NewDecoder returns a decoder for messages of the shape that m describes. Errors
// wrap ErrMapping and name the entry.
func NewDecoder(m Mapping) (*Decoder, error) {
	match, err := compileMatch(jobShape.section, m.Match)
	if err != nil {
		return nil, err
	}
	fields, err := jobShape.compile(m.Fields)
	if err != nil {
		return nil, err
	}
	return &Decoder{fields: fields, match: match, envelope: envelopeNode(match.attributes), hosts: newNotifyHosts(m.NotifyHosts)}, nil
}

// Decode reads a job from a message: plain JSON, or a CloudEvent 1.x in JSON,
// structured or binary. Header names match without regard to letter case.
//
// The error is a *MatchError (which is ErrNotOurs) if the mapping does not select
// the message, else a *MalformedError. Whether a message is selected is decided
// before its fields are read; if that is undecidable, the message is malformed.
//
// The job's times are in UTC. A job without a description gets "order <order_id>"
// or "capture of <trade_id>", because the gateway requires one. The decoder does
// not keep the message.
func (d *Decoder) Decode(header map[string][]string, body []byte) (Job, error) {
	obj, err := d.unwrap(header, body)
	if err != nil {
		return Job{}, err
	}
	doc := document{raw: obj}
	if err := d.match.takesData(&doc); err != nil {
		return Job{}, err
	}
	r := jobReader{d: d}
	if err := r.find(&doc); err != nil {
		return Job{}, err
	}
	return r.result()
}

// DecodeCells reads a job from the cells of a table's row, in the order of
// JobFields; an empty cell is an absent field. The mapping's units and constants
// apply, its paths do not, and a cell is read like a text of a mapped message. The
// error is a *MalformedError that names fields.
func (d *Decoder) DecodeCells(cells *[fieldCount]string) (Job, error) {
	r := jobReader{d: d, cells: cells}
	return r.result()
}
