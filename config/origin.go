package config

// From names the kind of place a value came from.
type From string

// The places, the first that has a value wins.
const (
	FromFlag    From = "flag"
	FromEnv     From = "environment"
	FromFile    From = "file"
	FromDefault From = "default"
)

// Origin says where a value came from.
type Origin struct {
	From From
	Name string // the flag, the variable or the file; "" for a default
}

// String is "environment CAPTURE_NATS_URL", "flag --nats-url", "file
// capture.yaml" or "default".
func (o Origin) String() string {
	if o.Name == "" {
		return string(o.From)
	}
	return string(o.From) + " " + o.Name
}

// Origin says where the value of a key came from. A Config that Load did not
// make knows defaults only.
func (c Config) Origin(key string) Origin {
	if o, ok := c.origins[key]; ok {
		return o
	}
	return Origin{From: FromDefault}
}
