package console

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/crypto/bcrypt"
)

// Role is what a user may do. Each role may do what the ones before it may.
type Role int

// The roles.
const (
	NoRole Role = iota
	Viewer
	Operator
	Approver
)

func (r Role) String() string {
	switch r {
	case Viewer:
		return "viewer"
	case Operator:
		return "operator"
	case Approver:
		return "approver"
	}
	return "none"
}

// User is an authenticated user, or the anonymous one of this machine.
type User struct {
	Name string // "" is the anonymous one, who may read
	Role Role

	session string // key of the session, "" without one
}

// Access says who may use the console.
type Access struct {
	Users          map[string][]byte   // bcrypt hashes by name
	Tokens         map[string][32]byte // SHA-256 of API tokens by name
	TrustedProxies []netip.Prefix
	IdentityHeader string // in which the trusted proxies name the user
	GroupsHeader   string // and the user's groups
	Viewers        []string
	Operators      []string
	Approvers      []string
	Session        time.Duration // how long a login lasts; 0 is 10 hours
	Idle           time.Duration // without a request; 0 is one hour
	OIDC           *OIDC         // nil: no provider
}

// hasLogin reports whether a user can be authenticated at all.
func (a *Access) hasLogin() bool { return a.hasForm() || a.IdentityHeader != "" }

// hasForm reports whether there is a page to log in.
func (a *Access) hasForm() bool { return len(a.Users) > 0 || a.OIDC != nil }

const (
	maxUserName = 128
	// maxFile bounds the files of users and tokens.
	maxFile = 1 << 20
	// maxCost bounds the cost of a bcrypt hash: each step doubles the CPU time of a
	// login, and 14 takes a second.
	maxCost = 14
)

// ErrUsers is the error of a file of users or tokens that cannot be read.
var ErrUsers = errors.New("not a file of users")

// ReadUsers reads a file of users and bcrypt hashes, one name:hash a line. Empty
// lines and lines that begin with # are skipped.
func ReadUsers(path string) (map[string][]byte, error) {
	users := map[string][]byte{}
	err := readNames(path, func(name, hash string) error {
		cost, err := bcrypt.Cost([]byte(hash))
		switch {
		case err != nil:
			return errors.New("the hash is not one of bcrypt; make it with htpasswd -B")
		case cost > maxCost:
			return fmt.Errorf("the cost of the hash is %d, and at most %d is supported", cost, maxCost)
		}
		users[name] = []byte(hash)
		return nil
	})
	return users, err
}

// ReadTokens reads a file of API tokens, one name:hash a line.
func ReadTokens(path string) (map[string][32]byte, error) {
	tokens := map[string][32]byte{}
	err := readNames(path, func(name, hash string) error {
		sum, err := hex.DecodeString(hash)
		if err != nil || len(sum) != sha256.Size {
			return errors.New("the hash is not a SHA-256 in hex; make it with sha256sum")
		}
		tokens[name] = [32]byte(sum)
		return nil
	})
	return tokens, err
}

// readNames reads lines of the form name:hash. Errors name the line and never the
// hash.
func readNames(path string, add func(name, hash string) error) error {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxFile {
		err = fmt.Errorf("it is longer than %d bytes", maxFile)
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsers, err)
	}
	seen := map[string]bool{}
	scan := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; scan.Scan(); n++ {
		line := strings.TrimSpace(scan.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, hash, ok := strings.Cut(line, ":")
		switch {
		case !ok || !validName(name):
			err = errors.New("must be name:hash, with a name of at most 128 printable characters")
		case seen[name]:
			err = errors.New("names a user for the second time")
		default:
			err = add(name, hash)
		}
		if err != nil {
			return fmt.Errorf("%w: line %d of %s: %w", ErrUsers, n, path, err)
		}
		seen[name] = true
	}
	if err := scan.Err(); err != nil {
		return fmt.Errorf("%w: reading %s: %w", ErrUsers, path, err)
	}
	if len(seen) == 0 {
		return fmt.Errorf("%w: %s names no one", ErrUsers, path)
	}
	return nil
}

// validName reports whether a name can stand in the ledger as who acted.
func validName(name string) bool {
	return name != "" && len(name) <= maxUserName && strings.TrimSpace(name) == name &&
		!strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) || r == unicode.ReplacementChar })
}

// roleOf returns the highest role that the lists give to a user of these groups.
func (a *Access) roleOf(name string, groups []string) Role {
	in := func(list []string) bool {
		return slices.ContainsFunc(list, func(entry string) bool {
			if group, ok := strings.CutPrefix(entry, "group:"); ok {
				return slices.Contains(groups, group)
			}
			return entry == name
		})
	}
	switch {
	case in(a.Approvers):
		return Approver
	case in(a.Operators):
		return Operator
	case len(a.Viewers) == 0 || in(a.Viewers):
		return Viewer
	}
	return NoRole
}

// unknownHash is compared with the password of a name that is not there, so that
// the time of an answer does not tell which names are. It is no user's.
var unknownHash = sync.OnceValue(func() []byte {
	hash, err := bcrypt.GenerateFromPassword([]byte("no such user"), bcrypt.DefaultCost)
	if err != nil {
		panic("console: " + err.Error()) // of a fixed password; not reached
	}
	return hash
})

// checkPassword reports whether the password is the user's.
func (a *Access) checkPassword(name, password string) bool {
	hash, known := a.Users[name]
	if !known {
		hash = unknownHash()
	}
	return bcrypt.CompareHashAndPassword(hash, []byte(password)) == nil && known
}

// byToken returns the user of an API token.
func (a *Access) byToken(token string) (User, bool) {
	sum := sha256.Sum256([]byte(token))
	for name, want := range a.Tokens {
		if subtle.ConstantTimeCompare(sum[:], want[:]) == 1 {
			role := a.roleOf(name, nil)
			return User{Name: name, Role: role}, role > NoRole
		}
	}
	return User{}, false
}

// byProxy returns the user that a trusted proxy names. From any other address the
// header is not read.
func (a *Access) byProxy(r *http.Request) (User, bool) {
	if a.IdentityHeader == "" || !a.trusted(r.RemoteAddr) {
		return User{}, false
	}
	names := r.Header.Values(a.IdentityHeader)
	if len(names) != 1 || !validName(names[0]) {
		return User{}, false
	}
	var groups []string
	for group := range strings.SplitSeq(strings.Join(r.Header.Values(a.GroupsHeader), ","), ",") {
		if group = strings.TrimSpace(group); group != "" && a.GroupsHeader != "" {
			groups = append(groups, group)
		}
	}
	return User{Name: names[0], Role: a.roleOf(names[0], groups)}, true
}

func (a *Access) trusted(remote string) bool {
	addr, err := netip.ParseAddrPort(remote)
	return err == nil && slices.ContainsFunc(a.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr.Addr().Unmap()) })
}
