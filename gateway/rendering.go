package gateway

import (
	"crypto/hmac"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/capture-worker/capture-worker/capture"
)

// rendering is one way in which the members of a notification become the string
// that is signed. The vendor's library and the integrations of others differ in
// it, and no page says which of them a notification comes from (unverified).
type rendering struct {
	name string
	// dropEmpty leaves out what PHP calls empty: "", "0", 0, null, false, [], {}.
	dropEmpty bool
	// merge puts the members of an object beside the others. Otherwise it is
	// printed as the word Array, as a list always is.
	merge bool
	// plain sorts by bytes and takes numbers as they are written. Otherwise both
	// are done as PHP does.
	plain bool
}

// renderings are those that are believed, the library's own first. Their names
// stand in the ledger.
var renderings = [...]rendering{
	{name: "library"},
	{name: "library_without_empty", dropEmpty: true},
	{name: "merged", merge: true},
	{name: "merged_without_empty", merge: true, dropEmpty: true},
	{name: "plain", plain: true},
	{name: "plain_without_empty", plain: true, dropEmpty: true},
	{name: "plain_merged", plain: true, merge: true},
	{name: "plain_merged_without_empty", plain: true, merge: true, dropEmpty: true},
}

// Renderings lists the names of the ways of signing that [ParseNotification]
// believes, as they stand in [Notification.Rendering].
func Renderings() []string {
	names := make([]string, 0, len(renderings))
	for _, r := range renderings {
		names = append(names, r.name)
	}
	return names
}

// SignNotification signs the data of a notification, a JSON object, in one of the
// [Renderings]. The gateway does this; it is here for simulators and tests.
// Errors wrap [ErrNotification].
func SignNotification(secret Secret, name string, data []byte) (sign string, err error) {
	var m members
	if err := m.read(data); err != nil {
		return "", fmt.Errorf("%w: signing it: %w", ErrNotification, err)
	}
	i := slices.IndexFunc(renderings[:], func(r rendering) bool { return r.name == name })
	if i < 0 {
		return "", fmt.Errorf("%w: signing it: no rendering is named %q", ErrNotification, name)
	}
	signed := renderings[i].sign(m.unique())
	if signed == nil {
		return "", fmt.Errorf("%w: signing it: merging would replace a member that is read", ErrNotification)
	}
	sum := macOf(secret, signed.appendTo(nil))
	return hex.EncodeToString(sum[:]), nil
}

// signedMember is a member as a rendering signs it.
type signedMember struct {
	name, text string
	key        phpKey // of a rendering in PHP's order
	// evidence: the text is that of a string or a number, and says what the
	// sender meant. The word Array, a truth value or an empty text for null say
	// nothing.
	evidence bool
}

// signedMembers are the members that a rendering signs, in its order. The
// signature covers these and nothing else of a notification.
type signedMembers []signedMember

// rawMember is a member as it stands in the body.
type rawMember struct {
	name string
	raw  []byte
}

// unique lists the members, of several with one name the last, at the place of
// the first: as PHP decodes an object.
func (m *members) unique() []rawMember {
	list := make([]rawMember, 0, m.count)
	at := make(map[string]int, m.count)
	for name, raw := range m.all() {
		if i, again := at[name]; again {
			list[i].raw = raw
			continue
		}
		at[name] = len(list)
		list = append(list, rawMember{name, raw})
	}
	return list
}

// sign renders members for signing. It returns nil if this rendering cannot be
// meant: merging would replace a member that we read by another value.
func (r rendering) sign(list []rawMember) signedMembers {
	if r.merge {
		var ok bool
		if list, ok = merged(list); !ok {
			return nil
		}
	}
	signed := make(signedMembers, 0, len(list))
	for _, m := range list {
		if m.name == "sign" || r.dropEmpty && phpEmpty(m.raw) {
			continue
		}
		s := signedMember{name: m.name}
		s.text, s.evidence = r.print(m.raw)
		if !r.plain {
			s.key = newPHPKey(m.name)
		}
		signed = append(signed, s)
	}
	if r.plain {
		slices.SortStableFunc(signed, func(a, b signedMember) int { return strings.Compare(a.name, b.name) })
	} else {
		phpSort(signed, func(s signedMember) phpKey { return s.key })
	}
	return signed
}

// print writes a value as the rendering signs it, and says whether it is
// evidence.
func (r rendering) print(raw []byte) (text string, evidence bool) {
	switch raw[0] {
	case 'n', 'f': // null, false
		return "", false
	case 't':
		return "1", false
	case '{', '[':
		return "Array", false
	case '"':
		return string(unquote(raw)), true
	}
	if r.plain {
		return string(raw), true
	}
	return phpNumber(string(raw)), true
}

// merged puts the members of every object beside the others, where they win over
// those of the same name, as in PHP's array_merge. It returns false if a member
// that we read would change by it: which of the two the sender meant is open.
func merged(list []rawMember) ([]rawMember, bool) {
	flat := make([]rawMember, 0, len(list))
	var inner []rawMember
	for _, m := range list {
		if m.raw[0] != '{' {
			flat = append(flat, m)
			continue
		}
		var object members
		object.split(m.raw)
		inner = append(inner, object.unique()...)
	}
	for _, m := range inner {
		i := slices.IndexFunc(flat, func(f rawMember) bool { return f.name == m.name })
		switch {
		case i < 0:
			flat = append(flat, m)
		case slices.Contains(notified, m.name) && string(meaning(flat[i].raw)) != string(meaning(m.raw)):
			return nil, false
		default:
			flat[i].raw = m.raw
		}
	}
	return flat, true
}

// appendTo writes the string that is signed.
func (s signedMembers) appendTo(b []byte) []byte {
	for i, m := range s {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, m.name...)
		b = append(b, '=')
		b = append(b, m.text...)
	}
	return b
}

// evidence returns what was signed of a member, "" if it was not, or is none.
func (s signedMembers) evidence(name string) string {
	for _, m := range s {
		if m.name == name && m.evidence {
			return m.text
		}
	}
	return ""
}

// ambiguous reports that a value holds &name= of a member that we read, or a
// name holds & or =. The signed string is joined raw, so that whoever chooses a
// description could otherwise have it read as members of its own, and the true
// ones as part of a made-up one.
func (s signedMembers) ambiguous() bool {
	return slices.ContainsFunc(s, func(m signedMember) bool {
		return strings.ContainsAny(m.name, "&=") || capture.NamesParameter(m.text, notified)
	})
}

// verify finds the first of the secrets and renderings of which sign, in hex of
// any letter case, is the signature. All are tried, each is compared in constant
// time. Renderings that give the same string are one.
func verify(sign string, data *members, secrets []Secret) (signed signedMembers, name string, key int) {
	given, err := hex.DecodeString(sign)
	if err != nil {
		return nil, "", -1
	}
	list := data.unique()
	var texts []string
	key = -1
	for _, r := range renderings {
		candidate := r.sign(list)
		text := string(candidate.appendTo(make([]byte, 0, 512)))
		if candidate == nil || slices.Contains(texts, text) {
			continue
		}
		texts = append(texts, text)
		for i, secret := range secrets {
			if secret != "" && signs(secret, text, given) && key < 0 {
				signed, name, key = candidate, r.name, i
			}
		}
	}
	return signed, name, key
}

// signs reports whether given is the signature of a text.
func signs(secret Secret, text string, given []byte) bool {
	want := macOf(secret, []byte(text))
	return hmac.Equal(given, want[:])
}
