package capture

import "strings"

// Unread returns the top-level members of a message's data that neither a field nor
// a condition of jobs.match reads, in their order. It is for operators who try a
// mapping, not for decisions.
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
		return nil // the path may begin with any member
	}
	var names []string
	for quoted := range Members(obj) {
		if name := string(memberName(quoted)); !read[name] {
			names = append(names, shownName(name))
		}
	}
	return names
}

// firstName returns the top-level member of a path, "" if it may be any.
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
