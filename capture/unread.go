package capture

import "strings"

// Unread lists the members at the top of a message's data that neither a field
// nor a condition of jobs.match is read from, in their order. It is for
// operators who try a mapping; nothing may be decided by it.
func (d *Decoder) Unread(header map[string][]string, body []byte) []string {
	obj, err := d.unwrap(header, body)
	if err != nil || len(obj) == 0 {
		return nil
	}
	read := map[string]bool{}
	for i := range d.fields.fields {
		for _, s := range d.fields.fields[i].sources {
			read[firstName(s.path, d.fields.queries)] = true
		}
	}
	for _, m := range d.match.members {
		read[firstName(m.path, d.match.queries)] = true
	}
	if read[""] {
		return nil // a path may begin anywhere
	}
	var names []string
	for quoted := range Members(obj) {
		if name := string(memberName(quoted)); !read[name] {
			names = append(names, shownName(name))
		}
	}
	return names
}

// firstName is the member at the top that a path goes through, "" if it may be
// any.
func firstName(path string, queries []pathQuery) string {
	if !isQuery(path) {
		name, _, _ := strings.Cut(path, ".")
		return name
	}
	for _, q := range queries {
		if q.text == path {
			return q.firstName()
		}
	}
	return ""
}
