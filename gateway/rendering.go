package gateway

import (
	"crypto/hmac"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/capture-worker/capture-worker/capture"
)

// rendering is a way to build the signed string from the members of a notification. The
// gateway's library and known integrations differ, and which one signs notifications is
// not documented (unverified).
type rendering struct {
	name string
	// dropEmpty leaves out values that are empty in PHP: "", "0", 0, null, false, [], {}.
	dropEmpty bool
	// merge moves the members of nested objects to the top level. Otherwise an object
	// is printed as the word Array, as a list always is.
	merge bool
	// plain sorts by bytes and prints numbers as they are written, instead of doing
	// both like PHP.
	plain bool
}

// renderings are the accepted ones, that of the library first. Their names are stored
// in the ledger.
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

// Renderings returns the names of the ways of signing that [ParseNotification] accepts,
// the values of [Notification.Rendering].
func Renderings() []string {
	names := make([]string, 0, len(renderings))
	for _, r := range renderings {
		names = append(names, r.name)
	}
	return names
}

// SignNotification returns the signature of the data of a notification, a JSON object,
// in the rendering with the given name. It is for simulators and tests. Errors wrap
// [ErrNotification].
func SignNotification(secret Secret, name string, data []byte) (sign string, err error) {
	var m members
	if err := m.read(data); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotification, err)
	}
	i := slices.IndexFunc(renderings[:], func(r rendering) bool { return r.name == name })
	if i < 0 {
		return "", fmt.Errorf("%w: unknown form of signed text %q, see Renderings", ErrNotification, name)
	}
	signed := renderings[i].sign(m.unique())
	if signed == nil {
		return "", fmt.Errorf("%w: merging would replace a member that is read", ErrNotification)
	}
	sum := macOf(secret, signed.appendTo(nil))
	return hex.EncodeToString(sum[:]), nil
}

// signedMember is a member as a rendering signs it.
type signedMember struct {
	name, text string
	key        phpKey // of a rendering in PHP's order
	// evidence reports whether the value is a string or a number. The texts of other
	// values, such as Array or the empty text of null, are ambiguous.
	evidence bool
}

// signedMembers are the members that a rendering signs, in its order.
type signedMembers []signedMember

// rawMember is a member as it is in the body.
type rawMember struct {
	name string
	raw  []byte
}

// unique returns the members like PHP decodes them: of duplicates the last value, at
// the position of the first.
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

// sign renders members for signing. It returns nil if merging would give a member that
// is read another value.
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

// print returns the text of a value in the rendering, and whether it is evidence.
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

// merged moves the members of nested objects to the top level, where they replace those
// of the same name, like PHP's array_merge. It returns false if a member that is read
// would change, because the sender's intention is unclear then.
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

// appendTo appends the string that is signed.
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

// evidence returns the signed text of a member, "" if it is not signed or no evidence.
func (s signedMembers) evidence(name string) string {
	for _, m := range s {
		if m.name == name && m.evidence {
			return m.text
		}
	}
	return ""
}

// ambiguous reports whether a value contains &name= of a member that is read, or a name
// contains & or =. Values are joined without escaping: the author of a description
// could otherwise inject members, and hide the true ones in another value.
func (s signedMembers) ambiguous() bool {
	return slices.ContainsFunc(s, func(m signedMember) bool {
		return strings.ContainsAny(m.name, "&=") || capture.NamesParameter(m.text, notified)
	})
}

// verify returns the members, rendering and secret that match the signature, which is
// hex in any letter case; key is -1 if none does. All combinations are tried, each in
// constant time. Renderings with the same string are tried once.
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

// signs reports whether given is the signature of text under secret.
func signs(secret Secret, text string, given []byte) bool {
	want := macOf(secret, []byte(text))
	return hmac.Equal(given, want[:])
}
