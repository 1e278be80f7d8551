package capture

// The fields of a job. Their numbers are slots of what is read from a message.
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
	fieldCount
)

var fieldNames = [fieldCount]string{
	"trade_id", "amount", "currency", "order_id", "description",
	"authorized_at", "authorized_amount", "capture_before", "notify_url",
}

// JobFields lists the names of a job's fields, as they stand on the wire and
// in Mapping.Fields; the first three are required.
func JobFields() []string {
	names := fieldNames
	return names[:]
}

// Decoder reads jobs from messages. It is safe for concurrent use.
type Decoder struct {
	paths    [fieldCount]string
	mapped   [fieldCount]bool
	fields   *node
	match    selection
	envelope *node
	hosts    notifyHosts
}

// NewDecoder returns a decoder for messages of the shape that m describes.
// Errors wrap ErrMapping and say what is wrong with which entry.
func NewDecoder(m Mapping) (*Decoder, error) {
	match, err := compileMatch(m.Match)
	if err != nil {
		return nil, err
	}
	fields, paths, err := compileFields(m.Fields)
	if err != nil {
		return nil, err
	}
	d := &Decoder{paths: paths, fields: fields, match: match, envelope: envelopeNode(match.attributes), hosts: newNotifyHosts(m.NotifyHosts)}
	for i, name := range fieldNames {
		_, d.mapped[i] = m.Fields[name]
	}
	return d, nil
}

// Decode reads a job from a message: plain JSON, or a CloudEvent 1.x in JSON,
// structured or binary. Header names match without regard to letter case.
//
// The error is ErrNotOurs where the mapping does not select the message, else
// a *MalformedError. Whether a message is selected is decided before its
// fields are read; a message of which that cannot be told is malformed.
//
// The job's times are in UTC. A job without a description gets one, as the
// gateway requires it: "order <order_id>", or "capture of <trade_id>". The
// message is not kept.
func (d *Decoder) Decode(header map[string][]string, body []byte) (Job, error) {
	obj, err := d.unwrap(header, body)
	if err != nil {
		return Job{}, err
	}
	if ours, err := d.match.takesData(obj); err != nil || !ours {
		return Job{}, notOurs(err)
	}
	r := jobReader{d: d}
	if err := d.fields.collect(obj, r.raw[:], true); err != nil {
		return Job{}, err
	}
	j := r.job()
	if r.err != nil {
		return Job{}, r.err
	}
	return j, nil
}
